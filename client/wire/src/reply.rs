//! Replies of the client protocol. An error reply is a `Status` and has no `type`.

#![allow(
    missing_docs,
    reason = "most messages and fields are named as on the wire, and docs/protocol.md says what they mean"
)]

mod group;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::describe::NodeDescription;
pub use crate::events::{Event, ListedEvents};
use crate::id::{InstanceId, NodeId, ObjectId, Signature};
use crate::json::items;
use crate::meta::TreeText;
use crate::stream::{PulledChunks, StreamStatus};
pub use group::{ClusterSettings, GroupStatus, Quorum};

/// A blob's place in the arena.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    pub object_id: ObjectId,
    /// The number under which the client maps the arena; -1 for the empty blob.
    pub store_fd: i32,
    pub data_offset: i64,
    pub data_size: i64,
    /// The arena's size plus 8, as the released client expects.
    pub map_size: i64,
    /// `base + data_offset` for some constant base.
    pub pointer: u64,
    #[serde(default)]
    pub is_sealed: bool,
    #[serde(default = "yes")]
    pub is_owner: bool,
    #[serde(default)]
    pub is_gpu: bool,
}

fn yes() -> bool {
    true
}

/// What a missing version counts as, in both directions.
pub(crate) fn no_version() -> String {
    "0.0.0".to_owned()
}

impl Payload {
    pub fn empty() -> Self {
        Self {
            object_id: ObjectId::EMPTY_BLOB,
            store_fd: -1,
            data_offset: 0,
            data_size: 0,
            map_size: 0,
            pointer: 0,
            is_sealed: false,
            is_owner: true,
            is_gpu: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Register(Registered),
    /// `result` is null.
    DebugCommand,

    /// Also the reply to `CreateRemoteBuffer`. `fd` is -1 unless a memory handle follows the frame.
    CreateBuffer {
        id: ObjectId,
        created: Payload,
        fd: i32,
    },
    CreateBuffers {
        ids: Vec<ObjectId>,
        payloads: Vec<Payload>,
        fds: Vec<i32>,
    },
    Seal,
    /// Also the reply to `GetRemoteBuffers`.
    GetBuffers {
        payloads: Vec<Payload>,
        fds: Vec<i32>,
        compress: bool,
    },
    DropBuffer,
    ShrinkBuffer,
    IncreaseReferenceCount,
    Release,
    IsInUse {
        is_in_use: bool,
    },

    /// Ours. The go-ahead for many bytes says `blobs` alone.
    PutObject(PutDone),
    /// Ours. On a TCP connection the payloads' bytes follow, as after `GetBuffers`.
    GetObject(GotObjects),

    CreateData {
        id: ObjectId,
        signature: Signature,
        instance_id: InstanceId,
    },
    CreateDatas {
        ids: Vec<ObjectId>,
        signatures: Vec<Signature>,
        instance_ids: Vec<InstanceId>,
    },
    /// Reply to `GetData` and `ListData`: `content` keyed by id text, null when empty.
    GetData {
        content: BTreeMap<ObjectId, TreeText>,
    },
    DelData,
    DelDataWithFeedbacks {
        deleted_bids: Vec<ObjectId>,
    },
    Exists {
        exists: bool,
    },
    Persist,
    /// Ours.
    PersistMany,
    IfPersist {
        persist: bool,
    },
    ShallowCopy {
        target_id: ObjectId,
    },
    Label,
    Clear,
    MemoryTrim {
        trimmed: bool,
    },
    MigrateObject {
        object_id: ObjectId,
    },

    PutName,
    GetName {
        object_id: ObjectId,
    },
    ListName {
        names: BTreeMap<String, ObjectId>,
    },
    DropName,

    CreateStream,
    OpenStream,
    GetNextStreamChunk {
        buffer: Payload,
        fd: i32,
    },
    PushNextStreamChunk,
    PullNextStreamChunk(PulledChunks),
    StopStream,
    DropStream,
    /// Ours.
    StreamStatus(StreamStatus),

    ClusterMeta {
        meta: BTreeMap<InstanceId, InstanceInfo>,
    },
    InstanceStatus(InstanceStatus),
    /// Ours.
    ClusterStatus(ClusterStatus),
    /// Ours.
    Token(JoinToken),
    RemoveNode(RemovedNode),
    DrainNode(DrainProgress),
    UncordonNode,
    Configure(ClusterSettings),
    LeaveCluster(Left),
    RecoverCluster(Recovery),
    ListEvents(ListedEvents),
    DescribeNode(Box<NodeDescription>),
}

/// How far a drain is. Bytes and blobs that were made since it began count from when the drain meets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainProgress {
    /// Others have what was persisted here before the drain.
    pub done: bool,
    pub bytes_moved: u64,
    /// Found by the last look. Of a drain that is done: persisted while it ran.
    pub bytes_left: u64,
    pub blobs_moved: u64,
    pub blobs_left: u64,
    /// Transient objects that were persisted, to be moved.
    pub objects_persisted: u64,
    /// Transient objects that stay, and end with the process.
    pub objects_kept: u64,
    /// Blobs that belong to no object, and their bytes: they stay, and end with the process.
    pub loose_blobs: u64,
    pub loose_bytes: u64,
}

/// What a node gave up that left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Persisted blobs of which only it had the bytes, and how many bytes that were.
    pub blobs_lost: u64,
    pub bytes_lost: u64,
}

