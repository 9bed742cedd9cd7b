//! What a node tells of itself to somebody who looks after it: its settings, what it saw, and what its clients hold.
//!
//! Promise: no secret is in it.

#![allow(
    missing_docs,
    reason = "most fields are named as on the wire, and docs/protocol.md says what they mean"
)]

use serde::{Deserialize, Serialize};

use crate::events::ListedEvents;
use crate::id::{InstanceId, NodeId, ObjectId};
use crate::json::items;
use crate::reply::ClusterStatus;

/// To describe a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeNode {
    /// Absent: the node that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The number of a session: only what it holds is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<u64>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    pub instance_id: InstanceId,
    pub version: String,
    /// Its own view of the cluster. This and the rest is absent if only what one session holds was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ClusterStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<ListedEvents>,
    #[serde(default, deserialize_with = "items")]
    pub settings: Vec<SettingShown>,
    /// Those that hold anything, the largest first.
    #[serde(default, deserialize_with = "items")]
    pub sessions: Vec<SessionHolds>,
    /// How many more hold something.
    #[serde(default)]
    pub sessions_left_out: u64,
    /// The blobs that the session holds, if it was asked for.
    #[serde(default, deserialize_with = "items")]
    pub held: Vec<ObjectId>,
}

/// One setting of a node, named as its flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingShown {
    pub name: String,
    pub value: String,
    pub origin: String,
}

/// One connection of a client, and what it holds. A blob that several hold is counted for the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionHolds {
    /// As in the log.
    pub session: u64,
    /// `process PID` over the Unix socket, else `host:port`.
    pub caller: String,
    /// The number of the user, over the Unix socket.
    pub user: Option<u32>,
    pub blobs: u64,
    pub bytes: u64,
    /// Of these, deleted ones: they stay in place until the client drops what it has of them.
    pub deleted_blobs: u64,
    pub deleted_bytes: u64,
}
