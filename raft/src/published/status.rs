//! What a node says of its group.

use std::collections::BTreeMap;

use vineyard_wire::NodeId;

use crate::error::Shortage;

/// The group as this node sees it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who led when this node last heard of a leader. Whether that is still so is what `has_quorum` says.
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
    /// A majority of the voters is known to have followed the leader within the last moments.
    pub has_quorum: bool,
    /// Milliseconds since a majority was last known to follow a leader; without one since this process began.
    pub quorum_ms: u64,
    /// Milliseconds since the leader last heard each other member, and this node the leader. A member that this leader
    /// has not heard yet counts from shortly before the begin of its term. Empty if the leader has not said it.
    pub members_ms: BTreeMap<NodeId, u64>,
    /// Why this node takes no part any more, if it does not.
    pub failure: Option<String>,
    /// What this node's disk lacks, if it has too little room.
    pub shortage: Option<Shortage>,
}

impl Status {
    /// Who leads, if a majority is known to follow.
    pub fn leader_now(&self) -> Option<NodeId> {
        self.leader.filter(|_| self.has_quorum)
    }

    /// How many voters it takes to agree on anything.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}
