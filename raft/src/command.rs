//! What the cluster agrees on, one entry of the log each. Members send each other commands in the form that is derived
//! here: fields are only ever appended. What logs hold is `format::entry`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use crate::features;
use crate::state::Settings;
use crate::state::instances::Instance;
use crate::state::objects::{BlobRow, Record};

/// The newest layout. An entry has the oldest that knows its command, so that members of before read what they can.
pub const VERSION: u8 = 4;

/// A command as it stands in the log: who asked, under which number (for at-most-once), and what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub version: u8,
    /// Absent for commands that are idempotent by themselves.
    pub request: Option<RequestKey>,
    /// The leader's wall clock when it proposed, milliseconds: the only time `apply` knows.
    pub at_unix_ms: u64,
    pub command: Command,
}

/// One submit of one instance. A retry carries the same key and gets the first outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestKey {
    pub instance: InstanceId,
    pub sequence: u64,
    /// Every sequence below this one has been answered; its outcome may be forgotten.
    pub answered_below: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Names the cluster. Earlier builds wrote it; `FoundBy` admits the founder in the same entry.
    Found {
        cluster: String,
    },
    /// Gives the data directory `key` a node id (the same one each time it asks).
    Admit {
        key: u128,
        endpoint: String,
    },
    /// A boot of a node. Earlier boots of that node become gone, and blobs only they held become lost. Earlier builds
    /// wrote it; `Boot` tells two processes with the same boot number apart.
    Register {
        instance: Instance,
    },
    /// A transition of the leader's watch.
    Watch {
        instance: InstanceId,
        reachable: bool,
    },

    /// Makes objects persistent, all or nothing: every record whole, with its non-blob members among the records or
    /// already persistent. Records already persistent are skipped if they are the same in what defines an object;
    /// labels, times and what `SetAttributes` has changed since may differ.
    Persist {
        records: Vec<Record>,
        blobs: Vec<BlobRow>,
    },
    /// Deletes persistent objects, with their names, as `state::delete` says. Unknown ids are ignored.
    Delete {
        ids: Vec<ObjectId>,
        force: bool,
        deep: bool,
    },
    /// Sets or replaces attributes (raw JSON text) of a persistent object.
    SetAttributes {
        id: ObjectId,
        attributes: BTreeMap<String, String>,
    },
    /// Merges labels into a persistent object's `__labels`.
    Label {
        id: ObjectId,
        labels: BTreeMap<String, String>,
    },

    PutName {
        name: String,
        id: ObjectId,
        condition: Condition,
    },
    DropName {
        name: String,
    },

    AcquireLock {
        name: String,
        owner: InstanceId,
        lease_ms: u64,
    },
    ReleaseLock {
        name: String,
        token: u64,
    },

    /// The bytes of `blobs` are no longer on `instance`: a client deleted them there by their own ids. Rows
    /// without any location then say so (`Lost::Deleted`), and take that location back from no later persist. Blobs
    /// that have no row, or are not known to be there, are ignored, so this may be said twice. Answers `Applied::Done`;
    /// refused as `Stale` if a later boot has replaced `instance`.
    DropLocations {
        instance: InstanceId,
        blobs: Vec<ObjectId>,
    },

    /// Names the cluster and admits the data directory `key` as its node 0, in one entry: nobody can be admitted before
    /// the founder. It may be said twice. Refused as `Founded` in another cluster, and as `NodeTaken` where node 0 is
    /// another data directory.
    FoundBy {
        cluster: String,
        key: u128,
        endpoint: String,
    },
    /// A boot of a node, as `Register`. `life` is random, drawn once by each process; `before` are the lives before
    /// it that its disk remembers. A process is refused as `BootSeen` if another one has registered this boot, or if
    /// the life that has registered last is not among those before: its disk is a copy, or an older state. It may be
    /// said twice.
    Boot {
        instance: Instance,
        life: u128,
        before: Vec<u128>,
    },

    /// Makes objects persistent as `Persist` does and points `name` at `id`, one of them or one that is persistent
    /// already, as `PutName` does: both, or neither if either is refused.
    Publish {
        records: Vec<Record>,
        blobs: Vec<BlobRow>,
        name: String,
        id: ObjectId,
        condition: Condition,
    },
    /// As `Admit`, for a node that has said which feature level it knows. It counts until the node registers.
    AdmitAt {
        key: u128,
        endpoint: String,
        level: u8,
    },
    /// `instance` is being stopped in order: nothing is to be expected of its node before it boots again. What the
    /// leader's watch sees of it no longer counts. Refused as `Stale` if a later boot has replaced it.
    Stopped {
        instance: InstanceId,
    },
    /// Takes a node out of the cluster for good: its instance is gone, bytes that only it held are lost, its id and its
    /// data directory are never admitted again. It may be said twice.
    Remove {
        node: NodeId,
    },
    /// Cordons a node, or ends that with `None`. Refused as `NoNode` or `Removed` if it is no member. It may be said
    /// twice.
    Cordon {
        node: NodeId,
        cordon: Option<Cordon>,
    },
    /// As `Remove`, by the node itself. Unless `discard`, refused as `OnlyCopies` while no node that stays has the
    /// bytes of some blob of the node: whatever was persisted before this entry is looked at.
    Leave {
        node: NodeId,
        discard: bool,
    },
    /// Replaces the secret in the cluster's token. The one before is valid for `grace_ms` more. The log has neither:
    /// who knows one of them learns the other. Refused as `Rotating` while the one before that is valid, and unless
    /// the rotation that ends at `after_unix_ms` is the last; 0 is none.
    RotateToken {
        hidden: Hidden,
        after_unix_ms: u64,
        grace_ms: u64,
    },
    /// Sets what `settings` has, for the whole cluster; the rest stays. With `if_unset` only what nobody has set yet: a
    /// founder says so what it was started with. It may be said twice.
    Configure {
        settings: Settings,
        if_unset: bool,
    },
}

