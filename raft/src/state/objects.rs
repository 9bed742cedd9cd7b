//! Persistent objects: their records, signatures, blobs and the edges between them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, ObjectId, Signature};

/// One object's metadata, flat: members are links, never nested records. Also the form in which a node's catalog keeps
/// its transient objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: ObjectId,
    pub signature: Signature,
    /// Where it lives; `UNSPECIFIED` for a global object with members elsewhere.
    pub instance: InstanceId,
    pub typename: String,
    pub global: bool,
    /// Milliseconds since the Unix epoch when it was created.
    pub timestamp_ms: u64,
    /// Plain attributes as raw JSON text (so integers and floats stay exact), reserved keys left out.
    pub attributes: BTreeMap<String, String>,
    pub members: BTreeMap<String, Link>,
    /// Merged labels.
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Read through the signature when the parent is global, so that a copy here is preferred.
    Object { id: ObjectId, signature: Signature },
    Blob { id: ObjectId, instance: InstanceId },
}

/// What the cluster knows of a blob that a persistent object refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    pub id: ObjectId,
    pub size: u64,
    /// xxh3 of the bytes, known once they have moved.
    pub checksum: Option<u64>,
    /// Instances that hold the bytes.
    pub locations: BTreeSet<InstanceId>,
    /// Its last holder died; the last one is named for messages.
    pub lost_with: Option<InstanceId>,
}
