//! A small share of the seeds, whole. The command line runs as many as one likes.

use vineyard_sim::report::Report;
use vineyard_sim::seed::run_seed;
use vineyard_sim::stage::{Outcome, Settings};

fn seed(seed: u64) -> Outcome {
    run_seed(Settings {
        seed,
        ..Settings::default()
    })
}

#[test]
fn a_few_seeds_run_clean() {
    let mut report = Report::default();
    for number in 0..4 {
        report.add(&seed(number));
    }
    assert_eq!(report.failures, []);
    assert!(report.operations_min >= Some(300), "{report}");
    assert!(report.simulated_ms_min >= Some(60_000), "{report}");
    assert!(
        report.leader_changes > 0 && report.migrations > 0,
        "{report}"
    );
}

#[test]
fn a_seed_gives_one_trace_and_two_seeds_give_two() {
    let (one, again, other) = (seed(u64::MAX), seed(u64::MAX), seed(17));
    assert_eq!((one.hash, one.lines), (again.hash, again.lines));
    assert_ne!(one.hash, other.hash);
}
