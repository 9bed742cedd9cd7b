//! A voter dies for good. After the time that the leader was told, a learner that lives has its vote: one more voter
//! may die, and names can still be set. When the first one returns it is a member, and follows.

use std::time::Duration;

use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

/// Three vote, one learns.
const NODES: usize = 4;
const REPLACE_AFTER: Duration = Duration::from_secs(5);

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.cluster.replace_voters_after(REPLACE_AFTER);
    stage.form(NODES).await;
    let mut dead = Vec::new();
    for round in 1..=2 {
        let voters = || {
            let asked = stage.cluster.leader()?;
            let board = stage.cluster.board(asked);
            let voters = board.borrow().voters.clone();
            (voters.len() == 3).then_some(voters)
        };
        let numbered = |voters: &[vineyard_wire::NodeId]| -> Vec<usize> {
            let lives = stage.cluster.lives().into_iter();
            let votes = lives.filter(|(_, _, instance)| voters.contains(&instance.node()));
            votes.map(|(number, _, _)| number).collect()
        };
        // Before the second death the vote of the first has passed on: three that live vote.
        let three_live = || voters().is_some_and(|voters| numbered(&voters).len() == 3);
        let passed = stage.until(super::PATIENCE_MS, three_live).await;
        stage.demand(
            passed,
            &format!("three that live vote before death {round}"),
        );
        let Some(voters) = voters() else { return };
        let Some(victim) = numbered(&voters).last().copied() else {
            return stage.demand(false, "somebody votes");
        };
        stage.cluster.kill(victim, true);
        dead.push(victim);
        let alive = (1..=NODES).find(|node| !dead.contains(node)).unwrap_or(1);
        let there = stage.clone();
        let name = format!("after death {round}");
        let published = stage.act("writer", async move {
            let client = there.client("writer", alive).await;
            let published = insist(|| publish(&client, &name)).await;
            client.close().await;
            published
        });
        let published = published.await;
        stage.demand(
            matches!(published, Some(Ok(_))),
            &format!("names can be set after death {round}: {published:?}"),
        );
    }
    for number in dead {
        stage.cluster.restart(number);
        stage.serves(number).await;
        let there = stage.clone();
        let read = stage.act("reader", async move {
            let client = there.client("reader", number).await;
            let found = insist(|| client.get_name("after death 2")).await;
            there.demand(found.is_ok(), &format!("n{number} follows: {found:?}"));
            client.close().await;
        });
        read.await;
    }
}
