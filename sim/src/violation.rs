//! A broken promise, and where it showed.

use std::fmt;

/// What the run found to be untrue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name: that of its file in `invariants/`.
    pub invariant: &'static str,
    /// The facts, for a person.
    pub detail: String,
    /// Simulated time, milliseconds.
    pub at_ms: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {} ms: {}",
            self.invariant, self.at_ms, self.detail
        )
    }
}
