//! A seed: a cluster, clients, faults, an operator in some, and the checks at the end. What `run`, `twice` and `replay`
//! all run.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::faults::{Counts, Faults};
use crate::operator::Operator;
use crate::rest::Rest;
use crate::stage::{Outcome, Settings, Stage, run};
use crate::trace::Kind;
use crate::workload::Workload;

/// Simulated milliseconds that clients and faults last, after the cluster has formed.
const TROUBLE_MS: u64 = 54_000;
/// Clients go on for this long after the last fault.
const CALM_MS: u64 = 2_000;
/// No run ends before this.
const RUN_MS_MIN: u64 = 60_000;
const CLIENTS: usize = 6;
/// How often, in a thousand seeds, the nodes' memory runs out.
const SCARCE_PER_MILLE: u64 = 120;

/// How often, in a thousand seeds, nodes are dialled by names.
const NAMED_PER_MILLE: u64 = 300;

/// Runs one seed.
pub fn run_seed(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let mut chance = Chance::stream(stage.world.seed, "cast");
    let nodes = match chance.below(10) {
        0 => 1,
        1 => 2,
        2 | 3 => 5,
        4 => 4,
        _ => 3,
    };
    stage.world.trace.note(
        Kind::Event,
        "all",
        format_args!("{nodes} nodes, {CLIENTS} clients"),
    );
    if chance.happens(SCARCE_PER_MILLE) {
        stage.cluster.make_memory_scarce();
        stage.count_faults(Counts::from([("MemoryScarce".to_owned(), 1)]));
    }
    if chance.happens(NAMED_PER_MILLE) {
        stage.cluster.name_nodes();
    }
    stage.form(nodes).await;
    if !stage.oracle.borrow().violations.is_empty() {
        return;
    }
    let trouble = Instant::now() + Duration::from_millis(TROUBLE_MS);
    let calm = trouble + Duration::from_millis(CALM_MS);
    let workload = Workload::start(&stage.world, &stage.cluster, &stage.oracle, CLIENTS, calm);
    let faults = Faults::new(&stage.world, &stage.cluster, &workload);
    // One more node may join with the number in between.
    if let Some(operator) = Operator::of(&stage, trouble, nodes + 2) {
        operator.start();
    }
    let grows = chance.happens(250);
    let late = async {
        sleep(Duration::from_millis(chance.between(5_000, 40_000))).await;
        if grows {
            stage.join(nodes + 1);
        }
    };
    futures::future::join(faults.run(trouble), late).await;
    stage.count_faults(faults.counts());
    sleep_until(calm).await;
    Operator::end(&stage).await;
    let rest = Rest {
        world: stage.world.clone(),
        cluster: stage.cluster.clone(),
        oracle: Rc::clone(&stage.oracle),
    };
    Rc::new(rest).check(&workload).await;
    while stage.world.now_ms() < RUN_MS_MIN {
        sleep(Duration::from_millis(100)).await;
    }
}
