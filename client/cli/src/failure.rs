//! What can go wrong, what to say about it, and the exit code that tells a script.

use std::io;
use std::time::Duration;

use serde_json::json;
use vineyard_client::Error;

use crate::health::Health;

/// Wrong usage; clap ends with the same code.
pub(crate) const USAGE: u8 = 2;
const FAILED: u8 = 1;
const UNREACHABLE: u8 = 3;
const NOT_FOUND: u8 = 4;
const DEADLINE: u8 = 5;
const LOST: u8 = 6;
const INTERRUPTED: u8 = 130;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A call to the node failed; `tried` is what it was for.
    #[error("{tried}: {source}")]
    Call { tried: String, source: Error },
    /// A node was reached and does not answer, or does not let this caller in; no other one answers.
    #[error("{place}: {}{source}", if source.is_deadline() { "connected, and no answer: " } else { "" })]
    NotServed { place: String, source: Error },
    /// No node at any of the places that were tried.
    #[error("no node could be reached; tried {tried}")]
    Unreachable { tried: String },
    #[error("there is no object or name {0}")]
    NotFound(String),
    #[error("{id} is a {typename}, not bytes that make a file: {reason}")]
    NotAFile {
        id: String,
        typename: String,
        reason: String,
    },
    #[error("{what}: expected {expected}, found {found}")]
    Corrupt {
        what: String,
        expected: String,
        found: String,
    },
    #[error("cannot {doing}: {source}")]
    Local { doing: String, source: io::Error },
    /// The words of the command line mean nothing.
    #[error("{0}")]
    Usage(String),
    /// Some of several things failed; each was reported when it did.
    #[error("{failed} of {all} failed")]
    Some { failed: usize, all: usize, code: u8 },
    /// A check of the demo was false, or a node of it did not do its part.
    #[error("{0}")]
    Demo(String),
    #[error("interrupted")]
    Interrupted,
    /// What `status --check` found.
    #[error("the cluster is not ready")]
    Unwell(Health),
    #[error("not ready after {} s; last: {missing}", after.as_secs_f64())]
    NotReady { after: Duration, missing: String },
}

impl Failure {
    /// Something on this machine, not at the node.
    pub(crate) fn local(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Local {
            doing: doing.into(),
            source,
        }
    }

    /// What kind of failure it was, in one word that scripts can rely on.
    pub(crate) fn kind(&self) -> &'static str {
        match self.code() {
            USAGE => "usage",
            UNREACHABLE => "unreachable",
            NOT_FOUND => "not_found",
            DEADLINE => "deadline",
            LOST => "lost",
            INTERRUPTED => "interrupted",
            _ => match self {
                Self::Call { source, .. } | Self::NotServed { source, .. }
                    if source.code().is_some() =>
                {
                    "refused"
                }
                _ => "failed",
            },
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({ "code": self.code(), "kind": self.kind(), "message": self.to_string() })
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Call { source, .. } | Self::NotServed { source, .. } => code_of(source),
            Self::Unreachable { .. } => UNREACHABLE,
            Self::NotFound(_) => NOT_FOUND,
            Self::Usage(_) => USAGE,
            Self::Some { code, .. } => *code,
            Self::Interrupted => INTERRUPTED,
            Self::Unwell(health) => *health as u8,
            Self::NotReady { .. } => DEADLINE,
            Self::NotAFile { .. } | Self::Corrupt { .. } | Self::Local { .. } | Self::Demo(_) => {
                FAILED
            }
        }
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        error if error.is_deadline() && error.has_reached_the_node() => DEADLINE,
        error if error.is_lost() => LOST,
        Error::Deadline { .. } | Error::Io { .. } | Error::Closed { .. } | Error::NoAddress => {
            UNREACHABLE
        }
        error if error.is_not_exists() => NOT_FOUND,
        _ => FAILED,
    }
}

/// Says what a call was for when it fails.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Tried<T> for vineyard_client::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|source| Failure::Call {
            tried: what(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vineyard_wire::Code;

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let call = |source| {
            Failure::Call {
                tried: "try".into(),
                source,
            }
            .code()
        };
        let status = |code| Error::Status {
            code,
            message: String::new(),
        };
        assert_eq!(call(status(Code::NotEnoughMemory)), FAILED);
        assert_eq!(call(status(Code::ObjectNotExists)), NOT_FOUND);
        let late = |waited_for: &str| Error::Deadline {
            waited_for: waited_for.into(),
            after: Duration::ZERO,
        };
        assert_eq!(call(late("the reply to status at x")), DEADLINE);
        assert_eq!(call(late("connecting to x")), UNREACHABLE);
        let said = |said: vineyard_wire::Status| call(said.into());
        let second = Duration::from_secs(1);
        let waited = vineyard_wire::Status::deadline("a majority", second);
        assert_eq!(said(waited), DEADLINE);
        assert_eq!(call(status(Code::IoError)), FAILED);
        let lost = vineyard_wire::Status::lost("o1", "are lost");
        assert_eq!(said(lost), LOST);
        let unwell = Failure::Unwell(Health::NoQuorum);
        assert_eq!(unwell.code(), 2);
        assert_eq!(
            call(Error::Closed {
                endpoint: "x".into()
            }),
            UNREACHABLE
        );
        assert_eq!(
            Failure::Unreachable { tried: "x".into() }.code(),
            UNREACHABLE
        );
        assert_eq!(Failure::Usage("x".into()).code(), USAGE);
        assert_eq!(Failure::Demo("x".into()).code(), FAILED);
    }

    #[test]
    fn a_program_reads_code_kind_and_message() {
        let refused = Failure::Call {
            tried: "put".into(),
            source: Error::Status {
                code: Code::NotEnoughMemory,
                message: "full".into(),
            },
        };
        let message = "put: NotEnoughMemory: full";
        assert_eq!(
            refused.json(),
            json!({ "code": 1, "kind": "refused", "message": message })
        );
        assert_eq!(Failure::Demo("x".into()).kind(), "failed");
        assert_eq!(Failure::NotFound("x".into()).kind(), "not_found");
        assert_eq!(Failure::Usage("x".into()).kind(), "usage");
        assert_eq!(Failure::Interrupted.kind(), "interrupted");
    }
}
