//! The world that tests of this crate run in.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard};

use vineyard_env::{Batch, Disk, Done, Main, Pair, Threads};

use crate::disk::MemoryDisk;

/// Threads that are tasks of this one.
pub(crate) struct LocalThreads;

impl Threads for LocalThreads {
    fn start(&self, _name: &str, main: Main) {
        tokio::task::spawn_local(async move { main().await });
    }
}

/// A memory disk that can stop and go on.
#[derive(Default)]
pub(crate) struct HeldDisk {
    disk: MemoryDisk,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    holds: bool,
    waiting: VecDeque<(Batch, Done)>,
}

impl HeldDisk {
    /// Batches wait from now on; nothing of them is on the disk yet.
    pub(crate) fn hold(&self) {
        self.lock().holds = true;
    }

    /// Lets the oldest waiting batch through.
    pub(crate) fn release_one(&self) {
        let (batch, done) = self.lock().waiting.pop_front().expect("a batch waits");
        self.disk.commit(batch, done);
    }

    /// Lets everything through, now and later.
    pub(crate) fn release(&self) {
        let waiting = {
            let mut held = self.lock();
            held.holds = false;
            std::mem::take(&mut held.waiting)
        };
        for (batch, done) in waiting {
            self.disk.commit(batch, done);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }
}

impl Disk for HeldDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.disk.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        self.disk.scan(from, to)
    }

    fn commit(&self, batch: Batch, done: Done) {
        let mut held = self.lock();
        if held.holds {
            held.waiting.push_back((batch, done));
        } else {
            drop(held);
            self.disk.commit(batch, done);
        }
    }
}
