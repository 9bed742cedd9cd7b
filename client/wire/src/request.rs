//! Requests of the client protocol: one struct per verb, one variant each.
//!
//! Field names are the wire's. What we added to vineyard 0.24 is marked "Ours"; old clients never send it.

use crate::id::ObjectId;
use crate::meta::Tree;

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Register(Register),
    Exit,
    DebugCommand,

    CreateBuffer { size: u64 },
    CreateBuffers { sizes: Vec<u64> },
    CreateRemoteBuffer { size: u64, compress: bool },
    CreateRemoteBuffers { sizes: Vec<u64>, compress: bool },
    Seal { object_id: ObjectId },
    GetBuffers { ids: Vec<ObjectId>, unsafe_: bool },
    GetRemoteBuffers { ids: Vec<ObjectId>, unsafe_: bool, compress: bool },
    DropBuffer { id: ObjectId },
    ShrinkBuffer { id: ObjectId, size: u64 },
    IncreaseReferenceCount { ids: Vec<ObjectId> },
    Release { object_id: ObjectId },
    IsInUse { id: ObjectId },

    CreateData { content: Tree },
    CreateDatas { contents: Vec<Tree> },
    GetData { ids: Vec<ObjectId>, sync_remote: bool, wait: bool },
    ListData { pattern: String, regex: bool, limit: u64 },
    DelData(DelData),
    /// Answers with the blobs that were deleted.
    DelDataWithFeedbacks(DelData),
    Exists { id: ObjectId },
    Persist { id: ObjectId },
    /// Ours: several objects in one log entry, all or nothing.
    PersistMany { ids: Vec<ObjectId> },
    IfPersist { id: ObjectId },
    ShallowCopy { id: ObjectId, extra: Tree },
    Label { id: ObjectId, keys: Vec<String>, values: Vec<String> },
    Clear,
    MemoryTrim,
    MigrateObject { object_id: ObjectId },

    PutName(PutName),
    GetName(GetName),
    ListName { pattern: String, regex: bool, limit: u64 },
    DropName { name: String },

    ClusterMeta,
    InstanceStatus,
    /// Ours: the cluster and every node of it, for `vineyardctl status`.
    ClusterStatus,
    /// Ours: the join token. Answered on the Unix socket only.
    Token,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub version: String,
    /// 1 normal, 2 plasma.
    pub store_type: u64,
    pub session_id: i64,
    pub username: String,
    pub password: String,
    /// Ours: additions this client understands.
    pub features: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelData {
    pub ids: Vec<ObjectId>,
    pub force: bool,
    pub deep: bool,
    pub memory_trim: bool,
    /// All ids are blobs; metadata is left alone.
    pub fastpath: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutName {
    pub object_id: ObjectId,
    pub name: String,
    /// Ours: refuse if the name exists (11) or, with `if_equals`, if it points elsewhere. Absent: overwrite.
    pub if_absent: bool,
    pub if_equals: Option<ObjectId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetName {
    pub name: String,
    pub wait: bool,
    /// Ours: how long to wait, milliseconds. Absent: as long as the client lives.
    pub timeout_ms: Option<u64>,
}