/// Two secrets, each hidden by the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hidden {
    pub nonce: [u8; 32],
    /// The new secret, for those who know the old one.
    pub forward: [u8; 32],
    /// The old secret, for those who know the new one.
    pub backward: [u8; 32],
}

impl Command {
    /// For the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Found { .. } => "Found",
            Self::Admit { .. } => "Admit",
            Self::Register { .. } => "Register",
            Self::Watch { .. } => "Watch",
            Self::Persist { .. } => "Persist",
            Self::Delete { .. } => "Delete",
            Self::SetAttributes { .. } => "SetAttributes",
            Self::Label { .. } => "Label",
            Self::PutName { .. } => "PutName",
            Self::DropName { .. } => "DropName",
            Self::AcquireLock { .. } => "AcquireLock",
            Self::ReleaseLock { .. } => "ReleaseLock",
            Self::DropLocations { .. } => "DropLocations",
            Self::FoundBy { .. } => "FoundBy",
            Self::Boot { .. } => "Boot",
            Self::Publish { .. } => "Publish",
            Self::AdmitAt { .. } => "AdmitAt",
            Self::Stopped { .. } => "Stopped",
            Self::Remove { .. } => "Remove",
            Self::Cordon { .. } => "Cordon",
            Self::Leave { .. } => "Leave",
            Self::RotateToken { .. } => "RotateToken",
            Self::Configure { .. } => "Configure",
        }
    }

    /// Whether it makes the state larger for a client. What nodes need to start, to come and to go does not count, nor
    /// do new places of blobs that are known: a drain makes these.
    pub(crate) fn grows(&self, is_known: impl Fn(ObjectId) -> bool) -> bool {
        match self {
            Self::Persist { records, blobs } => {
                !records.is_empty() || blobs.iter().any(|blob| !is_known(blob.id))
            }
            Self::Publish { .. }
            | Self::SetAttributes { .. }
            | Self::Label { .. }
            | Self::PutName { .. } => true,
            Self::AcquireLock { name, .. } => features::announced(name).is_none(),
            _ => false,
        }
    }

    /// The oldest layout of an entry that knows this command.
    pub fn version(&self) -> u8 {
        match features::needed_by(self) {
            features::BASE | features::LIVES => 1,
            features::PUBLISH | features::RELAY => 2,
            features::MEMBERS => 3,
            _ => VERSION,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    Always,
    IfAbsent,
    /// Only if the name points to this object now.
    IfEquals(ObjectId),
}

/// Why a node takes no copies of what others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cordon {
    /// It is emptied for a time, and stays a member with its vote.
    Drains,
    /// It is about to leave: its vote goes to another node.
    Leaves,
}

