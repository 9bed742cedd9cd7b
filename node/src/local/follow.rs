//! Follows what the cluster has applied: removes transient copies of persistent objects, frees blobs that nothing
//! refers to, and wakes waiters.

use std::collections::BTreeSet;

use vineyard_raft::state::{Event, State};
use vineyard_wire::ObjectId;

use super::Local;
use super::catalog::children;

impl Local {
    /// Follows `events` in their order. `state` may be newer than the last of them.
    pub(crate) fn follow(&mut self, state: &State, events: &[Event]) {
        let mut released = BTreeSet::new();
        for event in events {
            match event {
                Event::Persisted(ids) => self.take_over(state, ids),
                Event::BlobsReleased(blobs) => released.extend(blobs),
                Event::ObjectChanged(id) => self.waiters.wake(&[*id]),
                Event::NameSet { name, .. } => self.waiters.wake_name(name),
                Event::ObjectsDeleted(_)
                | Event::BlobsLost { .. }
                | Event::NameDropped { .. }
                | Event::InstanceChanged(_)
                | Event::TokenRotated
                | Event::SettingsChanged
                | Event::LockFreed { .. } => {}
            }
        }
        self.free_released(state, released);
    }

    /// Catches up after a snapshot has replaced the state, or events were missed.
    pub(crate) fn catch_up(&mut self, state: &State) {
        self.catalog.forget_persistent(state);
        let is_gone = |id: &ObjectId| state.blob(*id).is_none();
        let released = self.pending.persisted().filter(is_gone).collect();
        self.free_released(state, released);
        self.waiters.wake_everyone();
    }

    /// Removes transient copies of persistent objects. A persist that is pending for them is ended by the task that
    /// began it.
    fn take_over(&mut self, state: &State, ids: &[ObjectId]) {
        for id in ids {
            if state.contains(*id) || self.pending.is_persisting(*id) {
                self.catalog.remove(*id);
            }
        }
        self.waiters.wake_persists();
        if self.waiters.is_idle() {
            return;
        }
        self.waiters.wake(ids);
        for record in ids.iter().filter_map(|id| state.object(*id)) {
            let members: Vec<_> = children(record).collect();
            self.waiters.wake(&members);
        }
    }
}
