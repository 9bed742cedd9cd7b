//! What a delete has decided about and not yet carried out.
//!
//! The catalog decides that a blob goes; the store deletes it a turn later. It decides that objects go; they do once the
//! cluster has let go of the persistent ones among them. In between these are doomed, and nothing new may refer to them:
//! metadata that was accepted never stands over what a delete had already decided about. Whoever wants to refer to an
//! object waits, because the cluster may not agree.

use std::collections::btree_map::Entry;

use vineyard_raft::state::State;
use vineyard_wire::{ObjectId, Status, Tree};

use super::{Catalog, absorb, children, unknown_subtree};

impl Catalog {
    /// Whether a transient object refers to `id`.
    pub(crate) fn is_referred_to(&self, id: ObjectId) -> bool {
        self.parents.contains_key(&id)
    }

    /// Dooms those of `candidates` that nothing refers to, and says which they are.
    pub(crate) fn doom_unreferred(
        &mut self,
        state: &State,
        candidates: impl IntoIterator<Item = ObjectId>,
    ) -> Vec<ObjectId> {
        let goes = |id: &ObjectId| !self.is_referred_to(*id) && state.blob(*id).is_none();
        let doomed: Vec<_> = candidates.into_iter().filter(goes).collect();
        self.doom(&doomed);
        doomed
    }

    /// Dooms `ids`, whatever refers to them. Whoever dooms undooms: what two deletes name is doomed twice.
    pub(crate) fn doom<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>) {
        let stored = ids.into_iter().filter(|id| **id != ObjectId::EMPTY_BLOB);
        for id in stored {
            *self.doomed.entry(*id).or_default() += 1;
        }
    }

    /// `ids` are gone, or stay after all.
    pub(crate) fn undoom<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>) {
        for id in ids {
            if let Entry::Occupied(mut times) = self.doomed.entry(*id) {
                *times.get_mut() -= 1;
                if *times.get() == 0 {
                    times.remove();
                }
            }
        }
    }

    /// Whether it is not decided yet if an object that one of `contents` names goes.
    pub(crate) fn names_doomed(&self, contents: &[Tree]) -> bool {
        self.dooms_objects()
            && contents
                .iter()
                .any(|content| absorb::names_any(content, |id| self.dooms_object(id)))
    }

    /// Whether it is not decided yet if a member of the object `id` goes.
    pub(crate) fn has_doomed_member(&self, state: &State, id: ObjectId) -> bool {
        let record = self.record(state, id).filter(|_| self.dooms_objects());
        record.is_some_and(|record| children(record).any(|child| self.dooms_object(child)))
    }

    pub(super) fn dooms_object(&self, id: ObjectId) -> bool {
        !id.is_blob() && self.doomed.contains_key(&id)
    }

    /// Ids of blobs are the larger ones.
    fn dooms_objects(&self) -> bool {
        let least = self.doomed.keys().next();
        least.is_some_and(|id| !id.is_blob())
    }

    pub(super) fn refuse_doomed(&self, id: ObjectId) -> Result<(), Status> {
        match self.doomed.contains_key(&id) {
            true if id.is_blob() => Err(Status::not_exists(format!("no such blob: {id}"))),
            true => Err(unknown_subtree(id)),
            false => Ok(()),
        }
    }

    /// The blobs of a copy whose metadata is on its way; a delete waits until it is known how that ended.
    pub(crate) fn claim(&mut self, copies: &[ObjectId]) {
        self.copies.extend(copies);
    }

    /// The metadata of `copies` is the cluster's, or will never be.
    pub(crate) fn disclaim(&mut self, copies: &[ObjectId]) {
        for id in copies {
            self.copies.remove(id);
        }
    }

    /// Whether a persist on its way has one of `ids`, objects or blobs.
    pub(crate) fn is_in_flight<'a>(&self, ids: impl IntoIterator<Item = &'a ObjectId>) -> bool {
        let is_carried = |id: &ObjectId| match id.is_blob() {
            true => {
                let mut parents = self.parents.get(id).into_iter().flatten();
                self.copies.contains(id) || parents.any(|parent| self.in_flight.contains(parent))
            }
            false => self.in_flight.contains(id),
        };
        ids.into_iter().any(is_carried)
    }
}
