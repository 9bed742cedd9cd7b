//! The begin and the end of a migrated copy. Its blobs are here before its metadata is persistent.

use std::collections::BTreeMap;

use vineyard_raft::state::State;
use vineyard_wire::{ObjectId, Status};

use super::Local;

/// A copy that has begun: its blobs, and a fresh id for each object of the original.
pub(crate) struct Copied {
    pub(crate) blobs: Vec<ObjectId>,
    pub(crate) fresh: BTreeMap<ObjectId, ObjectId>,
}

impl Local {
    /// From now on a delete of one of `blobs` waits until the copy has ended. If a client has deleted one before, the
    /// copy fails.
    pub(crate) fn begin_copy(
        &mut self,
        state: &State,
        objects: &[ObjectId],
        blobs: Vec<ObjectId>,
    ) -> Result<Copied, Status> {
        let is_whole = self.check_sealed(&blobs).and_then(|()| {
            let mut blobs = blobs.iter();
            // A delete that names one has begun and will free it.
            blobs.try_for_each(|id| self.pending.check_member(*id))
        });
        if let Err(status) = is_whole {
            self.give_up_copy(state, &blobs);
            return Err(status);
        }
        self.pending.begin_copy(&blobs);
        let fresh = |id: &ObjectId| (*id, self.catalog.fresh_id(state));
        let fresh = objects.iter().map(fresh).collect();
        Ok(Copied { blobs, fresh })
    }

    /// Ends a copy: the cluster has `applied` its metadata, or never will.
    pub(crate) fn end_copy(&mut self, state: &State, blobs: &[ObjectId], applied: bool) {
        self.pending.end_copy(blobs);
        if applied {
            self.release_own(blobs);
            self.end_blobs(state, blobs);
        } else {
            self.give_up_copy(state, blobs);
        }
        self.waiters.wake(blobs);
    }

    /// Frees what was fetched for nothing. A client may have made an object over a blob meanwhile: that stays.
    fn give_up_copy(&mut self, state: &State, blobs: &[ObjectId]) {
        self.release_own(blobs);
        let blobs = blobs.iter().copied();
        self.free_unreferred(state, blobs, self.own_holder, false);
    }

    /// Releases the node's own references to `blobs`.
    pub(crate) fn release_own(&mut self, blobs: &[ObjectId]) {
        for id in blobs {
            // A client may have deleted the blob meanwhile, which released it.
            let _released_before = self.store.release(self.own_holder, *id);
        }
    }

    /// Deletes fetched blobs of a copy that failed.
    pub(crate) fn discard(&mut self, blobs: &[ObjectId]) {
        for id in blobs {
            if !self.store.delete(self.own_holder, *id, false) {
                self.release_own(&[*id]);
            }
        }
    }
}
