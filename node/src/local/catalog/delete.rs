//! `del_data`: which transient objects of this node are deleted, and what the cluster must be asked to delete.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_raft::state::State;
use vineyard_wire::ObjectId;

use super::{Catalog, children};

/// The plan of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeletePlan {
    /// Transient objects to remove.
    pub(crate) transients: BTreeSet<ObjectId>,
    /// Persistent objects to ask the cluster to delete, under the caller's `force` and `deep`.
    pub(crate) persistent: BTreeSet<ObjectId>,
    /// Persistent members of deleted objects: to be deleted if nothing else refers to them.
    pub(crate) persistent_members: BTreeSet<ObjectId>,
    /// Transient objects that stay have some of the members, so the cluster must not delete members by itself: all
    /// members to delete are in `persistent_members`.
    pub(crate) members_apart: bool,
    /// Blobs to free if nothing refers to them then.
    pub(crate) blobs: BTreeSet<ObjectId>,
}

impl DeletePlan {
    /// The persistent objects that the cluster may delete for this plan, and perhaps some that it keeps: with `deep`
    /// all below, and with `force` all above.
    pub(crate) fn reach(&self, state: &State, force: bool, deep: bool) -> BTreeSet<ObjectId> {
        let mut reached = &self.persistent | &self.persistent_members;
        if !self.members_apart {
            reached.append(&mut self.below(state, deep));
        }
        let mut above = match force {
            true => self.persistent.iter().copied().collect(),
            false => Vec::new(),
        };
        while let Some(id) = above.pop() {
            above.extend(state.parents(id).filter(|parent| reached.insert(*parent)));
        }
        reached
    }

    /// The persistent objects below those that the cluster is asked to delete with their members.
    fn below(&self, state: &State, deep: bool) -> BTreeSet<ObjectId> {
        let asked = self.persistent.iter().filter(|_| deep);
        let mut left: Vec<_> = asked.chain(&self.persistent_members).copied().collect();
        let mut below = BTreeSet::new();
        while let Some(id) = left.pop() {
            let Some(record) = state.object(id) else {
                continue;
            };
            left.extend(children(record).filter(|id| !id.is_blob() && below.insert(*id)));
        }
        below
    }
}

impl Catalog {
    /// Makes the plan and changes nothing. Unknown ids are ignored; the order of the ids does not matter.
    pub(crate) fn delete_plan(
        &self,
        state: &State,
        ids: &[ObjectId],
        force: bool,
        deep: bool,
    ) -> DeletePlan {
        let mut deleter = Deleter {
            catalog: self,
            state,
            requested: ids.iter().copied().collect(),
            deep,
            parents_left: BTreeMap::new(),
            plan: DeletePlan::default(),
        };
        if force {
            deleter.delete_upwards();
        }
        for id in deleter.requested.clone() {
            deleter.delete_unreferred(id);
        }
        deleter.spare_members();
        deleter.plan
    }
}

struct Deleter<'a> {
    catalog: &'a Catalog,
    state: &'a State,
    requested: BTreeSet<ObjectId>,
    deep: bool,
    /// Transient parents that stay, of each object that lost one: an object with many parents is counted once.
    parents_left: BTreeMap<ObjectId, usize>,
    plan: DeletePlan,
}

impl Deleter<'_> {
    /// Deletes `id` unless something that stays refers to it, and in turn the members this frees. A requested member
    /// that was kept for its parent is tried again when the parent is deleted.
    fn delete_unreferred(&mut self, id: ObjectId) {
        let mut candidates = vec![id];
        while let Some(id) = candidates.pop() {
            if id.is_blob() {
                self.plan.blobs.insert(id);
                continue;
            }
            if self.parents_left(id) > 0 {
                continue;
            }
            if self.state.contains(id) {
                match self.requested.contains(&id) {
                    true => self.plan.persistent.insert(id),
                    false => self.plan.persistent_members.insert(id),
                };
            }
            candidates.extend(self.forget(id, self.deep));
        }
    }

    /// With `force`, all ancestors of the requested objects are deleted too. The other members of such a parent stay.
    fn delete_upwards(&mut self) {
        let mut seen = self.requested.clone();
        let mut left: Vec<ObjectId> = seen.iter().copied().filter(|id| !id.is_blob()).collect();
        while let Some(id) = left.pop() {
            let transients = self.catalog.parents.get(&id).into_iter().flatten().copied();
            // The cluster deletes the persistent parents itself; transient objects that refer to those are known only
            // here.
            for parent in transients.chain(self.state.parents(id)) {
                if seen.insert(parent) {
                    self.forget(parent, false);
                    left.push(parent);
                }
            }
        }
    }

    /// Removes a transient object. Returns its members, which are to be deleted if nothing else refers to them.
    fn forget(&mut self, id: ObjectId, deep: bool) -> Vec<ObjectId> {
        let Some(record) = self.catalog.transients.get(&id) else {
            return Vec::new();
        };
        if !self.plan.transients.insert(id) {
            return Vec::new();
        }
        let mut freed = Vec::new();
        for member in children(record).collect::<BTreeSet<_>>() {
            if member.is_blob() {
                self.plan.blobs.insert(member);
                continue;
            }
            let left = self.parents_left(member).saturating_sub(1);
            self.parents_left.insert(member, left);
            if left == 0 && (deep || self.requested.contains(&member)) {
                freed.push(member);
            }
        }
        freed
    }

    /// The cluster does not know which persistent objects the transient ones have as members.
    fn spare_members(&mut self) {
        let mut members = self.plan.below(self.state, self.deep);
        let before = members.len();
        members.retain(|id| self.parents_left(*id) == 0 || self.plan.persistent.contains(id));
        if members.len() < before {
            self.plan.members_apart = true;
            self.plan.persistent_members.append(&mut members);
        }
    }

    fn parents_left(&self, id: ObjectId) -> usize {
        let all = || self.catalog.parents.get(&id).map_or(0, BTreeSet::len);
        self.parents_left.get(&id).copied().unwrap_or_else(all)
    }
}
