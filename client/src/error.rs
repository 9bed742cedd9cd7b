//! Why a call did not succeed.

use std::io;
use std::time::Duration;

use vineyard_shm::SliceError;
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

/// What a call waits for until the socket is open, as errors name it.
pub(crate) const CONNECTING: &str = "connecting to";

/// A call's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way a call may fail. After `Deadline`, `Io`, `Malformed`, `Mismatch` or `Closed` the connection is of no
/// more use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node refused.
    #[error("{code:?}: {message}")]
    Status {
        /// What kind of refusal.
        code: Code,
        /// The node's words.
        message: String,
    },
    /// Nothing came in time. Whether the node acted on the request is not known.
    #[error("waited {after:?} for {waited_for}")]
    Deadline {
        /// The step, and of which request.
        waited_for: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection failed, or could not be made.
    #[error("{during}: {source}")]
    Io {
        /// The step that failed.
        during: String,
        /// Why.
        source: io::Error,
    },
    /// The node sent what the protocol does not allow here.
    #[error("malformed reply to {request}: {reason}")]
    Malformed {
        /// The request's name on the wire.
        request: &'static str,
        /// What is wrong with the reply.
        reason: String,
    },
    /// The node answered another question than the one asked.
    #[error("the reply to {request} was {got}")]
    Mismatch {
        /// The request's name on the wire.
        request: &'static str,
        /// The beginning of the reply.
        got: String,
    },
    /// The connection is closed: by `close`, by the node, or because an earlier call was left in the middle.
    #[error("the connection to {endpoint} is closed")]
    Closed {
        /// The node's socket or `host:port`.
        endpoint: String,
    },
    /// The object is known, but `blob`, a part of it on `instance`, is not there any more.
    #[error("{blob} of {object} is lost: it was on {instance}, which has none of its bytes")]
    Lost {
        /// The object that was read.
        object: ObjectId,
        /// The part of it that is missing.
        blob: ObjectId,
        /// Where the part was.
        instance: InstanceId,
    },
    /// The object is known, but the instance that holds a part of it is not in the cluster now (no `cause`), or does
    /// not answer.
    #[error("{blob} of {object} is out of reach: {instance} {}", why(cause))]
    OutOfReach {
        /// The object that was read.
        object: ObjectId,
        /// The part of it that is missing.
        blob: ObjectId,
        /// Where the part was.
        instance: InstanceId,
        /// Where the instance said that it listens.
        endpoint: Option<String>,
        /// Why it does not answer; `None`: it is not in the cluster.
        cause: Option<Box<Error>>,
    },
    /// The bytes cannot be borrowed, most likely because a released blob is still in use here.
    #[error("cannot map the blob: {0}")]
    Mapping(#[from] SliceError),
    /// No address was given: neither variable is set.
    #[error("neither VINEYARD_IPC_SOCKET nor VINEYARD_RPC_ENDPOINT is set")]
    NoAddress,
}

impl Error {
    /// The node's code, if the node refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the node said that there is no such object or name.
    pub fn is_not_exists(&self) -> bool {
        matches!(
            self.code(),
            Some(Code::ObjectNotExists | Code::MetaTreeSubtreeNotExists)
        )
    }

    /// Whether an answer did not come in time, to this client or to the node that it asked.
    pub fn is_deadline(&self) -> bool {
        match self {
            Self::Status { code, message } => Status::is_deadline(*code, message),
            Self::Deadline { .. } => true,
            _ => false,
        }
    }

    /// Whether a node was reached that refuses, or that leaves a request without an answer.
    pub fn has_reached_the_node(&self) -> bool {
        match self {
            Self::Deadline { waited_for, .. } => !waited_for.starts_with(CONNECTING),
            Self::Status { .. } => true,
            _ => false,
        }
    }

    /// Whether the object is known, and its bytes are gone or out of reach.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Status { code, message } => Status::is_lost(*code, message),
            Self::Lost { .. } | Self::OutOfReach { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn malformed(request: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            request,
            reason: reason.into(),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status {
            code: status.code,
            message: status.message,
        }
    }
}

fn why(cause: &Option<Box<Error>>) -> String {
    match cause {
        Some(cause) => format!("does not answer: {cause}"),
        None => "is not in the cluster now".to_owned(),
    }
}
