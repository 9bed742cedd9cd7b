//! Batches that wait for the writer thread, and which of them go together.

use std::io;
use std::sync::mpsc;

use vineyard_env::{Batch, Change, Done};

/// Batches made durable by one sync, at most.
pub(super) const GROUP_MAX: usize = 512;
/// A group takes no further batch from this size on, bytes. What sled writes of a group by itself is synced only after
/// it.
pub(super) const GROUP_BYTES_MAX: usize = 1 << 20;

/// A batch that waits. The queue of them has no bound of its own, because the caller must not wait: openraft's
/// core does, which also sends heartbeats. Its writers bound it. The leader takes no more commands than
/// `Options::proposals_bytes_max` until they are committed and on this disk; a follower has at most one append that is
/// not durable, because the leader sends the next after the answer (`APPEND_BYTES_MAX`, or one larger entry); the vote,
/// truncations, the identity and each piece of a snapshot are waited for; marks and purges follow those.
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) done: Option<Done>,
}

impl Write {
    pub(super) fn tell(mut self, result: io::Result<()>) {
        if let Some(done) = self.done.take() {
            done(result);
        }
    }
}

impl Drop for Write {
    /// The caller is told, also if the writer panicked.
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(io::Error::other("the disk's writer has stopped")));
        }
    }
}

/// `first`, and what waits behind it and may go with it.
pub(super) fn gather(first: Write, queue: &mpsc::Receiver<Write>) -> Vec<Write> {
    let mut bytes = bytes_of(&first.batch);
    let mut group = vec![first];
    while group.len() < GROUP_MAX
        && bytes < GROUP_BYTES_MAX
        && let Ok(next) = queue.try_recv()
    {
        bytes += bytes_of(&next.batch);
        group.push(next);
    }
    group
}

fn bytes_of(batch: &Batch) -> usize {
    let change = |change: &Change| match change {
        Change::Put(first, second) | Change::DeleteRange(first, second) => {
            first.len() + second.len()
        }
        Change::Delete(key) => key.len(),
    };
    batch.iter().map(change).sum()
}
