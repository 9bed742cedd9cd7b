//! All nodes end, and all are started at once at other addresses: behind the same names, at new addresses of which each
//! knows one, or each at the address that another one had. They find each other, and nothing that was acknowledged is
//! lost.

use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
/// Simulated milliseconds until names are read again, at most.
const FOUND_WITHIN_MS: u64 = 10_000;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let (named, exchanged) = match stage.world.seed % 3 {
        0 => (true, false),
        1 => (false, false),
        _ => (false, true),
    };
    if named {
        stage.cluster.name_nodes();
    }
    stage.form(NODES).await;
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", 2).await;
        insist(|| publish(&client, "kept")).await
    });
    let Some(Ok(made)) = made.await else {
        return stage.demand(false, "the object is made");
    };
    for round in 1..=2 {
        let power = stage.world.seed.is_multiple_of(2);
        for node in 1..=NODES {
            stage.cluster.kill(node, power);
        }
        let to = |node: usize| match exchanged {
            true => stage.cluster.ip(node % NODES + 1),
            false => format!("10.{round}.0.{node}"),
        };
        let moves: Vec<_> = (1..=NODES).map(|node| (node, to(node))).collect();
        stage.cluster.readdress(&moves, &[NODES]);
        for node in 1..=NODES {
            stage.cluster.restart(node);
        }
        let restarted_ms = stage.world.now_ms();
        for node in 1..=NODES {
            let there = stage.clone();
            let read = stage.act("reader", async move {
                let client = there.client("reader", node).await;
                let found = insist(|| client.get_name("kept")).await;
                let kept = matches!(&found, Ok(found) if *found == made);
                there.demand(kept, &format!("n{node} finds the name: {found:?}"));
            });
            read.await;
        }
        let took_ms = stage.world.now_ms() - restarted_ms;
        let soon = took_ms <= FOUND_WITHIN_MS;
        stage.demand(soon, &format!("names are read after {took_ms} ms"));
    }
}
