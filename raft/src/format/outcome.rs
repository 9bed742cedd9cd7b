//! What commands were answered, as snapshots keep it for retries. Cases are only ever appended.

use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use crate::command;

#[derive(Serialize, Deserialize)]
pub(super) enum Outcome {
    Applied(Applied),
    Refused(Refusal),
}

impl From<&command::Outcome> for Outcome {
    fn from(outcome: &command::Outcome) -> Self {
        match outcome {
            Ok(applied) => Self::Applied(applied.into()),
            Err(refusal) => Self::Refused(refusal.into()),
        }
    }
}

impl From<Outcome> for command::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied(applied) => Ok(applied.into()),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum Applied {
    Done,
    Admitted { node: u64, cluster: String },
    Deleted { objects: Vec<u64>, blobs: Vec<u64> },
    Locked { token: u64 },
}

impl From<&command::Applied> for Applied {
    fn from(applied: &command::Applied) -> Self {
        match applied {
            command::Applied::Done => Self::Done,
            command::Applied::Admitted { node, cluster } => Self::Admitted {
                node: node.0,
                cluster: cluster.clone(),
            },
            command::Applied::Deleted { objects, blobs } => Self::Deleted {
                objects: objects.iter().map(|id| id.0).collect(),
                blobs: blobs.iter().map(|id| id.0).collect(),
            },
            command::Applied::Locked { token } => Self::Locked { token: *token },
        }
    }
}

