//! One side of a stream dies while the other waits for it. The other is told so, and the node keeps nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{Client, Code, Error, ObjectId};

use crate::chance::Chance;
use crate::invariants::everything_finishes;
use crate::scenarios::insist;
use crate::stage::{Outcome, Settings, Stage, run};

const WINDOW_BYTES: usize = 64 << 10;
const CHUNK_BYTES: usize = 16 << 10;
/// How long the side that is left may wait.
const TOLD_MS_MAX: u64 = 2_000;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(1).await;
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", 1).await;
        let options = StreamOptions::default().window_bytes_max(WINDOW_BYTES as u64);
        insist(|| client.create_stream(options.clone())).await
    });
    let Some(Ok(id)) = made.await else {
        return stage.demand(false, "the stream is made");
    };
    let mut chance = Chance::stream(stage.world.seed, "a side");
    let after = Duration::from_millis(chance.between(50, 3_000));
    let (dies, lives) = match chance.happens(500) {
        true => ("writer", "reader"),
        false => ("reader", "writer"),
    };
    for side in [dies, lives] {
        let (there, is_slow) = (stage.clone(), side == dies);
        stage.world.schedule.start(side, async move {
            let client = there.client(side, 1).await;
            let told = match side {
                "writer" => write(&client, id, is_slow).await,
                _ => read(&client, id, is_slow).await,
            };
            let text = told.map_or_else(|error| error.to_string(), |()| "all went well".to_owned());
            let is_told = text.contains(&format!("the {dies} left"));
            there.demand(
                is_told,
                &format!("the {side} is told that the {dies} left, not: {text}"),
            );
        });
    }
    sleep(after).await;
    stage.world.schedule.kill(dies);
    let killed = Instant::now();
    let ended = stage
        .until(TOLD_MS_MAX, || !stage.world.schedule.runs(lives))
        .await;
    let took = killed.elapsed().as_millis();
    if !ended {
        let waits = format!("the {lives} waits for a dead {dies} after {took} ms");
        let mut oracle = stage.oracle.borrow_mut();
        return oracle.hold(everything_finishes::NAME, Err(waits));
    }
    let there = stage.clone();
    let looked = stage.act("looker", async move {
        let client = there.client("looker", 1).await;
        // The connections end a moment later.
        sleep(Duration::from_millis(200)).await;
        let used = insist(|| client.instance_status())
            .await
            .map(|status| status.memory_usage);
        there.demand(
            matches!(used, Ok(0)),
            &format!("nothing is left of the stream: {used:?}"),
        );
        let status = client.stream_status(id).await.map_err(|error| error.code());
        let is_over = matches!(status, Err(Some(Code::ObjectNotExists)));
        there.demand(
            is_over,
            &format!("the stream went with its last side: {status:?}"),
        );
    });
    looked.await;
}

/// Writes for ever; slowly, so that the reader waits, or as fast as the window lets it.
async fn write(client: &Client, id: ObjectId, is_slow: bool) -> Result<(), Error> {
    let mut writer = client.open_writer(id).await?;
    loop {
        writer.write(&[7; CHUNK_BYTES]).await?;
        pause(is_slow).await;
    }
}

async fn read(client: &Client, id: ObjectId, is_slow: bool) -> Result<(), Error> {
    let mut reader = client.open_reader(id, &ReaderOptions::default()).await?;
    while reader.next().await?.is_some() {
        pause(is_slow).await;
    }
    Ok(())
}

async fn pause(is_slow: bool) {
    if is_slow {
        sleep(Duration::from_millis(400)).await;
    }
}