/// What `apply` answers. Every replica computes the same one.
pub type Outcome = Result<Applied, Refusal>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Applied {
    Done,
    Admitted {
        node: NodeId,
        cluster: String,
    },
    /// Objects that went, and blobs nothing persistent refers to any more.
    Deleted {
        objects: Vec<ObjectId>,
        blobs: Vec<ObjectId>,
    },
    Locked {
        token: u64,
    },
}

/// A refusal every replica shares; it is an answer, not a fault.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("no such object: {id}")]
    NoObject { id: ObjectId },
    #[error("object {id} refers to {member}, which is neither persistent nor part of this persist")]
    NoMember { id: ObjectId, member: ObjectId },
    #[error("the name {name:?} already points to {id}")]
    NameTaken { name: String, id: ObjectId },
    #[error("the name {name:?} does not point to {expected}")]
    NameElsewhere { name: String, expected: ObjectId },
    #[error("no such name: {name:?}")]
    NoName { name: String },
    /// The writer has been replaced by a later boot of its node.
    #[error("instance {instance} has been replaced; its writes are refused")]
    Stale { instance: InstanceId },
    #[error("the cluster has no node id left below 65536")]
    NodesExhausted,
    #[error("node {node} is not part of this cluster")]
    NoNode { node: NodeId },
    #[error("lock {name:?} is held with token {token}")]
    Locked { name: String, token: u64 },
    #[error("lock {name:?} is not held with token {token}")]
    NotLocked { name: String, token: u64 },
    #[error("another cluster was founded here: {cluster:?}")]
    Founded { cluster: String },
    /// One id never yields two contents.
    #[error("object {id} is there already, with another {part}")]
    OtherContent { id: ObjectId, part: String },
    #[error(
        "this request was answered long ago and its outcome is no longer kept: look at what it was to change, and ask \
         anew"
    )]
    Forgotten,
    #[error("the cluster has not been founded yet")]
    NotFounded,
    #[error("blob {id} has {known} bytes, not {given}")]
    BlobSize {
        id: ObjectId,
        known: u64,
        given: u64,
    },
    #[error("blob {id} has checksum {known:016x}, not {given:016x}")]
    BlobChecksum {
        id: ObjectId,
        known: u64,
        given: u64,
    },
    #[error("{id} is a blob; blobs have no metadata of their own")]
    NotAnObject { id: ObjectId },
    #[error("object {id} would contain itself")]
    Cycle { id: ObjectId },
    #[error("object {id}: {key:?} is not a plain attribute")]
    ReservedKey { id: ObjectId, key: String },
    #[error("node {node} of this cluster is another data directory")]
    NodeTaken { node: NodeId },
    /// A copy of the node's data directory, or an older state of it, was started.
    #[error("the cluster has seen another process that was instance {instance}")]
    BootSeen { instance: InstanceId },
    #[error("node {node} was removed from this cluster")]
    Removed { node: NodeId },
    #[error("node {node} has the only copy of {blobs} persisted blobs")]
    OnlyCopies { node: NodeId, blobs: u64 },
    #[error(
        "node {node} leaves the cluster, so nothing more is persisted on it: persist on another node, or let it stay with \
         `vineyardctl uncordon {node}`"
    )]
    Leaves { node: NodeId },
    /// Milliseconds since the Unix epoch.
    #[error(
        "the token was rotated before, and the one of before that is valid until {until_unix_ms} ms of Unix time"
    )]
    Rotating { until_unix_ms: u64 },
    /// Bytes, as `state::cost` counts them.
    #[error(
        "the metadata of the cluster is full: {used} of {quota} bytes are used, and this takes {wanted} more; delete what \
         is not needed, or raise it with `vineyardctl config set metadata-quota SIZE`"
    )]
    MetadataFull { wanted: u64, used: u64, quota: u64 },
}

#[cfg(test)]
pub(crate) mod tests;
