//! The references of this connection to blobs in the node's memory, and which of their ends the node was not told yet.
//!
//! Promise: the node learns that a blob is no longer needed only after the last handle of that id on the connection was
//! dropped, and no handle was made since. Handles are counted while their exchange has the connection, and notices are
//! drawn up under it too, so none overtakes the other. It must never know how a notice travels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vineyard_wire::{ObjectId, Request};

use super::Client;
use crate::connection::{Connection, RELEASES};

/// What may wait for the next request: with this much the node is told at once.
const WAITING_BYTES_MAX: u64 = 1 << 20;
const WAITING_BLOBS_MAX: usize = 64;

/// Keeps a blob in the node's memory, and the connection open that holds it there.
#[derive(Clone)]
pub(crate) struct Hold(Arc<Held>);

struct Held {
    client: Client,
    id: ObjectId,
    bytes: u64,
}

impl Hold {
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.client.dropped(self.id, self.bytes);
    }
}

impl Client {
    /// What a handle of the blob `id` in the node's memory keeps. Ask for it before the exchange that makes the node
    /// hold the blob is done.
    pub(super) fn hold(&self, id: ObjectId, bytes: u64) -> Hold {
        self.holds().add(id);
        Hold(Arc::new(Held {
            client: self.clone(),
            id,
            bytes,
        }))
    }

    /// A handle of `id` is gone. The node is told with the next request; at once if much waits, or if no
    /// client is left that could make a request.
    fn dropped(&self, id: ObjectId, bytes: u64) {
        let is_urgent = {
            let mut holds = self.holds();
            // Checked while the lock is held. `close` checks again after it, so one of the two sees the other.
            let is_orphaned = self.is_closed() || Arc::strong_count(&self.inner) == holds.total();
            holds.subtract(id, bytes);
            is_orphaned || holds.is_urgent()
        };
        if !is_urgent {
            return;
        }
        // If a call has the connection, the next request or the next dropped handle tells the node.
        if !self.is_over()
            && let Ok(mut connection) = self.inner.connection.try_lock()
            && let Some(connection) = connection.as_mut().filter(|one| one.in_step())
        {
            self.queue_release(connection);
            connection.push();
        }
        self.end();
    }

    /// Later calls are refused; the connection is closed with the last blob that needs it, at once if there is none.
    pub(super) fn end_soon(&self) {
        self.inner.closed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Closes the connection if it is over. A call of a client that may be closed runs this after it released the
    /// connection, because the last handle may have found it taken.
    pub(super) fn end(&self) {
        if self.is_over()
            && let Ok(mut connection) = self.inner.connection.try_lock()
        {
            *connection = None;
        }
    }

    /// Whether the client is closed and no blob needs its connection any more.
    fn is_over(&self) -> bool {
        self.is_closed() && !self.is_held()
    }

    /// Queues the notice of what was dropped since the last one.
    pub(super) fn queue_release(&self, connection: &mut Connection) {
        if !self.is_ours() || !self.offers(RELEASES) {
            return;
        }
        let ids = self.holds().take_dropped();
        if !ids.is_empty() {
            connection.queue(&Request::ReleaseNotice { ids });
        }
    }
}

/// The references of one connection.
#[derive(Default)]
pub(super) struct Holds {
    /// How many `Blob`s and `BlobWriter`s there are; clones of a `Blob` count once.
    handles: BTreeMap<ObjectId, usize>,
    total: usize,
    /// Held by `retain`, until `release`.
    retained: BTreeSet<ObjectId>,
    /// Referenced at the node, and not here any more.
    dropped: BTreeSet<ObjectId>,
    /// Bytes of `dropped`, at most: what came back to life meanwhile still counts.
    dropped_bytes: u64,
}

impl Holds {
    /// One more handle of `id`.
    pub(super) fn add(&mut self, id: ObjectId) {
        *self.handles.entry(id).or_default() += 1;
        self.total += 1;
        self.dropped.remove(&id);
    }

