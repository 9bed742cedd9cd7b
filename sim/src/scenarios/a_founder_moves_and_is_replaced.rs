//! The founder is started at another address and of the next build, and the operator tells it no address of the others:
//! it finds them in its log, says where it is, and serves.

use vineyard_raft::features;

use crate::scenarios::{PATIENCE_MS, insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
const FOUNDER: usize = 1;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form_of(NODES, FOUNDER, features::LIVES).await;
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", NODES).await;
        insist(|| publish(&client, "kept")).await
    });
    let Some(Ok(made)) = made.await else {
        return stage.demand(false, "the object is made");
    };
    stage.cluster.kill(FOUNDER, true);
    let to = "10.1.0.1".to_owned();
    stage.cluster.readdress(&[(FOUNDER, to)], &[FOUNDER]);
    stage.cluster.restart(FOUNDER);
    let risen = || stage.cluster.board(FOUNDER).borrow().feature_level == features::LATEST;
    let risen = stage.until(PATIENCE_MS, risen).await;
    stage.demand(risen, "the founder is a member at its new address");
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", FOUNDER).await;
        let found = insist(|| client.get_name("kept")).await;
        let kept = matches!(&found, Ok(found) if *found == made);
        there.demand(kept, &format!("the founder finds the name: {found:?}"));
    });
    read.await;
}
