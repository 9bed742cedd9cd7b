//! A node stands still for longer than the cluster waits, and returns: it is the same instance, and what it held is
//! readable from everywhere.

use std::time::Duration;

use tokio::time::sleep;

use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const PAUSE: Duration = Duration::from_secs(12);

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", 2).await;
        insist(|| publish(&client, "held")).await
    });
    let Some(Ok(id)) = made.await else {
        return stage.demand(false, "the object is made");
    };
    let instance = stage.cluster.board(2).borrow().instance;
    stage.cluster.pause(2, true);
    sleep(PAUSE).await;
    let there = stage.clone();
    let meanwhile = stage.act("meanwhile", async move {
        let client = there.client("meanwhile", 1).await;
        insist(|| publish(&client, "meanwhile")).await
    });
    stage.demand(matches!(meanwhile.await, Some(Ok(_))), "the others go on");
    stage.cluster.pause(2, false);
    for node in 1..=3 {
        let there = stage.clone();
        let read = stage.act("reader", async move {
            let client = there.client("reader", node).await;
            let object = insist(|| client.get(id)).await;
            let text = object.as_ref().ok().and_then(|object| object.blob("text_"));
            let held = text.is_some_and(|text| &text[..] == b"held");
            there.demand(held, &format!("n{node} reads what n2 held: {object:?}"));
            let later = insist(|| client.get_name("meanwhile")).await;
            there.demand(later.is_ok(), &format!("n{node} has caught up: {later:?}"));
        });
        read.await;
    }
    let same = stage.cluster.board(2).borrow().instance == instance;
    stage.demand(same, "a pause is not a death");
}
