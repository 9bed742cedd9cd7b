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
        if let Err(status) = self.check_sealed(&blobs) {
            self.discard(&blobs);
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
            self.end_applied(state, blobs);
        } else {
            self.discard(blobs);
        }
        self.waiters.wake(blobs);
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
            self.store.delete(self.own_holder, *id, false);
        }
    }
}
