//! A disk with troubles.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use vineyard_env::{Batch, Change, Disk, Done, Pair};
use vineyard_raft::disk::MemoryDisk;

/// A memory disk that can refuse to write, or take its time.
#[derive(Default)]
pub(crate) struct Breakable {
    disk: MemoryDisk,
    broken: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    holds: bool,
    waiting: Vec<(Batch, Done)>,
}

impl Breakable {
    /// Every write fails from now on, or no longer.
    pub(crate) fn fail(&self, fails: bool) {
        self.broken.store(fails, Ordering::Relaxed);
    }

    /// Bytes of what waits.
    pub(crate) fn held_bytes(&self) -> usize {
        let held = self.held.lock().unwrap();
        let changes = held.waiting.iter().flat_map(|(batch, _)| batch);
        let bytes = changes.map(|change| match change {
            Change::Put(_, value) => value.len(),
            Change::Delete(_) | Change::DeleteRange(..) => 0,
        });
        bytes.sum()
    }

    /// What is written waits from now on, or no longer.
    pub(crate) fn hold(&self, holds: bool) {
        let mut held = self.held.lock().unwrap();
        held.holds = holds;
        let waiting = std::mem::take(&mut held.waiting);
        drop(held);
        for (batch, done) in waiting {
            self.commit(batch, done);
        }
    }
}

impl Disk for Breakable {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.disk.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        self.disk.scan(from, to)
    }

    fn commit(&self, batch: Batch, done: Done) {
        let mut held = self.held.lock().unwrap();
        if held.holds {
            held.waiting.push((batch, done));
            return;
        }
        drop(held);
        if self.broken.load(Ordering::Relaxed) {
            done(Err(io::Error::from_raw_os_error(5)));
        } else {
            self.disk.commit(batch, done);
        }
    }
}