/// What a recovery starts from, and what it gives up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    pub cluster: String,
    /// Of the cluster after the recovery.
    pub epoch: u64,
    /// The last entry in the log of the node, and the last one that a majority is known to have agreed on.
    pub last_index: u64,
    pub agreed_index: u64,
    /// Milliseconds since the last command in the log was proposed; absent if none is left there.
    pub written_ms: Option<u64>,
    /// Milliseconds since a majority was last known to follow a leader, or since the node began.
    pub quorum_ms: u64,
    /// What stays.
    pub names: u64,
    pub objects: u64,
    /// Persisted objects that lose bytes, and the blobs and bytes of which no copy is left.
    pub objects_lost: u64,
    pub blobs_lost: u64,
    pub bytes_lost: u64,
    #[serde(deserialize_with = "items")]
    pub given_up: Vec<GivenUp>,
}

/// A node that a recovery gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub node: NodeId,
    pub name: String,
    /// Where it listened.
    pub endpoint: String,
    pub votes: bool,
    /// It lives: the recovery gives it up all the same.
    pub answers: bool,
    /// The last entry that it has applied, if it has said so.
    pub applied_index: Option<u64>,
}

/// A node that was taken out, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedNode {
    pub node: NodeId,
    /// Where it listened.
    pub endpoint: String,
    /// Persisted objects of which only this node had bytes.
    pub objects_lost: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub ipc_socket: String,
    pub rpc_endpoint: String,
    pub instance_id: InstanceId,
    pub session_id: i64,
    #[serde(default = "no_version")]
    pub version: String,
    #[serde(default = "yes")]
    pub store_match: bool,
    #[serde(default)]
    pub support_rpc_compression: bool,
    /// Ours: additions this node understands. Absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Ours: when a `GetObject` with `fetch` is answered at the latest, milliseconds. Absent, which is 0, without that
    /// feature.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fetch_ms_max: u32,
    /// Ours: the trace of the connection's first request after this one; the next ones count up. Absent, which is 0,
    /// without that feature.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_trace: u64,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// Ours: what a `PutObject` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDone {
    /// Absent if blobs alone are put.
    #[serde(flatten)]
    pub object: Option<MadeObject>,
    /// The blobs whose bytes come along, in their order.
    #[serde(deserialize_with = "items")]
    pub blobs: Vec<ObjectId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeObject {
    pub id: ObjectId,
    pub signature: Signature,
    pub instance_id: InstanceId,
}

