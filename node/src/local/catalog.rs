//! The metadata one node can see: its own transient objects, and the cluster's persistent ones.
//!
//! Transient objects live here and nowhere else. Persistent ones are read from the replicated state, which is an
//! argument of every call, so that one read covers both. Plain data and plain code: no await, no socket, no clock, no
//! store. What is decided for the cluster (persisted? name free?) is decided in the replicated state, never here.

pub(crate) mod absorb;
mod complete;
mod delete;
mod expand;
mod list;
mod pattern;
mod persist;
mod quota;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use vineyard_raft::state::objects::{Link, Record, is_reserved};
use vineyard_raft::state::{State, cost};
use vineyard_wire::id::IdMaker;
use vineyard_wire::meta::BLOB_TYPENAME;
use vineyard_wire::{Code, InstanceId, ObjectId, Status, Tree};

use super::pending::Pending;
pub(crate) use delete::DeletePlan;
pub(crate) use expand::{BlobNode, LostBlobs, Texts, blob_tree, copy_here, is_up};
pub(crate) use pattern::Pattern;
pub(crate) use persist::PersistPlan;
pub(crate) use quota::Quota;

/// The transient objects of this node, and how to read them together with the replicated state.
pub(crate) struct Catalog {
    me: InstanceId,
    ids: IdMaker,
    transients: BTreeMap<ObjectId, Arc<Record>>,
    /// For each object or blob, the transient objects that refer to it.
    parents: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    quota: Quota,
}

impl Catalog {
    /// `quota_bytes` bounds the metadata of its transient objects.
    pub(crate) fn new(me: InstanceId, ids: IdMaker, quota_bytes: u64) -> Self {
        Self {
            me,
            ids,
            transients: BTreeMap::new(),
            parents: BTreeMap::new(),
            quota: Quota::new(quota_bytes),
        }
    }

    /// The instance whose catalog it is.
    pub(crate) fn me(&self) -> InstanceId {
        self.me
    }

    /// Whether a transient object refers to `id`.
    pub(crate) fn is_referred_to(&self, id: ObjectId) -> bool {
        self.parents.contains_key(&id)
    }

    /// How much metadata of transient objects there is.
    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    /// Number of transient objects.
    pub(crate) fn len(&self) -> usize {
        self.transients.len()
    }

    /// The record of an object, persistent or transient. The persistent one is preferred: a transient copy beside it
    /// was just persisted and is about to be removed.
    pub(crate) fn record<'a>(&'a self, state: &'a State, id: ObjectId) -> Option<&'a Arc<Record>> {
        state.object(id).or_else(|| self.transients.get(&id))
    }

    pub(crate) fn contains(&self, state: &State, id: ObjectId) -> bool {
        self.record(state, id).is_some()
    }

    pub(crate) fn is_transient(&self, id: ObjectId) -> bool {
        self.transients.contains_key(&id)
    }

    /// The ids of all transient objects.
    pub(crate) fn transients(&self) -> Vec<ObjectId> {
        self.transients.keys().copied().collect()
    }

    /// Adds labels to a transient object; `false` if it is not transient.
    pub(crate) fn label(
        &mut self,
        id: ObjectId,
        labels: BTreeMap<String, String>,
    ) -> Result<bool, Status> {
        let Some(record) = self.transients.get_mut(&id) else {
            return Ok(false);
        };
        let mut labelled = Record::clone(record);
        labelled.labels.extend(labels);
        let wanted = cost::of_record(&labelled).saturating_sub(cost::of_record(record));
        self.quota.check(wanted)?;
        self.quota.give(record);
        self.quota.take(&labelled);
        *record = Arc::new(labelled);
        Ok(true)
    }

