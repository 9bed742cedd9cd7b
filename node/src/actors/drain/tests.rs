//! Who is told how a drain ended.

use std::time::Duration;

use super::*;
use crate::testing::with_node;

const PATIENCE: Duration = Duration::from_secs(20);

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"));
}

#[test]
fn a_drain_whose_outcome_nobody_fetched_is_not_the_next_one() {
    with_node(Default::default(), async |test| {
        let node = &test.node.context;
        let me = node.instance.node();
        let is_cordoned = || node.meta.state().cordon_of(me).is_some();
        // The caller leaves at once; the drain goes on and ends.
        let left = timeout(Duration::ZERO, node.drain.step(node, false, true)).await;
        assert!(left.is_err(), "{left:?}");
        until("the drain has ended", || {
            matches!(*node.drain.stage.borrow(), Stage::Ended { .. })
        })
        .await;
        assert!(is_cordoned());
        let uncordon = Command::Cordon {
            node: me,
            cordon: None,
        };
        registration::submit(node, uncordon).await.unwrap();
        until("the node takes copies", || !is_cordoned()).await;
        let mut progress = node.drain.step(node, false, true).await.unwrap();
        while !progress.done {
            progress = node.drain.step(node, false, false).await.unwrap();
        }
        assert!(is_cordoned(), "it was drained again");
    });
}

#[test]
fn a_caller_who_follows_a_drain_is_told_how_it_ended() {
    with_node(Default::default(), async |test| {
        let node = &test.node.context;
        let left = timeout(Duration::ZERO, node.drain.step(node, false, true)).await;
        assert!(left.is_err(), "{left:?}");
        until("the drain has ended", || {
            matches!(*node.drain.stage.borrow(), Stage::Ended { .. })
        })
        .await;
        let told = node.drain.step(node, false, false).await.unwrap();
        assert!(told.done, "{told:?}");
        assert!(matches!(*node.drain.stage.borrow(), Stage::Idle));
    });
}
