//! The token is rotated while a node is killed, or away for the whole grace. Who is connected stays so, all come to
//! know the new token, and after the grace the old one lets nobody in. The node that was away is given the new one.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::{Client, Error};

use crate::chance::Chance;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const ASKED: usize = 2;
const KILLED: usize = 3;
const LATE: usize = 4;
const NEW: usize = 5;
const GRACE: Duration = Duration::from_secs(8);
/// Until the grace is over by each clock.
const OVER: Duration = Duration::from_secs(13);
/// Simulated milliseconds from the rotation to the kill, at most.
const KILLED_MS_MAX: u64 = 40;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let mut chance = Chance::stream(stage.world.seed, "rotation");
    // Earlier builds do not know that tokens are rotated.
    stage.form_of(3, 0, vineyard_raft::features::LATEST).await;
    let three = || stage.cluster.board(ASKED).borrow().voters.len() == 3;
    let formed = stage.until(super::PATIENCE_MS, three).await;
    stage.demand(formed, "three vote");
    let is_away = stage.world.seed.is_multiple_of(2);
    let power = chance.happens(500);
    if is_away {
        stage.cluster.kill(KILLED, power);
    } else {
        let (there, ms) = (stage.clone(), chance.below(KILLED_MS_MAX));
        stage.world.schedule.start("killer", async move {
            sleep(Duration::from_millis(ms)).await;
            there.cluster.kill(KILLED, power);
            there.cluster.restart(KILLED);
        });
    }
    let there = stage.clone();
    let rotated = stage.act("operator", async move {
        let client = there.client("operator", ASKED).await;
        let rotated = insist(|| rotate(&client)).await?;
        insist(|| publish(&client, "after")).await?;
        Ok::<_, Error>(rotated)
    });
    let Some(Ok(new)) = rotated.await else {
        return stage.demand(false, "the token is rotated");
    };
    knows(&stage, 1, &new).await;
    if !is_away {
        knows(&stage, KILLED, &new).await;
    }
    sleep(OVER).await;
    stage.join(LATE);
    let refused = || {
        let board = stage.cluster.board(LATE);
        let failure = board.borrow().failure.clone();
        failure.is_some_and(|why| why.contains("was replaced"))
    };
    let refused = stage.until(super::PATIENCE_MS, refused).await;
    stage.demand(refused, "the old token is refused by name");
    stage.hand_out(&new);
    stage.join(NEW);
    stage.serves(NEW).await;
    knows(&stage, NEW, &new).await;
    if is_away {
        stage.cluster.give_token(KILLED, &new);
        stage.cluster.restart(KILLED);
        knows(&stage, KILLED, &new).await;
    }
}

/// Rotates the token; if it was rotated by an earlier try, asks for it.
async fn rotate(client: &Client) -> Result<String, Error> {
    match client.rotate_token(GRACE).await {
        Err(Error::Status { message, .. }) if message.contains("was rotated before") => {
            client.token().await
        }
        rotated => rotated.map(|rotated| rotated.token),
    }
}

/// The node comes to know the token, and what was agreed on after the rotation.
async fn knows(stage: &Stage, node: usize, token: &str) {
    let (there, token) = (stage.clone(), token.to_owned());
    let read = stage.act("reader", async move {
        let client = there.client("reader", node).await;
        let found = insist(|| client.get_name("after")).await;
        there.demand(found.is_ok(), &format!("n{node} finds the name: {found:?}"));
        let deadline = super::PATIENCE_MS / 500;
        for _ in 0..deadline {
            if matches!(client.token().await, Ok(known) if known == token) {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        there.demand(false, &format!("n{node} knows the new token"));
    });
    read.await;
}
