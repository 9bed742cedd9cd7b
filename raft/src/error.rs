//! Why a request to the group did not succeed.

mod shortage;

use std::time::Duration;

use vineyard_wire::NodeId;

use crate::command::Refusal;
pub use shortage::Shortage;

/// What `Meta` answers when it does not succeed. A refusal is an answer of the replicated state; the rest are faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command may or may not take effect later.
    #[error("no answer within {} ms; was waiting for {waited_for}", after.as_millis())]
    Deadline { waited_for: String, after: Duration },
    #[error("the command has {bytes} bytes; at most {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    /// Not proposed: the leader's disk has too little room.
    #[error("the disk of the leading node {node} is short of room: {shortage}")]
    NoRoom { node: NodeId, shortage: Shortage },
    #[error("the metadata group of this node has stopped")]
    Stopped,
    /// A newer build wrote the next entry or snapshot. What it means is not known here, so nothing more is applied;
    /// what is stored stays as it is, for a newer build to go on with.
    #[error(
        "a newer build wrote what comes next (version {version}; this one understands {understood}): upgrade this node"
    )]
    Newer { version: u8, understood: u8 },
    /// Not proposed: some member of the cluster would not understand it.
    #[error(
        "this needs feature level {needed}; the cluster is at {level} until all of its nodes are upgraded"
    )]
    FeatureLevel { needed: u8, level: u8 },
    /// Not admitted: the node would not understand what the cluster has agreed on.
    #[error(
        "the cluster is at feature level {cluster}; a node that knows level {node} only cannot join: upgrade it"
    )]
    TooOld { cluster: u8, node: u8 },
    #[error("not recovered: {reason}")]
    NotRecoverable { reason: &'static str },
    #[error("the disk failed: {0}")]
    Disk(String),
    /// What is stored cannot be used: damaged, or written by a newer version.
    #[error("the stored metadata cannot be used: {0}")]
    Unusable(String),
}
