//! Persistent objects: their records, signatures, blobs and the edges between them.
//!
//! Promise: the indexes (signatures, edges, holdings) are exact functions of the records and blob rows. Deciding what
//! may be written or deleted is the business of `persist` and `delete`; this file must never know names or requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, ObjectId, Signature};

use super::cost;

/// Keys of a metadata tree that are fields of a `Record`, or computed when it is read; never among its attributes.
pub const RESERVED_KEYS: [&str; 9] = [
    "id",
    "signature",
    "instance_id",
    "typename",
    "transient",
    "global",
    "__timestamp",
    "__name",
    "__labels",
];

pub fn is_reserved(key: &str) -> bool {
    RESERVED_KEYS.contains(&key)
}

/// One object's metadata, flat: members are links, never nested records. Also the form in which a node's catalog keeps
/// its transient objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// Read through the signature when the parent is global, so that a copy here is preferred.
    Object {
        id: ObjectId,
        signature: Signature,
    },
    Blob {
        id: ObjectId,
        instance: InstanceId,
    },
}

impl Link {
    pub fn id(&self) -> ObjectId {
        match *self {
            Self::Object { id, .. } | Self::Blob { id, .. } => id,
        }
    }
}

/// What the cluster knows of a blob that a persistent object refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRow {
    pub id: ObjectId,
    pub size: u64,
    /// xxh3 of the bytes, known once they have moved.
    pub checksum: Option<u64>,
    /// Instances that hold the bytes.
    pub locations: BTreeSet<InstanceId>,
    /// Why nobody holds them, if nobody does.
    pub lost: Lost,
}

/// What became of a blob's bytes. Its first two cases have the bytes of an `Option`, which this was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lost {
    /// Somebody holds them, or nobody has yet said to.
    #[default]
    No,
    /// The process of this instance ended, which held them last.
    Ended(InstanceId),
    /// A client deleted them on this instance, which held them last. They never come back there.
    Deleted(InstanceId),
}

impl Lost {
    /// The instance that held the bytes last.
    pub fn instance(self) -> Option<InstanceId> {
        match self {
            Self::No => None,
            Self::Ended(instance) | Self::Deleted(instance) => Some(instance),
        }
    }
}

/// The tables of one namespace's objects.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Objects {
    pub(crate) records: OrdMap<ObjectId, Arc<Record>>,
    /// Of every object that is not global. The id is part of the key: a shallow copy shares signature and instance.
    pub(crate) signatures: OrdSet<(Signature, InstanceId, ObjectId)>,
    /// (member, parent), for objects and blobs alike: who refers to it, and so how often.
    pub(crate) edges: OrdSet<(ObjectId, ObjectId)>,
    pub(crate) blobs: OrdMap<ObjectId, Arc<BlobRow>>,
    /// (instance, blob): `BlobRow::locations` read the other way.
    pub(crate) held: OrdSet<(InstanceId, ObjectId)>,
    /// What the records and the rows count for.
    pub(crate) bytes: u64,
}

/// Blobs that exist everywhere or nowhere: they have no row and no edges.
fn is_stored(member: ObjectId) -> bool {
    member != ObjectId::EMPTY_BLOB && member != ObjectId::INVALID
}

/// The distinct members of `record` that have edges.
pub(super) fn members_of(record: &Record) -> BTreeSet<ObjectId> {
    record
        .members
        .values()
        .map(Link::id)
        .filter(|&id| is_stored(id))
        .collect()
}

impl Objects {
    pub(super) fn get(&self, id: ObjectId) -> Option<&Arc<Record>> {
        self.records.get(&id)
    }

    pub(super) fn contains(&self, id: ObjectId) -> bool {
        self.records.contains_key(&id)
    }

