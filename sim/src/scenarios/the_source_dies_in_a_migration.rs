//! The node that holds an object dies while its bytes travel. The migration ends, with all of the bytes or with an
//! error, and the destination keeps nothing half done.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::Draft;

use crate::chance::Chance;
use crate::cluster::ip;
use crate::network::Link;
use crate::scenarios::insist;
use crate::stage::{Outcome, Settings, Stage, run};
use crate::trace::digest;

const BYTES: usize = 2 << 20;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let mut chance = Chance::stream(stage.world.seed, "bytes");
    let bytes: Vec<u8> = (0..BYTES / 8)
        .flat_map(|_| chance.next_u64().to_le_bytes())
        .collect();
    let hash = digest(&bytes);
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", 2).await;
        let id = client
            .put(Draft::new("sim::Large").blob("bytes_", bytes))
            .await?
            .id;
        insist(|| client.persist(id)).await.map(|()| id)
    });
    let Some(Ok(id)) = made.await else {
        return stage.demand(false, "the object is made");
    };
    let slow = Link {
        bytes_per_ms: 2000,
        ..Link::NORMAL
    };
    stage.world.net.set_link(&ip(2), &ip(3), slow);
    let (there, after) = (stage.clone(), chance.between(5, 1500));
    let mover = async move {
        let client = there.client("mover", 3).await;
        let moved = client.migrate(id).await;
        if let Ok(copy) = &moved {
            let object = client.get(*copy).await;
            let read = object
                .as_ref()
                .ok()
                .and_then(|o| o.blob("bytes_"))
                .map(|blob| digest(blob));
            there.demand(
                read == Some(hash),
                &format!("a finished copy is whole: {object:?}"),
            );
        }
        client.close().await;
        moved.map_err(|error| error.to_string())
    };
    let source = stage.clone();
    let killer = async move {
        sleep(Duration::from_millis(after)).await;
        source.cluster.kill(2, source.world.seed.is_multiple_of(2));
    };
    let (moved, ()) = futures::future::join(stage.act("mover", mover), killer).await;
    stage.demand(moved.is_some(), "the migration ends");
    stage.world.net.heal();
    let finished = matches!(moved, Some(Ok(_)));
    let there = stage.clone();
    let looked = stage.act("looker", async move {
        let client = there.client("looker", 3).await;
        let used = insist(|| client.instance_status())
            .await
            .map(|status| status.memory_usage);
        let expected = if finished { BYTES as u64 } else { 0 };
        let clean = matches!(&used, Ok(used) if *used == expected);
        there.demand(clean, &format!("n3 holds {used:?} bytes, not {expected}"));
    });
    looked.await;
    stage.cluster.restart(2);
    stage.serves(2).await;
}