/// Ours: what a `GetObject` found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GotObjects {
    pub content: BTreeMap<ObjectId, TreeText>,
    /// Of every blob below that is on this node, each once.
    pub payloads: Vec<Payload>,
    pub fds: Vec<i32>,
    pub compress: bool,
}

/// One instance in `cluster_meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    pub hostid: u64,
    pub hostname: String,
    pub nodename: String,
    pub ipc_socket: String,
    /// `host:port`, exactly one colon.
    pub rpc_endpoint: String,
    pub timestamp: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    pub deployment: String,
    pub instance_id: InstanceId,
    /// Bytes of live blobs, not rounded.
    pub memory_usage: u64,
    pub memory_limit: u64,
    pub deferred_requests: u64,
    pub ipc_connections: u64,
    pub rpc_connections: u64,
    /// Ours; released servers do not say it.
    #[serde(flatten)]
    pub pieces: Option<MemoryPieces>,
}

/// Why less fits than is free. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPieces {
    /// Of deleted blobs that somebody still reads; not in `memory_usage`.
    pub deleted_bytes: u64,
    /// The largest blob that fits.
    pub largest_free_bytes: u64,
}

/// Ours: what a node needs to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub token: String,
    /// The token before it is valid until then, milliseconds since the Unix epoch; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_until_unix_ms: Option<u64>,
}

/// Ours: `vineyardctl status -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub cluster: GroupStatus,
    pub nodes: Vec<NodeStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Leader,
    Voter,
    Learner,
}

/// What is known of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    Up,
    Unreachable,
    /// Replaced by a later boot of its node.
    Gone,
    /// Stopped in order, and not started since. Said to clients with the feature `states`; to others it is
    /// `Unreachable`.
    Stopped,
}

/// One node. The stats are absent when the node did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub instance_id: InstanceId,
    pub role: Role,
    pub state: Liveness,
    pub endpoint: String,
    pub ipc_socket: String,
    #[serde(flatten)]
    pub about: NodeAbout,
    #[serde(flatten)]
    pub stats: Option<NodeStats>,
    /// Absent for nodes of earlier builds, too.
    #[serde(flatten)]
    pub pieces: Option<MemoryPieces>,
    /// Absent for nodes of earlier builds, too.
    #[serde(flatten)]
    pub streams: Option<StreamTotals>,
}

/// What is known of a node besides its figures; what is not known is absent, for nodes of earlier builds too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAbout {
    /// As `--name` says, else the name of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Its clock when it was asked, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_ms: Option<u64>,
    /// Entries of the log that are committed, as far as is known, and not applied there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Milliseconds since the leader last heard the node, or the node that was asked the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// Why the node takes no part in the cluster any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What its disk lacks, if it has too little room: while it leads, nothing new is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<String>,
    /// Why it takes no copies of what others have, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordon: Option<Cordon>,
    /// Bytes of metadata of its objects that are not persisted, and how many it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient_quota_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cordon {
    /// It was drained, or is being drained, and stays a member.
    Drains,
    /// It is about to leave the cluster.
    Leaves,
}

/// All streams of a node, those included that it reads from other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    pub streams: u64,
    /// Chunks that wait for a reader, or that one has got and is not done with.
    pub stream_chunks: u64,
    /// Bytes of those, of chunks that are being written, and of those that are kept for replay.
    pub stream_bytes: u64,
    /// Writers and readers that wait for the other side.
    pub stream_waits: u64,
}

/// Bytes unless the name says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStats {
    pub memory_usage: u64,
    pub memory_limit: u64,
    /// Pairs of (connection, blob).
    pub references: u64,
    pub unsealed: u64,
    pub blobs: u64,
    pub objects: u64,
    pub ipc_connections: u64,
    pub rpc_connections: u64,
    /// Requests that wait for something to appear.
    pub waiting: u64,
    pub open_fds: u64,
    pub rss: u64,
}
