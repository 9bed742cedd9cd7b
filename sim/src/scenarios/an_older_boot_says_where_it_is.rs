//! A copy of a node's disk of before is started elsewhere while the node is away. It says where it listens, as a node
//! does that moved. The others know a later boot: they go on to dial the node where that is, and the copy ends.

use std::time::Duration;

use tokio::time::sleep;

use crate::scenarios::insist;
use crate::stage::{Outcome, Settings, Stage, run};

const COPIED: usize = 2;
/// Boots of the node that the copy does not know of.
const LATER_BOOTS: usize = 2;

/// Long enough for the others to dial a node, or to try.
const AWAY: Duration = Duration::from_secs(1);

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    // Builds that know no lives cannot tell a copy.
    stage.form_of(3, 0, vineyard_raft::features::LATEST).await;
    stage.cluster.kill(COPIED, true);
    let old = stage.cluster.machine(COPIED).platter.copy();
    for boot in 1..=LATER_BOOTS {
        // The last one has moved, and the others have its own word of it.
        let moves = [(COPIED, format!("10.{boot}.0.{COPIED}"))];
        stage.cluster.readdress(&moves, &[1]);
        stage.cluster.restart(COPIED);
        stage.serves(COPIED).await;
        // The others dial it, and the checks see that.
        sleep(AWAY).await;
        stage.cluster.kill(COPIED, true);
    }
    let real = stage.cluster.machine(COPIED).platter.copy();
    stage.cluster.machine(COPIED).platter.put_back(&old);
    let moves = [(COPIED, format!("10.9.0.{COPIED}"))];
    stage.cluster.readdress(&moves, &[1]);
    stage.cluster.restart(COPIED);
    let failed = || stage.cluster.board(COPIED).borrow().failure.is_some();
    let ended = stage.until(super::PATIENCE_MS, failed).await;
    stage.demand(ended, "the copy does not go on");
    // The others go by what they know meanwhile; the checks look at it.
    sleep(AWAY).await;
    stage.cluster.kill(COPIED, true);
    stage.cluster.machine(COPIED).platter.put_back(&real);
    stage.cluster.restart(COPIED);
    stage.serves(COPIED).await;
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", COPIED).await;
        let names = insist(|| client.get_name("absent")).await;
        let answered = matches!(
            &names,
            Err(vineyard_client::Error::Status { code, .. })
                if *code == vineyard_wire::Code::ObjectNotExists
        );
        there.demand(answered, &format!("the node is a member again: {names:?}"));
    });
    read.await;
}
