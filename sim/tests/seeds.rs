//! A small share of the seeds, whole. The command line runs as many as one likes.

use vineyard_sim::injected::InjectedFault;
use vineyard_sim::report::Report;
use vineyard_sim::seed::run_seed;
use vineyard_sim::stage::{Outcome, Settings};

/// Seeds within which an injected fault has to be found.
const SEEDS_TO_FIND: u64 = 12;

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

/// Finds the first seed that notices the fault.
fn found(name: &str) {
    let injected: InjectedFault = name.parse().expect("the fault is in the table");
    let noticed = (0..SEEDS_TO_FIND).find(|seed| {
        let settings = Settings {
            seed: *seed,
            injected: Some(injected),
            output: None,
        };
        !run_seed(settings).violations.is_empty()
    });
    assert!(
        noticed.is_some(),
        "{name} is not noticed within {SEEDS_TO_FIND} seeds"
    );
}

#[test]
fn a_fault_in_a_handler_is_found() {
    found("leaked_reference");
}

#[test]
fn a_fault_in_apply_is_found() {
    found("put_name_ignores_condition");
}

#[test]
fn a_fault_in_the_codec_is_found() {
    found("codec_rounds_integers");
}

#[test]
fn a_fault_in_what_status_says_is_found() {
    found("status_trusts_the_last_leader");
}
