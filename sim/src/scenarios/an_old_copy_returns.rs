//! A node's disk is put back to an older state. The cluster has seen a later life of it: the node does not come to
//! serve, however often it is started, also if it was alone at first and counted its boots beyond what the cluster has
//! seen. The others go on with what was acknowledged.

use crate::cluster::ip;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const RESTORED: usize = 2;
/// Starts of the old copy while it reaches nobody.
const ALONE: usize = 3;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    // Builds that know no lives cannot tell a copy.
    stage.form_of(3, 0, vineyard_raft::features::LATEST).await;
    stage.cluster.kill(RESTORED, true);
    let old = stage.cluster.machine(RESTORED).platter.copy();
    stage.cluster.restart(RESTORED);
    stage.serves(RESTORED).await;
    let there = stage.clone();
    let made = stage.act("writer", async move {
        let client = there.client("writer", RESTORED).await;
        let made = insist(|| publish(&client, "name")).await;
        client.close().await;
        made
    });
    let made = match made.await {
        Some(Ok(made)) => made,
        other => return stage.demand(false, &format!("publishing is answered: {other:?}")),
    };
    stage.cluster.kill(RESTORED, true);
    stage.cluster.machine(RESTORED).platter.put_back(&old);
    let others = [1, 3];
    for other in others {
        stage.world.net.cut(&ip(RESTORED), &ip(other));
        stage.world.net.cut(&ip(other), &ip(RESTORED));
    }
    for _ in 0..ALONE {
        stage.cluster.restart(RESTORED);
        stage.serves(RESTORED).await;
        stage.cluster.kill(RESTORED, true);
    }
    stage.world.net.heal();
    for _ in 0..3 {
        stage.cluster.restart(RESTORED);
        let failed = || stage.cluster.board(RESTORED).borrow().failure.is_some();
        let ended = stage.until(super::PATIENCE_MS, failed).await;
        stage.demand(ended, "the old copy does not go on");
        let failure = stage.cluster.board(RESTORED).borrow().failure.clone();
        let says_why = failure.as_ref().is_some_and(|why| why.contains("a copy"));
        stage.demand(says_why, &format!("it says why: {failure:?}"));
    }
    for node in others {
        let there = stage.clone();
        let read = stage.act("reader", async move {
            let client = there.client("reader", node).await;
            let found = insist(|| client.get_name("name")).await;
            let kept = matches!(&found, Ok(found) if *found == made);
            there.demand(kept, &format!("n{node} finds the name: {found:?}"));
            client.close().await;
        });
        read.await;
    }
}
