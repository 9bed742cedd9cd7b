//! Deletes. What is known and only here goes in one turn; what the cluster has a part in takes two, and in between is marked
//! in the ledger, so that nothing new is made over it.

use std::collections::BTreeSet;

use vineyard_raft::state::State;
use vineyard_store::HolderId;
use vineyard_wire::ObjectId;

use super::catalog::DeletePlan;
use super::pending::{Asked, DeleteNumber};
use super::{Attempt, Local};

/// One delete, as a client asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    /// In whose name.
    pub(crate) by: HolderId,
    pub(crate) ids: Vec<ObjectId>,
    /// Those blobs among `ids` that go in any case; the cluster is told if it has them.
    pub(crate) named: BTreeSet<ObjectId>,
    pub(crate) force: bool,
    pub(crate) deep: bool,
    pub(crate) trim: bool,
}

/// What a turn made of a delete.
pub(crate) enum Deleted {
    /// These blobs were here and are gone.
    Done(Vec<ObjectId>),
    /// An object is unknown here: another node may have persisted it a moment ago.
    Unknown,
    /// The cluster must agree first.
    Pending(PendingDelete),
}

/// A delete that waits for the cluster. Whoever has it ends it, by `Local::end_delete`.
#[derive(Debug)]
pub(crate) struct PendingDelete {
    pub(crate) plan: DeletePlan,
    marked: BTreeSet<ObjectId>,
    number: DeleteNumber,
}

impl Local {
    /// Deletes, or begins to. With `is_confirmed`, ids that are unknown here are ignored.
    pub(crate) fn delete(
        &mut self,
        state: &State,
        deletion: &Deletion,
        is_confirmed: bool,
    ) -> Attempt<Deleted> {
        let Deletion {
            ids,
            named,
            force,
            deep,
            ..
        } = deletion;
        let is_known = |id: &ObjectId| id.is_blob() || self.catalog.contains(state, *id);
        if !is_confirmed && !ids.iter().all(is_known) {
            return Ok(Deleted::Unknown);
        }
        let plan = self.catalog.delete_plan(state, ids, *force, *deep);
        // `Asked::Delete` is never refused.
        let _waits_or_goes_on = self.check(Asked::Delete, plan.transients.iter().chain(named))?;
        let is_elsewhere = !plan.persistent.is_empty()
            || !plan.persistent_members.is_empty()
            || named.iter().any(|id| state.blob(*id).is_some());
        if !is_elsewhere {
            return Ok(Deleted::Done(self.carry_out(state, deletion, &plan)));
        }
        // From here on nothing new refers to these, and no persist says that they are here.
        let mut marked = &plan.transients | &plan.reach(state, *force, *deep);
        marked.extend(named);
        let number = self.pending.begin_delete(&marked);
        Ok(Deleted::Pending(PendingDelete {
            plan,
            marked,
            number,
        }))
    }

    /// The cluster has `agreed`, or did not in time, and all stays as it was. Returns the blobs that were here and are gone.
    pub(crate) fn end_delete(
        &mut self,
        state: &State,
        deletion: &Deletion,
        pending: PendingDelete,
        agreed: bool,
    ) -> Vec<ObjectId> {
        let PendingDelete {
            plan,
            marked,
            number,
        } = pending;
        let due = self.pending.end_delete(number, &marked);
        let deleted = match agreed {
            true => self.carry_out(state, deletion, &plan),
            false => Vec::new(),
        };
        self.free(state, due);
        self.waiters.wake(&marked);
        deleted
    }

    /// What is left to do for a `clear` once the objects are gone: frees those of `blobs` that nothing needs, and ends all
    /// holds of `by`.
    pub(crate) fn clear_blobs(&mut self, state: &State, blobs: Vec<ObjectId>, by: HolderId) {
        let gone = self.free_unreferred(state, blobs, by, false);
        self.pending.forget_persisted(&gone);
        self.store.release_everything(by);
    }

    /// Blobs that nothing persistent refers to any more. They are freed when no delete that may say so itself is under way.
    pub(super) fn free_released(&mut self, state: &State, released: BTreeSet<ObjectId>) {
        self.pending.forget_persisted(&released);
        let free = self.pending.release(released);
        self.free(state, free);
    }

    fn free(&mut self, state: &State, blobs: BTreeSet<ObjectId>) {
        self.free_unreferred(state, blobs, self.own_holder, false);
    }

    fn carry_out(
        &mut self,
        state: &State,
        deletion: &Deletion,
        plan: &DeletePlan,
    ) -> Vec<ObjectId> {
        let Deletion {
            by, named, trim, ..
        } = deletion;
        for id in &plan.transients {
            self.catalog.remove(*id);
        }
        let unnamed = plan.blobs.difference(named).copied();
        let mut deleted = self.free_unreferred(state, unnamed, *by, *trim);
        let gone = named
            .iter()
            .filter(|id| self.store.delete(*by, **id, *trim));
        deleted.extend(gone);
        self.pending.forget_persisted(&deleted);
        deleted
    }
}
