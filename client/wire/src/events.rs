//! What a node tells of the changes that it saw in its cluster.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::json::items;

/// Something that changed in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// They count from 1 in each process of a node.
    pub number: u64,
    /// By the clock of the node that saw it.
    pub unix_ms: u64,
    /// What happened, in a word that does not change.
    pub kind: String,
    /// The node that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The same for people.
    pub text: String,
}

/// The oldest events that were asked for, in their order. A node keeps a bounded number of the latest ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEvents {
    /// At most as many as were asked for.
    #[serde(deserialize_with = "items")]
    pub events: Vec<Event>,
    /// The number of the latest event of the node; 0 before the first.
    pub last: u64,
}
