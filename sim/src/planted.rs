//! Bugs that a run can be given on purpose, to show that the checks would find them.
//!
//! The bugs themselves stand where they would stand in real life, in the node, the raft group and the codec, each
//! behind a switch that only this crate can turn. This file only knows their names.

use std::fmt;
use std::str::FromStr;

/// A planted bug: its name, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planted(&'static (&'static str, &'static str));

/// Every bug that can be planted.
pub const ALL: [(&str, &str); 6] = [
    (
        "stale_name_read",
        "handler: get_name answers from the local state, without the quorum",
    ),
    (
        "leaked_reference",
        "handler: a connection that closes keeps its references",
    ),
    (
        "put_name_ignores_condition",
        "apply: a conditional put_name puts in any case",
    ),
    (
        "retry_applies_again",
        "apply: a retried command takes effect a second time",
    ),
    (
        "codec_rounds_integers",
        "codec: integers of a request pass through a float",
    ),
    (
        "ack_before_durable",
        "log: entries count as durable before the disk synced them",
    ),
];

impl Planted {
    pub fn name(self) -> &'static str {
        self.0.0
    }
}

/// No such bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBug(pub String);

impl fmt::Display for UnknownBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no bug named {:?}; there are:", self.0)?;
        ALL.iter()
            .try_for_each(|(name, what)| write!(f, "\n  {name}: {what}"))
    }
}

impl std::error::Error for UnknownBug {}

impl FromStr for Planted {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let found = ALL.iter().find(|(other, _)| *other == name);
        found.map(Self).ok_or_else(|| UnknownBug(name.to_owned()))
    }
}

/// Turns on, for this thread, the bugs of code that is given no `Env`.
pub(crate) fn arm(planted: Option<Planted>) {
    let rounds = planted.is_some_and(|bug| bug.name() == "codec_rounds_integers");
    vineyard_wire::json::plant_rounding(rounds);
}