    /// A copy of `id`'s record under a new id, with `extra` attributes set over it.
    pub(crate) fn shallow_copy(
        &mut self,
        pending: &Pending,
        state: &State,
        id: ObjectId,
        extra: &Tree,
    ) -> Result<Record, Status> {
        let source = self.record(state, id).ok_or_else(|| unknown_subtree(id))?;
        for child in children(source) {
            pending.check_member(child)?;
        }
        let mut copy = Record::clone(source);
        for (key, value) in extra {
            set_extra(&mut copy, key, value)?;
        }
        self.quota.check(cost::of_record(&copy))?;
        copy.id = self.fresh_id(state);
        Ok(copy)
    }

    /// An unused id. Clients choose ids for new members, so even an id of this node may be in use.
    pub(crate) fn fresh_id(&mut self, state: &State) -> ObjectId {
        loop {
            let id = self.ids.object();
            if !self.contains(state, id) {
                return id;
            }
        }
    }

    pub(crate) fn insert(&mut self, record: Record) {
        for child in children(&record) {
            self.parents.entry(child).or_default().insert(record.id);
        }
        self.quota.take(&record);
        let before = self.transients.insert(record.id, Arc::new(record));
        if let Some(before) = before {
            self.quota.give(&before);
        }
    }

    /// Removes a transient object, because it was deleted or has become persistent.
    pub(crate) fn remove(&mut self, id: ObjectId) -> Option<Arc<Record>> {
        let record = self.transients.remove(&id)?;
        self.quota.give(&record);
        for child in children(&record) {
            if let Some(parents) = self.parents.get_mut(&child) {
                parents.remove(&id);
                if parents.is_empty() {
                    self.parents.remove(&child);
                }
            }
        }
        Some(record)
    }

    /// Removes transient copies of persistent objects.
    pub(crate) fn forget_persistent(&mut self, state: &State) {
        let copies: Vec<_> = self.transients.keys().copied().collect();
        for id in copies.into_iter().filter(|id| state.contains(*id)) {
            self.remove(id);
        }
    }
}

/// The ids a record links to, objects and blobs.
pub(crate) fn children(record: &Record) -> impl Iterator<Item = ObjectId> + '_ {
    record.members.values().map(|link| match link {
        Link::Object { id, .. } | Link::Blob { id, .. } => *id,
    })
}

pub(crate) fn unknown_subtree(id: ObjectId) -> Status {
    Status::new(
        Code::MetaTreeSubtreeNotExists,
        format!("get subtree failed: {id}"),
    )
}

fn set_extra(record: &mut Record, key: &str, value: &Value) -> Result<(), Status> {
    use vineyard_wire::meta::key as reserved;
    match (key, value) {
        (_, Value::Object(_) | Value::Array(_)) => {
            let message = "The value of items in 'extra_metadata' must be primitives";
            return Err(Status::new(Code::AssertionFailed, message));
        }
        // The node sets these, and names belong to the cluster.
        (reserved::ID | reserved::TRANSIENT | reserved::NAME, _) => {}
        (reserved::TYPENAME, Value::String(typename)) if typename != BLOB_TYPENAME => {
            record.typename = typename.clone();
        }
        (reserved::GLOBAL, Value::Bool(global)) => record.global = *global,
        (reserved::LABELS, Value::String(text)) => {
            record.labels = serde_json::from_str(text).map_err(|_| unfit(key, value))?;
        }
        (reserved::SIGNATURE, _) => record.signature.0 = number(key, value)?,
        (reserved::INSTANCE_ID, _) => record.instance.0 = number(key, value)?,
        (reserved::TIMESTAMP, _) => record.timestamp_ms = number(key, value)?,
        _ if is_reserved(key) => return Err(unfit(key, value)),
        _ => {
            record.members.remove(key);
            record.attributes.insert(key.to_owned(), value.to_string());
        }
    }
    Ok(())
}

fn number(key: &str, value: &Value) -> Result<u64, Status> {
    value.as_u64().ok_or_else(|| unfit(key, value))
}

fn unfit(key: &str, value: &Value) -> Status {
    Status::invalid(format!("{key:?} of an object cannot be {value}"))
}