    /// In ascending order of ids.
    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values()
    }

    pub(super) fn blob(&self, id: ObjectId) -> Option<&BlobRow> {
        self.blobs.get(&id).map(Arc::as_ref)
    }

    pub(super) fn blobs(&self) -> impl Iterator<Item = &BlobRow> {
        self.blobs.values().map(Arc::as_ref)
    }

    pub(super) fn held_by(&self, instance: InstanceId) -> impl Iterator<Item = ObjectId> {
        let (low, high) = ((instance, ObjectId(0)), (instance, ObjectId(u64::MAX)));
        self.held.range(low..=high).map(|&(_, blob)| blob)
    }

    pub(super) fn parents(&self, member: ObjectId) -> impl Iterator<Item = ObjectId> {
        let (low, high) = ((member, ObjectId(0)), (member, ObjectId(u64::MAX)));
        self.edges.range(low..=high).map(|&(_, parent)| parent)
    }

    pub(super) fn is_referred_to(&self, member: ObjectId) -> bool {
        self.parents(member).next().is_some()
    }

    /// Objects of this signature and where they live, instances ascending.
    pub(super) fn of_signature(
        &self,
        signature: Signature,
    ) -> impl Iterator<Item = (InstanceId, ObjectId)> {
        let low = (signature, InstanceId(0), ObjectId(0));
        let high = (signature, InstanceId(u64::MAX), ObjectId(u64::MAX));
        self.signatures
            .range(low..=high)
            .map(|&(_, instance, id)| (instance, id))
    }

    /// Writes a record that is not there yet.
    pub(super) fn insert(&mut self, record: Record) {
        let id = record.id;
        for member in members_of(&record) {
            self.edges.insert((member, id));
        }
        if !record.global {
            self.signatures
                .insert((record.signature, record.instance, id));
        }
        self.bytes += cost::of_record(&record);
        let before = self.records.insert(id, Arc::new(record));
        assert!(before.is_none(), "persist skips the records that are there");
    }

    /// Takes a record and its edges to its members out. Its members stay.
    pub(super) fn remove(&mut self, id: ObjectId) -> Option<Arc<Record>> {
        let record = self.records.remove(&id)?;
        self.bytes -= cost::of_record(&record);
        for member in members_of(&record) {
            self.edges.remove(&(member, id));
        }
        self.signatures
            .remove(&(record.signature, record.instance, id));
        Some(record)
    }

    /// Lets `change` edit attributes or labels. False if there is no such object.
    pub(super) fn edit(&mut self, id: ObjectId, change: impl FnOnce(&mut Record)) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        self.bytes -= cost::of_record(record);
        change(Arc::make_mut(record));
        self.bytes += cost::of_record(record);
        true
    }

    /// Points every link of `parent` that led to `from` at `to`, an object of the same signature.
    pub(super) fn relink(&mut self, parent: ObjectId, from: ObjectId, to: ObjectId) {
        let found = self.edit(parent, |record| {
            for link in record.members.values_mut() {
                if let Link::Object { id, .. } = link
                    && *id == from
                {
                    *id = to;
                }
            }
        });
        if found {
            self.edges.remove(&(from, parent));
            self.edges.insert((to, parent));
        }
    }

    /// Replaces a blob's row and what the holdings say of it.
    pub(super) fn put_blob(&mut self, row: BlobRow) {
        // A removal copies a path of the map, also if nothing is there.
        if self.blobs.contains_key(&row.id) {
            self.drop_blob(row.id);
        }
        for &instance in &row.locations {
            self.held.insert((instance, row.id));
        }
        self.bytes += cost::of_blob(&row);
        self.blobs.insert(row.id, Arc::new(row));
    }

    pub(super) fn drop_blob(&mut self, id: ObjectId) {
        if let Some(row) = self.blobs.remove(&id) {
            self.bytes -= cost::of_blob(&row);
            for &instance in &row.locations {
                self.held.remove(&(instance, id));
            }
        }
    }

    /// Forgets `instance` as a holder. Returns the blobs that have no holder left.
    pub(super) fn forget_holder(&mut self, instance: InstanceId) -> Vec<ObjectId> {
        let held: Vec<ObjectId> = self.held_by(instance).collect();
        self.forget_locations(instance, &held, Lost::Ended(instance))
    }

    /// Forgets that `instance` holds `blobs`, as far as it does. Those that have no holder left are `lost`, and
    /// returned.
    pub(super) fn forget_locations(
        &mut self,
        instance: InstanceId,
        blobs: &[ObjectId],
        lost: Lost,
    ) -> Vec<ObjectId> {
        let mut gone = Vec::new();
        for &id in blobs {
            if self.held.remove(&(instance, id)).is_none() {
                continue;
            }
            let row = self.blobs.get_mut(&id).expect("holdings mirror the rows");
            let row = Arc::make_mut(row);
            if row.locations.remove(&instance) {
                self.bytes -= cost::of_location();
            }
            if row.locations.is_empty() {
                row.lost = lost;
                gone.push(id);
            }
        }
        gone
    }

    /// What the rows count for.
    pub(crate) fn count(&self) -> u64 {
        let records = self.records.values().map(|record| cost::of_record(record));
        let blobs = self.blobs.values().map(|row| cost::of_blob(row));
        records.sum::<u64>() + blobs.sum::<u64>()
    }

    /// Panics unless every index is what the records and rows say. For tests and the simulator.
    pub(super) fn assert_exact(&self) {
        let mut edges = OrdSet::new();
        let mut signatures = OrdSet::new();
        for (&id, record) in &self.records {
            assert_eq!(id, record.id, "a record stands under its id");
            edges.extend(members_of(record).into_iter().map(|member| (member, id)));
            if !record.global {
                signatures.insert((record.signature, record.instance, id));
            }
            for member in record
                .members
                .values()
                .map(Link::id)
                .filter(|m| !m.is_blob())
            {
                assert!(
                    self.contains(member),
                    "{id} refers to {member}, which is missing"
                );
            }
        }
        assert!(self.edges == edges, "the edges are the records' links");
        assert!(
            self.signatures == signatures,
            "the signatures are the records'"
        );
        let mut held = OrdSet::new();
        for (&id, row) in &self.blobs {
            assert_eq!(id, row.id, "a row stands under its blob's id");
            assert!(
                self.is_referred_to(id),
                "blob {id} has a row and no referrer"
            );
            let is_held = !row.locations.is_empty();
            assert!(
                !(is_held && row.lost != Lost::No),
                "blob {id} is lost if nobody holds it"
            );
            held.extend(row.locations.iter().map(|&instance| (instance, id)));
        }
        assert!(self.held == held, "the holdings are the rows'");
        assert_eq!(self.bytes, self.count(), "each row is counted once");
    }
}