    /// One handle of `id` less, of a blob of `bytes`.
    pub(super) fn subtract(&mut self, id: ObjectId, bytes: u64) {
        self.total -= 1;
        let count = self.handles.get_mut(&id).expect("a handle was counted");
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.handles.remove(&id);
        if !self.retained.contains(&id) {
            self.dropped.insert(id);
            self.dropped_bytes += bytes;
        }
    }

    /// The node has just counted a reference of this connection to `id`. Without a handle here, it is released.
    pub(super) fn release_if_unused(&mut self, id: ObjectId) {
        if !self.handles.contains_key(&id) && !self.retained.contains(&id) {
            self.dropped.insert(id);
        }
    }

    pub(super) fn retain(&mut self, ids: &[ObjectId]) {
        for id in ids {
            self.retained.insert(*id);
            self.dropped.remove(id);
        }
    }

    /// Ends a `retain`. `true` if handles still need the blob; otherwise the caller tells the node.
    pub(super) fn release(&mut self, id: ObjectId) -> bool {
        self.retained.remove(&id);
        self.dropped.remove(&id);
        self.handles.contains_key(&id)
    }

    /// All handles.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Whether more waits to be told than should wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.dropped_bytes >= WAITING_BYTES_MAX || self.dropped.len() >= WAITING_BLOBS_MAX
    }

    /// What to tell the node now.
    pub(super) fn take_dropped(&mut self) -> Vec<ObjectId> {
        self.dropped_bytes = 0;
        std::mem::take(&mut self.dropped).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ObjectId = ObjectId(1 << 63 | 1);
    const TWO: ObjectId = ObjectId(1 << 63 | 2);

    impl Client {
        /// Runs `work` while no handle is made, dropped or counted.
        pub(crate) fn with_holds_locked<T>(&self, work: impl FnOnce() -> T) -> T {
            let _locked = self.holds();
            work()
        }

        /// Whether somebody has the connection.
        pub(crate) fn is_taken(&self) -> bool {
            self.inner.connection.try_lock().is_err()
        }
    }

    #[test]
    fn a_blob_is_dropped_with_its_last_handle() {
        let mut holds = Holds::default();
        holds.add(ONE);
        holds.add(ONE);
        holds.subtract(ONE, 5);
        assert_eq!(holds.take_dropped(), []);
        holds.subtract(ONE, 5);
        assert_eq!((holds.take_dropped(), holds.total()), (vec![ONE], 0));
        assert_eq!(holds.take_dropped(), []);
    }

    #[test]
    fn a_blob_that_is_got_again_is_not_dropped() {
        let mut holds = Holds::default();
        holds.add(ONE);
        holds.subtract(ONE, 5);
        holds.add(ONE);
        holds.release_if_unused(ONE);
        holds.release_if_unused(TWO);
        assert_eq!(holds.take_dropped(), [TWO]);
    }

    #[test]
    fn what_is_retained_outlasts_its_handles_and_is_released_by_name() {
        let mut holds = Holds::default();
        holds.add(ONE);
        holds.retain(&[ONE]);
        assert!(holds.release(ONE), "a handle needs it");
        holds.retain(&[ONE]);
        holds.subtract(ONE, 5);
        assert_eq!(holds.take_dropped(), []);
        assert!(!holds.release(ONE));
        assert_eq!(holds.take_dropped(), []);
    }

    #[test]
    fn much_is_urgent_and_little_waits() {
        let mut holds = Holds::default();
        holds.add(ONE);
        holds.subtract(ONE, WAITING_BYTES_MAX - 1);
        assert!(!holds.is_urgent());
        holds.add(TWO);
        holds.subtract(TWO, 1);
        assert!(holds.is_urgent());
        holds.take_dropped();
        assert!(!holds.is_urgent());
        (0..WAITING_BLOBS_MAX as u64)
            .for_each(|at| holds.release_if_unused(ObjectId(1 << 63 | at)));
        assert!(holds.is_urgent());
    }
}
