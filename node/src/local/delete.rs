//! Deletes. Objects and blobs that only this node knows are deleted in one turn. If the cluster must agree, a delete
//! takes two turns, and in between its objects and blobs are marked in the ledger, so that no new object refers to
//! them.

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
    /// The holder whose references end with the delete.
    pub(crate) by: HolderId,
    pub(crate) ids: Vec<ObjectId>,
    /// The blobs among `ids` that are deleted even if something refers to them; the cluster is told if they are
    /// persistent.
    pub(crate) named: BTreeSet<ObjectId>,
    pub(crate) force: bool,
    pub(crate) deep: bool,
    pub(crate) trim: bool,
}

/// The result of one turn of a delete.
pub(crate) enum Deleted {
    /// Done: these blobs were here and are deleted.
    Done(Vec<ObjectId>),
    /// An object is unknown here: another node may have persisted it a moment ago.
    Unknown,
    /// The cluster must agree first.
    Pending(PendingDelete),
}

/// A delete that waits for the cluster. Its owner must end it with `Local::end_delete`.
#[derive(Debug)]
pub(crate) struct PendingDelete {
    pub(crate) plan: DeletePlan,
    marked: BTreeSet<ObjectId>,
    number: DeleteNumber,
}

impl Local {
    /// Deletes, or begins a delete that the cluster must agree to. With `is_confirmed`, ids that are unknown here are
    /// ignored.
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
        // From here on no new object refers to these blobs, and no persist lists them as present.
        let mut marked = &plan.transients | &plan.reach(state, *force, *deep);
        marked.extend(named);
        let number = self.pending.begin_delete(&marked);
        Ok(Deleted::Pending(PendingDelete {
            plan,
            marked,
            number,
        }))
    }

    /// Ends a delete: the cluster has `agreed`, or did not in time and nothing is deleted. Returns the deleted blobs
    /// that were here.
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

    /// The end of a `clear`, after the objects were deleted: frees those of `blobs` that nothing refers to, and ends
    /// all references of `by`.
    pub(crate) fn clear_blobs(&mut self, state: &State, blobs: Vec<ObjectId>, by: HolderId) {
        self.drop_streams(state);
        let gone = self.free_unreferred(state, blobs, by, false);
        self.pending.forget_persisted(&gone);
        self.store.release_everything(by);
    }

    /// Blobs that the cluster has released. They are freed at once, or deferred while a delete that may free them
    /// itself is pending.
    pub(super) fn free_released(&mut self, state: &State, released: BTreeSet<ObjectId>) {
        // A later persist may have one of them.
        let gone = released.iter().filter(|id| state.blob(**id).is_none());
        self.pending.forget_persisted(gone);
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