impl From<Applied> for command::Applied {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Done => Self::Done,
            Applied::Admitted { node, cluster } => Self::Admitted {
                node: NodeId(node),
                cluster,
            },
            Applied::Deleted { objects, blobs } => Self::Deleted {
                objects: objects.into_iter().map(ObjectId).collect(),
                blobs: blobs.into_iter().map(ObjectId).collect(),
            },
            Applied::Locked { token } => Self::Locked { token },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum Refusal {
    NoObject { id: u64 },
    NoMember { id: u64, member: u64 },
    NameTaken { name: String, id: u64 },
    NameElsewhere { name: String, expected: u64 },
    NoName { name: String },
    Stale { instance: u64 },
    NodesExhausted,
    NoNode { node: u64 },
    Locked { name: String, token: u64 },
    NotLocked { name: String, token: u64 },
    Founded { cluster: String },
    OtherContent { id: u64, part: String },
    Forgotten,
    NotFounded,
    BlobSize { id: u64, known: u64, given: u64 },
    BlobChecksum { id: u64, known: u64, given: u64 },
    NotAnObject { id: u64 },
    Cycle { id: u64 },
    ReservedKey { id: u64, key: String },
    NodeTaken { node: u64 },
    BootSeen { instance: u64 },
    Removed { node: u64 },
    OnlyCopies { node: u64, blobs: u64 },
    Leaves { node: u64 },
    Rotating { until_unix_ms: u64 },
    MetadataFull { wanted: u64, used: u64, quota: u64 },
}

impl From<&command::Refusal> for Refusal {
    #[allow(clippy::too_many_lines, reason = "a table: one arm for each refusal")]
    fn from(refusal: &command::Refusal) -> Self {
        match refusal {
            command::Refusal::NoObject { id } => Self::NoObject { id: id.0 },
            command::Refusal::NoMember { id, member } => Self::NoMember {
                id: id.0,
                member: member.0,
            },
            command::Refusal::NameTaken { name, id } => Self::NameTaken {
                name: name.clone(),
                id: id.0,
            },
            command::Refusal::NameElsewhere { name, expected } => Self::NameElsewhere {
                name: name.clone(),
                expected: expected.0,
            },
            command::Refusal::NoName { name } => Self::NoName { name: name.clone() },
            command::Refusal::Stale { instance } => Self::Stale {
                instance: instance.0,
            },
            command::Refusal::NodesExhausted => Self::NodesExhausted,
            command::Refusal::NoNode { node } => Self::NoNode { node: node.0 },
            command::Refusal::Locked { name, token } => Self::Locked {
                name: name.clone(),
                token: *token,
            },
            command::Refusal::NotLocked { name, token } => Self::NotLocked {
                name: name.clone(),
                token: *token,
            },
            command::Refusal::Founded { cluster } => Self::Founded {
                cluster: cluster.clone(),
            },
            command::Refusal::OtherContent { id, part } => Self::OtherContent {
                id: id.0,
                part: part.clone(),
            },
            command::Refusal::Forgotten => Self::Forgotten,
            command::Refusal::NotFounded => Self::NotFounded,
            command::Refusal::BlobSize { id, known, given } => Self::BlobSize {
                id: id.0,
                known: *known,
                given: *given,
            },
            command::Refusal::BlobChecksum { id, known, given } => Self::BlobChecksum {
                id: id.0,
                known: *known,
                given: *given,
            },
            command::Refusal::NotAnObject { id } => Self::NotAnObject { id: id.0 },
            command::Refusal::Cycle { id } => Self::Cycle { id: id.0 },
            command::Refusal::ReservedKey { id, key } => Self::ReservedKey {
                id: id.0,
                key: key.clone(),
            },
            command::Refusal::NodeTaken { node } => Self::NodeTaken { node: node.0 },
            command::Refusal::BootSeen { instance } => Self::BootSeen {
                instance: instance.0,
            },
            command::Refusal::Removed { node } => Self::Removed { node: node.0 },
            command::Refusal::OnlyCopies { node, blobs } => Self::OnlyCopies {
                node: node.0,
                blobs: *blobs,
            },
            command::Refusal::Leaves { node } => Self::Leaves { node: node.0 },
            command::Refusal::Rotating { until_unix_ms } => Self::Rotating {
                until_unix_ms: *until_unix_ms,
            },
            command::Refusal::MetadataFull {
                wanted,
                used,
                quota,
            } => Self::MetadataFull {
                wanted: *wanted,
                used: *used,
                quota: *quota,
            },
        }
    }
}

impl From<Refusal> for command::Refusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoObject { id } => Self::NoObject { id: ObjectId(id) },
            Refusal::NoMember { id, member } => Self::NoMember {
                id: ObjectId(id),
                member: ObjectId(member),
            },
            Refusal::NameTaken { name, id } => Self::NameTaken {
                name,
                id: ObjectId(id),
            },
            Refusal::NameElsewhere { name, expected } => Self::NameElsewhere {
                name,
                expected: ObjectId(expected),
            },
            Refusal::NoName { name } => Self::NoName { name },
            Refusal::Stale { instance } => Self::Stale {
                instance: InstanceId(instance),
            },
            Refusal::NodesExhausted => Self::NodesExhausted,
            Refusal::NoNode { node } => Self::NoNode { node: NodeId(node) },
            Refusal::Locked { name, token } => Self::Locked { name, token },
            Refusal::NotLocked { name, token } => Self::NotLocked { name, token },
            Refusal::Founded { cluster } => Self::Founded { cluster },
            Refusal::OtherContent { id, part } => Self::OtherContent {
                id: ObjectId(id),
                part,
            },
            Refusal::Forgotten => Self::Forgotten,
            Refusal::NotFounded => Self::NotFounded,
            Refusal::BlobSize { id, known, given } => Self::BlobSize {
                id: ObjectId(id),
                known,
                given,
            },
            Refusal::BlobChecksum { id, known, given } => Self::BlobChecksum {
                id: ObjectId(id),
                known,
                given,
            },
            Refusal::NotAnObject { id } => Self::NotAnObject { id: ObjectId(id) },
            Refusal::Cycle { id } => Self::Cycle { id: ObjectId(id) },
            Refusal::ReservedKey { id, key } => Self::ReservedKey {
                id: ObjectId(id),
                key,
            },
            Refusal::NodeTaken { node } => Self::NodeTaken { node: NodeId(node) },
            Refusal::BootSeen { instance } => Self::BootSeen {
                instance: InstanceId(instance),
            },
            Refusal::Removed { node } => Self::Removed { node: NodeId(node) },
            Refusal::OnlyCopies { node, blobs } => Self::OnlyCopies {
                node: NodeId(node),
                blobs,
            },
            Refusal::Leaves { node } => Self::Leaves { node: NodeId(node) },
            Refusal::Rotating { until_unix_ms } => Self::Rotating { until_unix_ms },
            Refusal::MetadataFull {
                wanted,
                used,
                quota,
            } => Self::MetadataFull {
                wanted,
                used,
                quota,
            },
        }
    }
}
