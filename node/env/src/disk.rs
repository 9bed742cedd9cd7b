//! A small ordered key-value disk with one write queue.
//!
//! Promise: batches become durable in the order they were handed over, each whole or not at all; `done` is called with
//! `Ok` only after the batch would survive a power loss. After one failure every later batch fails: a disk that lost a
//! write is not trusted with the next.

use std::io;

use crate::files::Files;

/// One change to one key or key range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// Deletes every key in `from..to` (`to` exclusive).
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// Changes that become durable together, applied in order.
pub type Batch = Vec<Change>;

/// Called once, from any thread, when the batch is durable or has failed.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Room on the file system of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

pub trait Disk: Send + Sync {
    /// What a committed batch left under `key`. Batches whose `done` has not been called may or may not be seen.
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// Pairs with `from <= key < to`, in key order.
    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>>;

    /// Queues `batch`; returns at once.
    fn commit(&self, batch: Batch, done: Done);

    /// As `commit`, for a caller that has nothing else to do before `done`: a disk may write on the caller's thread,
    /// and return after it.
    fn commit_here(&self, batch: Batch, done: Done) {
        self.commit(batch, done);
    }

    /// What is too large for the queue.
    fn files(&self) -> &dyn Files;

    /// How much room there is now; `None` if nothing bounds it.
    fn room(&self) -> io::Result<Option<DiskRoom>> {
        Ok(None)
    }
}
