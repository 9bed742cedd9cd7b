//! The world that tests of this crate run in.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use vineyard_env::{Batch, Disk, Done, Files, Main, Pair, Threads};

use crate::disk::MemoryDisk;

/// Threads that are tasks of this one.
pub(crate) struct LocalThreads;

impl Threads for LocalThreads {
    fn start(&self, _name: &str, main: Main) {
        tokio::task::spawn_local(async move { main().await });
    }
}

/// A memory disk that can hold what it is given, and have no room for files.
#[derive(Default)]
pub(crate) struct HeldDisk {
    disk: MemoryDisk,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    holds: bool,
    is_full: bool,
    waiting: VecDeque<(Batch, Done)>,
}

impl HeldDisk {
    /// Batches wait from now on; nothing of them is on the disk yet.
    pub(crate) fn hold(&self) {
        self.lock().holds = true;
    }

    /// Forgets what waits, as a crash does, and holds nothing any more.
    pub(crate) fn forget(&self) {
        let mut held = self.lock();
        held.holds = false;
        held.waiting.clear();
    }

    /// There is no room for files from now on, or there is again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.lock().is_full = is_full;
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

    fn files(&self) -> &dyn Files {
        self
    }
}

impl Files for HeldDisk {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.disk.list()
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.disk.read(number)
    }

    fn write(&self, number: u64, bytes: Arc<Vec<u8>>, done: Done) {
        match self.lock().is_full {
            true => done(Err(io::ErrorKind::StorageFull.into())),
            false => self.disk.write(number, bytes, done),
        }
    }

    fn remove(&self, number: u64) {
        self.disk.remove(number);
    }

    fn name(&self, number: u64) -> String {
        self.disk.name(number)
    }
}
