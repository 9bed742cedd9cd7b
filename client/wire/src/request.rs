//! Requests of the client protocol: one struct per verb, one variant each.
//!
//! Field names are the wire's. What we added to vineyard 0.24 is marked "Ours"; old clients never send it.

#![allow(
    missing_docs,
    reason = "most messages and fields are named as on the wire, and docs/protocol.md says what they mean"
)]

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::describe::DescribeNode;
use crate::id::{NodeId, ObjectId};
use crate::json::items;
use crate::meta::Tree;
use crate::reply::no_version;
use crate::stream::{
    CreateStream, GetNextStreamChunk, OpenStream, PullNextStreamChunk, PushNextStreamChunk,
    StopStream,
};

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Register(Register),
    Exit,
    DebugCommand,

    CreateBuffer {
        size: u64,
    },
    CreateBuffers {
        sizes: Vec<u64>,
    },
    CreateRemoteBuffer {
        size: u64,
        compress: bool,
    },
    CreateRemoteBuffers {
        sizes: Vec<u64>,
        compress: bool,
    },
    Seal {
        object_id: ObjectId,
    },
    GetBuffers {
        ids: Vec<ObjectId>,
        unsafe_: bool,
    },
    GetRemoteBuffers {
        ids: Vec<ObjectId>,
        unsafe_: bool,
        compress: bool,
    },
    DropBuffer {
        id: ObjectId,
    },
    ShrinkBuffer {
        id: ObjectId,
        size: u64,
    },
    IncreaseReferenceCount {
        ids: Vec<ObjectId>,
    },
    Release {
        object_id: ObjectId,
    },
    /// Ours, and the one request without a reply: this client has dropped its last handle of each blob.
    ReleaseNotice {
        ids: Vec<ObjectId>,
    },
    IsInUse {
        id: ObjectId,
    },

    /// Ours: blobs and the whole tree over them, in one message.
    PutObject(PutObject),
    /// Ours: trees together with the blobs below them that are on this node.
    GetObject(GetObject),

    CreateData {
        content: Tree,
    },
    CreateDatas {
        contents: Vec<Tree>,
    },
    GetData {
        ids: Vec<ObjectId>,
        sync_remote: bool,
        wait: bool,
    },
    ListData {
        pattern: String,
        regex: bool,
        limit: u64,
    },
    DelData(DelData),
    /// Answers with the blobs that were deleted.
    DelDataWithFeedbacks(DelData),
    Exists {
        id: ObjectId,
    },
    Persist {
        id: ObjectId,
    },
    /// Ours: several objects in one log entry, all or nothing.
    PersistMany {
        ids: Vec<ObjectId>,
    },
    IfPersist {
        id: ObjectId,
    },
    ShallowCopy {
        id: ObjectId,
        extra: Tree,
    },
    Label {
        id: ObjectId,
        keys: Vec<String>,
        values: Vec<String>,
    },
    Clear,
    MemoryTrim,
    MigrateObject {
        object_id: ObjectId,
    },

    PutName(PutName),
    GetName(GetName),
    ListName {
        pattern: String,
        regex: bool,
        limit: u64,
    },
    DropName {
        name: String,
    },

    CreateStream(CreateStream),
    OpenStream(OpenStream),
    GetNextStreamChunk(GetNextStreamChunk),
    PushNextStreamChunk(PushNextStreamChunk),
    PullNextStreamChunk(PullNextStreamChunk),
    StopStream(StopStream),
    DropStream {
        id: ObjectId,
    },
    /// Ours.
    StreamStatus {
        id: ObjectId,
    },

    ClusterMeta,
    InstanceStatus,
    /// Ours: the cluster and every node of it, for `vineyardctl status`.
    ClusterStatus,
    /// Ours: the join token. Answered on the Unix socket only.
    Token,
    /// Ours: gives the token another secret; the one before is valid for `grace_ms` more. Answered on the Unix socket
    /// only, with the new token.
    RotateToken {
        grace_ms: u64,
    },
    /// Ours: takes a dead node out of the cluster. Answered on the Unix socket only.
    RemoveNode(RemoveNode),
    /// Ours: cordons a node and moves what only it has to others, or says how far that is. Answered on the Unix socket
    /// only, as are the next two.
    DrainNode(DrainNode),
    /// Ours: ends the cordon of a node.
    UncordonNode {
        node: NodeId,
    },
    /// Ours: takes the node that is asked out of the cluster; its process ends. Unless `discard`, refused while only it
    /// has the bytes of persisted objects.
    LeaveCluster {
        discard: bool,
    },
    /// Ours: makes the node that is asked the only one of a cluster whose majority is gone for ever. Answered on the
    /// Unix socket only.
    RecoverCluster(RecoverCluster),
    /// Ours: sets what it has for the whole cluster, and leaves the rest. Answered on the Unix socket only.
    Configure(Configure),
    /// Ours: what has changed in the cluster since the event `after`, as the node that is asked saw it.
    ListEvents {
        after: u64,
        limit: u64,
    },
    /// Ours: what a node says of itself and of its clients.
    DescribeNode(DescribeNode),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_quota_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverCluster {
    /// The id of the cluster. Without it nothing is changed: the answer says what would be lost, or why it is
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainNode {
    pub node: NodeId,
    /// Transient objects too: they are persisted first.
    #[serde(default)]
    pub all: bool,
    /// The first question of a caller: how a drain ended that is over is no answer to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveNode {
    pub node: NodeId,
    /// Also if persisted objects lose bytes that only this node had.
    #[serde(default)]
    pub lose_objects: bool,
    /// Changes nothing: answers what would be lost, or the refusal.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    #[serde(default = "no_version")]
    pub version: String,
    /// 1 normal, 2 plasma.
    #[serde(default = "normal", deserialize_with = "store_type")]
    pub store_type: u64,
    #[serde(default)]
    pub session_id: i64,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub password: String,
    /// Ours: additions this client understands. Absent when empty.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "items"
    )]
    pub features: Vec<String>,
    /// Ours: for so many milliseconds the client waits for an answer that moves no bytes. The node answers before, with
    /// what it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// Ours: seals, creates, persists and names in one message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PutObject {
    /// Blobs to seal first.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "items"
    )]
    pub seal: Vec<ObjectId>,
    /// The sizes of blobs whose bytes come along: in `bytes`, or, if that is empty, after a first reply that says "go
    /// ahead".
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "items"
    )]
    pub inline: Vec<u64>,
    /// Compress the bytes that a go-ahead asks for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compress: bool,
    /// Members without an `id` are made along with it; `{"typename": "vineyard::Blob", "inline": n}` is the nth blob of
    /// `inline`. Absent: blobs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Tree>,
    #[serde(default)]
    pub persist: bool,
    /// Also points this name to the object, whatever it pointed to before. Needs `persist`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The bytes of `inline`, one after the other; at most `INLINE_BYTES_MAX`. They follow the JSON text in its frame,
    /// after one zero byte, which no JSON text contains.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Ours: objects by id, or one by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetObject {
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "items"
    )]
    pub ids: Vec<ObjectId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// On a TCP connection: compress the bytes that follow the reply.
    #[serde(default)]
    pub compress: bool,
    /// Migrate the one object first, if it is not here; the reply has the id that it has here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fetch: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelData {
    #[serde(rename = "id", deserialize_with = "items")]
    pub ids: Vec<ObjectId>,
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub deep: bool,
    #[serde(default)]
    pub memory_trim: bool,
    /// All ids are blobs; metadata is left alone.
    #[serde(default)]
    pub fastpath: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutName {
    pub object_id: ObjectId,
    pub name: String,
    /// Ours: refuse if the name exists (11) or, with `if_equals`, if it points elsewhere. Absent: overwrite.
    #[serde(default, skip_serializing_if = "is_false")]
    pub if_absent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_equals: Option<ObjectId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetName {
    pub name: String,
    pub wait: bool,
    /// Ours: how long to wait, milliseconds. Absent: as long as the client lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

const NORMAL: u64 = 1;
const PLASMA: u64 = 2;

fn normal() -> u64 {
    NORMAL
}

/// The number, or the name that older clients send.
fn store_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(StoreType)
}

struct StoreType;

impl Visitor<'_> for StoreType {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1, 2, \"Normal\" or \"Plasma\"")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<u64, E> {
        match name {
            "Normal" => Ok(NORMAL),
            "Plasma" => Ok(PLASMA),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
        }
    }
}
