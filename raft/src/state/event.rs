//! What a node must react to when an entry was applied: wake waiters, free bytes, refresh what it cached.

use vineyard_wire::{InstanceId, ObjectId};

/// Every replica computes the same events in the same order. They are told once, and not again for a retried request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These objects are persistent now and were not; ascending.
    Persisted(Vec<ObjectId>),
    /// Attributes, labels or a member link of a persistent object are others now.
    ObjectChanged(ObjectId),
    /// These persistent objects are gone; ascending.
    ObjectsDeleted(Vec<ObjectId>),
    /// Nothing persistent refers to these blobs any more: a store that keeps their bytes for that reason releases them.
    BlobsReleased(Vec<ObjectId>),
    /// Nobody has the bytes of these blobs any more; `instance` was their last holder. Their rows say why.
    BlobsLost {
        instance: InstanceId,
        blobs: Vec<ObjectId>,
    },
    NameSet {
        name: String,
        id: ObjectId,
    },
    NameDropped {
        name: String,
    },
    /// Joined, unreachable, back or gone: see its row.
    InstanceChanged(InstanceId),
    /// The token has another secret.
    TokenRotated,
    /// Something else is set for the whole cluster.
    SettingsChanged,
    /// The lock may be taken.
    LockFreed {
        name: String,
    },
}
