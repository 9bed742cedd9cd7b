//! The leader's disk is short of room, and then full: what would use it up is refused with figures, deletes and reads
//! go on while they can, and once there is room all goes on in the same process. A follower whose disk is full stops
//! nobody.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::Error;
use vineyard_raft::features;

use crate::scenarios::{insist, publish, saying};
use crate::stage::{Outcome, Settings, Stage, run};

const SHORT_BYTES: u64 = 12 << 20;
/// Longer than the look at the room.
const LOOKED_MS: u64 = 1000;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form_of(3, 0, features::LATEST).await;
    let there = stage.clone();
    let before = stage.act("before", async move {
        let client = there.client("before", 1).await;
        insist(|| publish(&client, "before")).await
    });
    if !matches!(before.await, Some(Ok(_))) {
        return stage.demand(false, "publishing is answered while the disks have room");
    }
    short_leader(&stage).await;
    full_disk(&stage, true).await;
    full_disk(&stage, false).await;
    let there = stage.clone();
    let after = stage.act("after", async move {
        let client = there.client("after", 2).await;
        let here = insist(|| publish(&client, "after")).await;
        here.is_ok() && insist(|| client.get_name("second")).await.is_ok()
    });
    stage.demand(after.await == Some(true), "with room the cluster goes on");
}

/// While the leader is short of room, names are refused with figures, and dropped.
async fn short_leader(stage: &Stage) {
    let Some(leader) = stage.cluster.leader() else {
        return stage.demand(false, "somebody leads");
    };
    let platter = stage.cluster.machine(leader).platter;
    platter.set_free(Some(SHORT_BYTES));
    sleep(Duration::from_millis(LOOKED_MS)).await;
    for node in 1..=3 {
        let there = stage.clone();
        let tried = stage.act("short", async move {
            let client = there.client("short", node).await;
            let Ok(created) = client.put(saying("short")).await else {
                return there.demand(false, "a put needs no disk");
            };
            let refused = client.persist(created.id).await;
            let said = matches!(&refused, Err(Error::Status { message, .. })
                if message.contains("12 MiB free, 64 MiB kept back"));
            there.demand(said, &format!("n{node}: refused with figures: {refused:?}"));
            let found = insist(|| client.get_name("before")).await;
            there.demand(
                found.is_ok(),
                &format!("n{node}: a name is read: {found:?}"),
            );
        });
        tried.await;
    }
    let there = stage.clone();
    let dropped = stage.act("drop", async move {
        let client = there.client("drop", 2).await;
        client.drop_name("before").await
    });
    let dropped = dropped.await;
    stage.demand(
        matches!(dropped, Some(Ok(_))),
        &format!("a name is dropped: {dropped:?}"),
    );
    platter.set_free(None);
    sleep(Duration::from_millis(LOOKED_MS)).await;
}

/// The disk of the leader, or of another node, is full for a while; then a name is put.
async fn full_disk(stage: &Stage, of_leader: bool) {
    let leader = stage.cluster.leader().unwrap_or(1);
    let other = 1 + leader % 3;
    let full = if of_leader { leader } else { other };
    let platter = stage.cluster.machine(full).platter;
    platter.set_free(Some(0));
    sleep(Duration::from_millis(LOOKED_MS)).await;
    let asked = if of_leader { other } else { leader };
    let there = stage.clone();
    let during = stage.act("during", async move {
        let client = there.client("during", asked).await;
        publish(&client, "during").await
    });
    let during = during.await;
    if !of_leader {
        let stored = matches!(during, Some(Ok(_)));
        stage.demand(stored, &format!("a majority has room: {during:?}"));
    }
    sleep(Duration::from_millis(3000)).await;
    platter.set_free(None);
    let there = stage.clone();
    let second = stage.act("second", async move {
        let client = there.client("second", full).await;
        insist(|| publish(&client, "second")).await
    });
    stage.demand(
        matches!(second.await, Some(Ok(_))),
        "the node goes on in the same process",
    );
    for node in 1..=3 {
        let runs = stage.cluster.runs(node);
        stage.demand(runs, &format!("n{node} has not ended"));
    }
}
