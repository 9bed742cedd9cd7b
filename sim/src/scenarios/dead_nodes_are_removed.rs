//! Five vote, two die for good and are removed: three vote, one more may die. A node that lives is not removed, and one
//! that was removed and returns is told so and ends.

use vineyard_client::Error;
use vineyard_wire::NodeId;

use crate::invariants::the_removed_do_not_count;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 5;
const DEAD: [usize; 2] = [4, 5];

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    // Earlier builds do not know that nodes are removed.
    stage
        .form_of(NODES, 0, vineyard_raft::features::LATEST)
        .await;
    let voters = |of: usize| stage.cluster.board(of).borrow().voters.len();
    let five = stage.until(super::PATIENCE_MS, || voters(1) == NODES).await;
    stage.demand(five, "five vote");
    let node_of = |number: usize| {
        let lives = stage.cluster.lives();
        let found = lives.iter().find(|(known, _, _)| *known == number);
        found.map(|(_, _, instance)| instance.node())
    };
    let dead: Vec<NodeId> = DEAD.into_iter().filter_map(node_of).collect();
    let Some(alive) = node_of(2) else {
        return stage.demand(false, "n2 serves");
    };
    for number in DEAD {
        stage.cluster.kill(number, true);
    }
    let gone = dead.clone();
    let there = stage.clone();
    let removed = stage.act("operator", async move {
        let client = there.client("operator", 1).await;
        let refused = client.remove_node(alive, true, false).await;
        let refused =
            matches!(&refused, Err(Error::Status { message, .. }) if message.contains("answers"));
        there.demand(refused, "a node that lives is not removed");
        for node in dead {
            // The leader has to notice first.
            let removed = loop {
                match client.remove_node(node, true, false).await {
                    Err(Error::Status { message, .. }) if message.contains("answers") => {
                        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                    }
                    removed => break removed,
                }
            };
            there.demand(removed.is_ok(), &format!("{node} is removed: {removed:?}"));
        }
        client.close().await;
    });
    removed.await;
    let three = stage.until(super::PATIENCE_MS, || voters(1) == 3).await;
    let voting = stage.cluster.board(1).borrow().voters.clone();
    let judged = the_removed_do_not_count::judge(&voting, &gone);
    stage
        .oracle
        .borrow_mut()
        .hold(the_removed_do_not_count::NAME, judged);
    if !three {
        return stage.demand(false, "three vote");
    }
    stage.cluster.kill(3, true);
    let there = stage.clone();
    let published = stage.act("writer", async move {
        let client = there.client("writer", 2).await;
        insist(|| publish(&client, "kept")).await
    });
    let published = published.await;
    let kept = matches!(published, Some(Ok(_)));
    stage.demand(kept, &format!("two of three go on: {published:?}"));
    for number in DEAD {
        ends_when_it_returns(&stage, number).await;
    }
}

/// A node that was removed learns it when it starts again, and ends.
async fn ends_when_it_returns(stage: &Stage, number: usize) {
    stage.cluster.restart(number);
    let failed = || stage.cluster.board(number).borrow().failure.is_some();
    let ended = stage.until(super::PATIENCE_MS, failed).await;
    let failure = stage.cluster.board(number).borrow().failure.clone();
    let says_why = failure
        .as_ref()
        .is_some_and(|why| why.contains("was removed"));
    stage.demand(
        ended && says_why,
        &format!("n{number} says why: {failure:?}"),
    );
}
