//! A disk with troubles.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use vineyard_env::{Batch, Change, Disk, DiskRoom, Done, Files, Pair};
use vineyard_raft::disk::MemoryDisk;

/// Where a node's epoch stands.
const EPOCH: &[u8] = b"\0epoch";

/// The change by which a disk is of `epoch`.
pub(crate) fn put_epoch(epoch: u64) -> Change {
    Change::Put(EPOCH.to_vec(), epoch.to_le_bytes().to_vec())
}

/// A memory disk that can refuse to write, or take its time.
#[derive(Default)]
pub(crate) struct Breakable {
    disk: MemoryDisk,
    broken: AtomicBool,
    /// Writes until it breaks, if it is to break.
    left: Mutex<Option<u64>>,
    held: Mutex<Held>,
    free_bytes: Mutex<Option<u64>>,
    has_no_room: AtomicBool,
    /// Files that were refused for that.
    refused: AtomicU64,
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
        *self.left.lock().unwrap() = None;
    }

    /// Every write fails after so many more.
    pub(crate) fn fail_after(&self, writes: u64) {
        *self.left.lock().unwrap() = Some(writes);
    }

    /// There is no room for files from now on, or there is again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.has_no_room.store(is_full, Ordering::Relaxed);
    }

    /// There is so much room on the file system; without a number nothing bounds it.
    pub(crate) fn leave(&self, free_bytes: Option<u64>) {
        *self.free_bytes.lock().unwrap() = free_bytes;
    }

    /// Files for which there was no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What stands for the identity of a node.
    pub(crate) fn epoch(&self) -> u64 {
        let epoch = self.disk.get(EPOCH).unwrap();
        epoch.map_or(1, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// A new disk.
    pub(crate) fn with_its_epoch(&self) -> Arc<Self> {
        let new = Self::default();
        new.commit(vec![put_epoch(self.epoch())], Box::new(|_| {}));
        Arc::new(new)
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
        if let Some(left) = &mut *self.left.lock().unwrap() {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.broken.store(true, Ordering::Relaxed),
            }
        }
        if self.broken.load(Ordering::Relaxed) {
            done(Err(io::Error::from_raw_os_error(5)));
        } else {
            self.disk.commit(batch, done);
        }
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn room(&self) -> io::Result<Option<DiskRoom>> {
        let free = *self.free_bytes.lock().unwrap();
        Ok(free.map(|free_bytes| DiskRoom {
            free_bytes,
            total_bytes: 1 << 30,
        }))
    }
}

impl Files for Breakable {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.disk.list()
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.disk.read(number)
    }

    fn write(&self, number: u64, bytes: Arc<Vec<u8>>, done: Done) {
        if self.has_no_room.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            done(Err(io::ErrorKind::StorageFull.into()));
        } else {
            self.disk.write(number, bytes, done);
        }
    }

    fn remove(&self, number: u64) {
        self.disk.remove(number);
    }

    fn name(&self, number: u64) -> String {
        self.disk.name(number)
    }
}
