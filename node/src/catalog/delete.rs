//! `del_data`: what goes with the transient objects of this node, and what must be asked of the cluster.

use std::collections::BTreeSet;

use vineyard_raft::state::State;
use vineyard_wire::ObjectId;

use super::{Catalog, children};

/// What a delete comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeletePlan {
    /// Transient objects to forget.
    pub(crate) transients: BTreeSet<ObjectId>,
    /// Persistent objects to ask the cluster to delete, under the caller's `force` and `deep`.
    pub(crate) persistent: BTreeSet<ObjectId>,
    /// Persistent members of what goes: deleted if nothing else refers to them.
    pub(crate) persistent_members: BTreeSet<ObjectId>,
    /// Blobs that may go once nothing refers to them.
    pub(crate) blobs: BTreeSet<ObjectId>,
}

impl Catalog {
    /// Decides, without changing anything. Unknown ids are ignored.
    pub(crate) fn delete_plan(
        &self,
        state: &State,
        ids: &[ObjectId],
        force: bool,
        deep: bool,
    ) -> DeletePlan {
        let mut plan = DeletePlan::default();
        let mut left: Vec<ObjectId> = ids.to_vec();
        // Parents in the same request go first: repeat until a round deletes nothing more.
        loop {
            let before = plan.transients.len() + plan.persistent.len();
            left.retain(|&id| !self.plan_one(state, &mut plan, id, force, deep));
            if left.is_empty() || before == plan.transients.len() + plan.persistent.len() {
                return plan;
            }
        }
    }

    /// Whether `id` was settled.
    fn plan_one(
        &self,
        state: &State,
        plan: &mut DeletePlan,
        id: ObjectId,
        force: bool,
        deep: bool,
    ) -> bool {
        if id.is_blob() {
            plan.blobs.insert(id);
            return true;
        }
        if force {
            self.plan_parents(plan, id);
        } else if self.has_parent_left(plan, id) {
            return false;
        }
        if self.is_transient(id) {
            self.plan_transient(state, plan, id, deep);
        } else if state.contains(id) {
            plan.persistent.insert(id);
        }
        true
    }

    fn plan_transient(&self, state: &State, plan: &mut DeletePlan, id: ObjectId, deep: bool) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            let Some(record) = self.transients.get(&id) else { continue };
            if !plan.transients.insert(id) {
                continue;
            }
            for child in children(record) {
                if child.is_blob() {
                    plan.blobs.insert(child);
                } else if deep && !self.has_parent_left(plan, child) {
                    if state.contains(child) {
                        plan.persistent_members.insert(child);
                    } else {
                        left.push(child);
                    }
                }
            }
        }
    }

    /// Force: every transient parent goes too, upwards.
    fn plan_parents(&self, plan: &mut DeletePlan, id: ObjectId) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            for &parent in self.parents.get(&id).into_iter().flatten() {
                if plan.transients.insert(parent) {
                    left.push(parent);
                    let record = &self.transients[&parent];
                    plan.blobs.extend(children(record).filter(|child| child.is_blob()));
                }
            }
        }
    }

    fn has_parent_left(&self, plan: &DeletePlan, id: ObjectId) -> bool {
        let parents = self.parents.get(&id);
        parents.is_some_and(|parents| parents.iter().any(|p| !plan.transients.contains(p)))
    }
}
