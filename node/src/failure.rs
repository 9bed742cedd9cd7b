//! Turns faults and refusals into the status that a client reads.

use std::time::Duration;

use vineyard_raft::Error as RaftError;
use vineyard_raft::command::Refusal;
use vineyard_raft::state::State;
use vineyard_raft::state::objects::{BlobRow, Lost};
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

/// The instance whose end lost the last bytes of `row`, as far as `me` knows. A node knows that its own earlier boots
/// have ended before the cluster has registered the new one.
pub(crate) fn lost_with(row: &BlobRow, me: InstanceId) -> Option<InstanceId> {
    let is_over = |at: &InstanceId| at.node() == me.node() && at.boot() < me.boot();
    let last = row.locations.last().copied();
    row.lost
        .instance()
        .or(last.filter(|_| row.locations.iter().all(is_over)))
}

/// The error for bytes that were lost with their process, or that a client deleted. Names the blob, the object that it
/// is a part of, and the node.
pub(crate) fn lost(state: &State, id: ObjectId, instance: InstanceId) -> Status {
    let part = match state.parents(id).next() {
        Some(object) => format!(" (a part of {object})"),
        None => String::new(),
    };
    let node = instance.node();
    let fate = match state.blob(id).map(|row| row.lost) {
        Some(Lost::Deleted(_)) => {
            format!("were deleted by a client of node {node} (instance {instance})")
        }
        _ => format!(
            "are lost: they were only on node {node} (instance {instance}), whose process ended"
        ),
    };
    Status::lost(&format!("{id}{part}"), &fate)
}

/// The error for work of the node that ended without an outcome.
pub(crate) fn abandoned(what: &str) -> Status {
    Status::new(
        Code::VineyardServerNotReady,
        format!("{what} was abandoned"),
    )
}

/// The error for a wait that reached its deadline.
pub(crate) fn deadline(waited_for: &str, after: Duration) -> Status {
    Status::deadline(waited_for, after)
}

/// The status for an error of the raft group.
pub(crate) fn from_raft(error: RaftError) -> Status {
    match error {
        RaftError::Refused(refusal) => from_refusal(&refusal),
        RaftError::Deadline { waited_for, after } => deadline(&waited_for, after),
        RaftError::TooLarge { .. } | RaftError::NotRecoverable { .. } => {
            Status::invalid(error.to_string())
        }
        other => Status::new(Code::IoError, other.to_string()),
    }
}

fn from_refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::NoObject { .. } | Refusal::NoName { .. } => Code::ObjectNotExists,
        Refusal::NoMember { .. } => Code::MetaTreeSubtreeNotExists,
        Refusal::NameTaken { .. } => Code::ObjectExists,
        Refusal::NameElsewhere { .. } => Code::KeyError,
        Refusal::MetadataFull { .. } => Code::NotEnoughMemory,
        _ => Code::Invalid,
    };
    Status::new(code, refusal.to_string())
}
