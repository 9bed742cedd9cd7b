//! No call outlives its deadline, and once everything is healed, calls succeed and replicas catch up in bounded time.

use super::Judged;

pub const NAME: &str = "everything_finishes";

/// The longest an operation of the workload may take: a few calls, each within its deadline, the longest of them a
/// migration and a read of the copy.
pub const CALL_MS_MAX: u64 = 100_000;
/// How long a healed cluster may take until every node is up, agrees and answers.
pub const RECOVERY_MS_MAX: u64 = 60_000;

/// Judges how long a call took.
pub fn judge_call(what: &str, took_ms: u64) -> Judged {
    if took_ms <= CALL_MS_MAX {
        return Ok(());
    }
    Err(format!("{what} took {took_ms} ms"))
}
