//! Waits for ids and for names.
//!
//! A wait is registered in the turn that found nothing, so no change can come between. A change wakes the waits for its
//! id or name and no others. Dropping a `Waiter` ends the wait; later registrations remove its entry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use vineyard_wire::ObjectId;

/// Entries of ended waits are removed when there are this many entries more than twice the live ones.
const DEAD_ENTRIES_MAX: usize = 64;

/// One wait. It ends when the id or name changes, also if that was before `woken` was called.
pub(crate) struct Waiter(Arc<Notify>);

impl Waiter {
    pub(crate) async fn woken(self) {
        self.0.notified().await;
    }
}

#[derive(Default)]
pub(crate) struct Waiters {
    ids: BTreeMap<ObjectId, Vec<Weak<Notify>>>,
    names: BTreeMap<String, Vec<Weak<Notify>>>,
    /// Waits that any persist may end.
    persists: Vec<Weak<Notify>>,
    /// Waits that freed memory may end.
    memory: Vec<Weak<Notify>>,
    entries: usize,
    /// Live entries after the last sweep.
    alive: usize,
}

impl Waiters {
    pub(crate) fn wait_for(&mut self, id: ObjectId) -> Waiter {
        self.count_one();
        register(self.ids.entry(id))
    }

    /// For a member that is missing: another object of its signature may stand in for it, so each persist is a reason
    /// to check again.
    pub(crate) fn wait_for_member(&mut self, id: ObjectId) -> Waiter {
        let waiter = self.wait_for(id);
        self.count_one();
        self.persists.push(Arc::downgrade(&waiter.0));
        waiter
    }

    pub(crate) fn wake_persists(&mut self) {
        self.entries -= wake_all([std::mem::take(&mut self.persists)].into_iter());
    }

    /// For a writer of the stream `id`: freed memory is a reason to check again, and so is a change of the stream.
    pub(crate) fn wait_for_memory(&mut self, id: ObjectId) -> Waiter {
        let waiter = self.wait_for(id);
        self.count_one();
        self.memory.push(Arc::downgrade(&waiter.0));
        waiter
    }

    pub(crate) fn wake_memory(&mut self) {
        self.entries -= wake_all([std::mem::take(&mut self.memory)].into_iter());
    }

    /// Whether there is no wait for memory.
    pub(crate) fn is_memory_idle(&self) -> bool {
        self.memory.is_empty()
    }

    pub(crate) fn wait_for_name(&mut self, name: &str) -> Waiter {
        self.count_one();
        register(self.names.entry(name.to_owned()))
    }

    pub(crate) fn wake<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>) {
        if self.ids.is_empty() {
            return;
        }
        for id in ids {
            self.entries -= wake_all(self.ids.remove(id).into_iter());
        }
    }

    pub(crate) fn wake_name(&mut self, name: &str) {
        self.entries -= wake_all(self.names.remove(name).into_iter());
    }

    /// Wakes all waits, after changes whose ids are unknown.
    pub(crate) fn wake_everyone(&mut self) {
        wake_all(std::mem::take(&mut self.ids).into_values());
        wake_all(std::mem::take(&mut self.names).into_values());
        self.wake_persists();
        self.wake_memory();
        self.entries = 0;
    }

    /// Whether there is no wait for an id.
    pub(crate) fn is_idle(&self) -> bool {
        self.ids.is_empty()
    }

    fn count_one(&mut self) {
        if self.entries > 2 * self.alive + DEAD_ENTRIES_MAX {
            self.persists.retain(|waiter| waiter.strong_count() > 0);
            self.memory.retain(|waiter| waiter.strong_count() > 0);
            self.alive = sweep(&mut self.ids)
                + sweep(&mut self.names)
                + self.persists.len()
                + self.memory.len();
            self.entries = self.alive;
        }
        self.entries += 1;
    }
}

fn register<K: Ord>(entry: Entry<'_, K, Vec<Weak<Notify>>>) -> Waiter {
    let notify = Arc::new(Notify::new());
    entry.or_default().push(Arc::downgrade(&notify));
    Waiter(notify)
}

/// Wakes the waits of all `taken` entries. Returns how many entries there were.
fn wake_all(taken: impl Iterator<Item = Vec<Weak<Notify>>>) -> usize {
    let mut entries = 0;
    for waiter in taken.flatten() {
        entries += 1;
        if let Some(notify) = waiter.upgrade() {
            notify.notify_one();
        }
    }
    entries
}

/// Removes the entries of waits that have ended; returns how many are left.
fn sweep<K: Ord>(table: &mut BTreeMap<K, Vec<Weak<Notify>>>) -> usize {
    table.retain(|_, waiters| {
        waiters.retain(|waiter| waiter.strong_count() > 0);
        !waiters.is_empty()
    });
    table.values().map(Vec::len).sum()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_wake_ends_the_waits_for_its_id_and_no_others() {
        let mut waiters = Waiters::default();
        let (one, other) = (waiters.wait_for(ObjectId(1)), waiters.wait_for(ObjectId(2)));
        let named = waiters.wait_for_name("n");
        waiters.wake(&[ObjectId(1), ObjectId(3)]);
        assert!(one.woken().now_or_never().is_some());
        let mut other = Box::pin(other.woken());
        assert!((&mut other).now_or_never().is_none());
        waiters.wake_name("n");
        assert!(named.woken().now_or_never().is_some());
        waiters.wake_everyone();
        assert!(other.now_or_never().is_some());
        assert!(waiters.is_idle() && waiters.entries == 0);
    }

    #[test]
    fn dropped_waits_take_no_memory() {
        let mut waiters = Waiters::default();
        let kept: Vec<_> = (0..10).map(|id| waiters.wait_for(ObjectId(id))).collect();
        for id in 0..10_000 {
            drop(waiters.wait_for(ObjectId(id)));
            drop(waiters.wait_for_name(&id.to_string()));
        }
        assert!(waiters.ids.len() + waiters.names.len() < 200);
        assert_eq!(sweep(&mut waiters.ids), kept.len());
    }
}
