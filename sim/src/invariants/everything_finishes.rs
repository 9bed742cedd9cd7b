//! No call outlives its deadline, and once everything is healed, calls succeed and replicas catch up in bounded time.

use super::Judged;

pub const NAME: &str = "everything_finishes";

/// The longest deadline a call of the workload has (a transfer), with a grace for the client's own timers. A client
/// whose process stood still is not judged.
pub const CALL_MS_MAX: u64 = 65_000;
/// How long a healed cluster may take until every node is up, agrees and answers.
pub const RECOVERY_MS_MAX: u64 = 60_000;

/// Judges how long a call took.
pub fn judge_call(what: &str, took_ms: u64) -> Judged {
    if took_ms <= CALL_MS_MAX {
        return Ok(());
    }
    Err(format!("{what} took {took_ms} ms"))
}
