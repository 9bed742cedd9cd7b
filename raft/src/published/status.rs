//! What a node says of its group.

use std::collections::BTreeMap;

use vineyard_wire::NodeId;

/// The group as this node sees it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub leader: Option<NodeId>,
    pub me: NodeId,
    pub is_leader: bool,
    pub voters: Vec<NodeId>,
    pub learners: Vec<NodeId>,
    pub term: u64,
    pub commit_index: u64,
    pub applied_index: u64,
    /// On the leader: milliseconds since each other member last answered.
    pub silent_ms: BTreeMap<NodeId, u64>,
}
