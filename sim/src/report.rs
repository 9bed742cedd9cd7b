//! The sum of many runs, for people and for scripts, and whether they did enough for a clean result to mean something.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stage::Outcome;

/// What each seed must do at least.
const SIMULATED_MS_MIN: u64 = 60_000;
const OPERATIONS_MIN: u64 = 300;
/// Of all operations of a run, percent.
const ACKNOWLEDGED_PERCENT_MIN: u64 = 90;
/// Of a run of this many seeds there must be as many leader changes and migrations; fewer seeds may be unlucky.
const SEEDS_TO_JUDGE: u64 = 20;

/// What a failed run says: the seed, the invariant, the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub seed: u64,
    pub invariant: String,
    pub detail: String,
}

/// Counts over runs. Child processes write it as one JSON line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub seeds: u64,
    pub simulated_ms: u64,
    pub operations: u64,
    pub answered: u64,
    /// The fewest operations of any one seed.
    pub operations_min: Option<u64>,
    /// The shortest run.
    pub simulated_ms_min: Option<u64>,
    pub leader_changes: u64,
    pub migrations: u64,
    /// Operations and how many were acknowledged, by kind.
    pub by_operation: BTreeMap<String, (u64, u64)>,
    pub faults: BTreeMap<String, u64>,
    pub failures: Vec<Failure>,
}

impl Report {
    pub fn add(&mut self, outcome: &Outcome) {
        let asked: u64 = outcome.tally.values().map(|tally| tally.asked).sum();
        self.seeds += 1;
        self.simulated_ms += outcome.simulated_ms;
        self.operations += asked;
        self.answered += outcome
            .tally
            .values()
            .map(|tally| tally.answered)
            .sum::<u64>();
        self.operations_min = Some(self.operations_min.map_or(asked, |min| min.min(asked)));
        let ms = outcome.simulated_ms;
        self.simulated_ms_min = Some(self.simulated_ms_min.map_or(ms, |min| min.min(ms)));
        self.leader_changes += outcome.leader_changes;
        self.migrations += outcome.migrations;
        for (operation, tally) in &outcome.tally {
            let sum = self
                .by_operation
                .entry((*operation).to_owned())
                .or_default();
            *sum = (sum.0 + tally.asked, sum.1 + tally.answered);
        }
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        // The first says most: what follows is often its consequence.
        if let Some(violation) = outcome.violations.first() {
            self.failures.push(Failure {
                seed: outcome.seed,
                invariant: violation.invariant.to_owned(),
                detail: violation.to_string(),
            });
        }
    }

    /// What these runs did too little of: a simulator that does nothing finds nothing.
    pub fn shortfalls(&self) -> Vec<String> {
        let mut shortfalls = Vec::new();
        let mut demand = |what: &str, is: u64, least: u64| {
            if is < least {
                shortfalls.push(format!("{what}: {is}, at least {least} are required"));
            }
        };
        let (ms, operations) = (self.simulated_ms_min, self.operations_min);
        demand("simulated ms of a seed", ms.unwrap_or(0), SIMULATED_MS_MIN);
        demand(
            "operations of a seed",
            operations.unwrap_or(0),
            OPERATIONS_MIN,
        );
        let percent = 100 * self.answered / self.operations.max(1);
        demand(
            "acknowledged operations, percent",
            percent,
            ACKNOWLEDGED_PERCENT_MIN,
        );
        if self.seeds >= SEEDS_TO_JUDGE {
            demand("leader changes", self.leader_changes, self.seeds);
            demand("finished migrations", self.migrations, self.seeds);
        }
        shortfalls
    }

    pub fn merge(&mut self, other: Self) {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.seeds += other.seeds;
        self.simulated_ms += other.simulated_ms;
        self.operations += other.operations;
        self.answered += other.answered;
        self.operations_min = least(self.operations_min, other.operations_min);
        self.simulated_ms_min = least(self.simulated_ms_min, other.simulated_ms_min);
        self.leader_changes += other.leader_changes;
        self.migrations += other.migrations;
        for (operation, (asked, answered)) in other.by_operation {
            let sum = self.by_operation.entry(operation).or_default();
            *sum = (sum.0 + asked, sum.1 + answered);
        }
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.answered as f64 / self.operations.max(1) as f64;
        let hours = self.simulated_ms as f64 / 3_600_000.0;
        writeln!(f, "seeds            {}", self.seeds)?;
        writeln!(
            f,
            "simulated time   {:.1} s ({hours:.2} h), at least {:.1} s per seed",
            self.simulated_ms as f64 / 1000.0,
            self.simulated_ms_min.unwrap_or(0) as f64 / 1000.0
        )?;
        writeln!(
            f,
            "operations       {}, at least {} per seed; {share:.1} % acknowledged",
            self.operations,
            self.operations_min.unwrap_or(0)
        )?;
        for (operation, (asked, answered)) in &self.by_operation {
            let share = 100.0 * *answered as f64 / (*asked).max(1) as f64;
            writeln!(f, "  {operation:<14} {asked:>9}  {share:>5.1} %")?;
        }
        writeln!(f, "leader changes   {}", self.leader_changes)?;
        writeln!(f, "migrations       {} finished", self.migrations)?;
        writeln!(f, "faults           {}", self.faults.values().sum::<u64>())?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {kind:<20} {count:>7}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enough() -> Report {
        Report {
            seeds: 1000,
            simulated_ms: 60_000_000,
            simulated_ms_min: Some(60_000),
            operations: 300_000,
            operations_min: Some(300),
            answered: 270_000,
            leader_changes: 1000,
            migrations: 1000,
            ..Report::default()
        }
    }

    #[test]
    fn a_run_that_did_enough_has_no_shortfall() {
        assert_eq!(enough().shortfalls(), Vec::<String>::new());
    }

    #[test]
    fn each_total_is_judged() {
        let short: [fn(&mut Report); 5] = [
            |report| report.simulated_ms_min = Some(59_999),
            |report| report.operations_min = Some(299),
            |report| report.answered = 269_000,
            |report| report.leader_changes = 999,
            |report| report.migrations = 999,
        ];
        for shorten in short {
            let mut report = enough();
            shorten(&mut report);
            assert_eq!(report.shortfalls().len(), 1, "{report}");
        }
    }

    #[test]
    fn a_few_seeds_may_be_unlucky_with_leaders() {
        let mut report = enough();
        (report.seeds, report.leader_changes) = (SEEDS_TO_JUDGE - 1, 0);
        assert_eq!(report.shortfalls(), Vec::<String>::new());
    }
}
