//! openraft's generics, filled in once for the real and the simulated world.

pub(crate) mod runtime;

use std::fmt;
use std::sync::Arc;

use openraft::impls::leader_id_std;
use serde::{Deserialize, Serialize};
use vineyard_wire::NodeId;

use crate::command::{Entry, Outcome};
use crate::machine::{Image, Machine};
use crate::types::runtime::Runtime;

/// What the membership knows of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// `host:port`; a registered instance's endpoint is preferred to it.
    pub(crate) endpoint: String,
}

openraft::declare_raft_types!(
    /// At most one leader per term, entries shared rather than copied.
    pub(crate) TypeConfig:
        D = Arc<Entry>,
        R = Outcome,
        NodeId = NodeId,
        Node = Address,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = Runtime,
        ErrorSource = Reason,
);

/// Why something failed, in the words of what failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub(crate) struct Reason(String);

impl openraft::errors::ErrorSource for Reason {
    fn from_error<E: std::error::Error + 'static>(error: &E) -> Self {
        Self(error.to_string())
    }

    fn from_string(reason: impl ToString) -> Self {
        Self(reason.to_string())
    }
}

pub(crate) type Raft = openraft::Raft<TypeConfig, Machine>;
pub(crate) type LogEntry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<Arc<Entry>, NodeId, Address>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Members = openraft::Membership<NodeId, Address>;
pub(crate) type Membership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Image>;

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.request {
            Some(key) => write!(f, "command {} of {}", key.sequence, key.instance),
            None => f.write_str("command without a key"),
        }
    }
}
