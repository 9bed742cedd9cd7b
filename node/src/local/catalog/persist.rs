//! `persist`: what one persist must put into its log entry.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::{InstanceId, ObjectId, Status};

use super::{Catalog, unknown_subtree};

/// The transient records below the requested objects, and the blobs that they refer to, with their instances.
#[derive(Debug, Default)]
pub(crate) struct PersistPlan {
    pub(crate) records: Vec<Record>,
    pub(crate) blobs: BTreeMap<ObjectId, BTreeSet<InstanceId>>,
}

impl Catalog {
    /// Everything transient below `ids`; empty when all of it is persistent already.
    pub(crate) fn persist_plan(
        &self,
        state: &State,
        ids: &[ObjectId],
    ) -> Result<PersistPlan, Status> {
        let mut plan = PersistPlan::default();
        let mut seen = BTreeSet::new();
        let mut left: Vec<ObjectId> = ids.to_vec();
        while let Some(id) = left.pop() {
            if state.contains(id) || !seen.insert(id) {
                continue;
            }
            let record = self
                .transients
                .get(&id)
                .ok_or_else(|| unknown_subtree(id))?;
            for link in record.members.values() {
                match *link {
                    Link::Object { id, .. } => left.push(id),
                    Link::Blob { id, .. } if id == ObjectId::EMPTY_BLOB => {}
                    Link::Blob { id, instance } => {
                        plan.blobs.entry(id).or_default().insert(instance);
                    }
                }
            }
            plan.records.push(Record::clone(record));
        }
        Ok(plan)
    }
}
