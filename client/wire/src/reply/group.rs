//! What a node says of the whole cluster.

use serde::{Deserialize, Serialize};

use crate::id::InstanceId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    pub id: String,
    /// Instance id of the leader; absent while a majority of the voters is not known to follow one.
    pub leader: Option<InstanceId>,
    pub voters: u64,
    /// Reachable voters minus a majority, now; 0 when the quorum is just met or lost.
    pub tolerates: u64,
    pub commit_index: u64,
    /// Absent for nodes of earlier builds.
    #[serde(flatten)]
    pub quorum: Option<Quorum>,
    /// Which of the clusters of this id it is: each recovery from a lost majority begins the next. Absent for nodes of
    /// earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Absent for nodes of earlier builds.
    #[serde(flatten)]
    pub settings: Option<ClusterSettings>,
    /// Whether the nodes encrypt what they send each other, and why not, in words. Absent for nodes of earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<String>,
}

/// Whether a majority of the voters agrees, as the node that was asked knows it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    pub quorum: bool,
    /// Milliseconds since a majority was last known to follow a leader; without one since the node began.
    pub quorum_ms: u64,
    pub voters_answering: u64,
    pub voters_needed: u64,
}

/// What holds for the whole cluster, and how far it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// The longest round trip between its nodes that is usual; its times are for that.
    pub round_trip_ms: u64,
    /// Bytes of metadata that every node has, and how many it keeps.
    pub metadata_bytes: u64,
    pub metadata_quota_bytes: u64,
}
