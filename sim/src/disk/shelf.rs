//! The whole files of a false disk.
//!
//! Promise: what `env::Files` promises. A file that is being written when the process or the machine ends is gone, or
//! there whole; one that was removed may come back. One that fails to sync leaves nothing, and the next may do better.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use vineyard_env::{Done, Files};

use super::{Health, Platter, SimDisk, WRITES_WITH_BYTES, refused};
use crate::chance::Chance;
use crate::trace::{Kind, digest};

type Bytes = Arc<Vec<u8>>;

/// What stays of it, and what is under way.
pub(super) struct Shelf {
    chance: Chance,
    files: BTreeMap<u64, Bytes>,
    /// Gone for a reader, and perhaps not for a machine that loses its power.
    removed: BTreeMap<u64, Bytes>,
    queue: VecDeque<Job>,
    failures: u64,
}

enum Job {
    Write(u64, Bytes, Done),
    Remove(u64),
}

/// A file that is being written.
pub(super) struct Writing {
    number: u64,
    bytes: Bytes,
    done: Done,
    fails: Option<io::Error>,
}

impl Shelf {
    pub(super) fn new(seed: u64, who: &str) -> Self {
        Self {
            chance: Chance::stream(seed, &format!("files {who}")),
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            queue: VecDeque::new(),
            failures: 0,
        }
    }

    /// What survives now.
    pub(super) fn copy(&self) -> BTreeMap<u64, Bytes> {
        self.files.clone()
    }

    pub(super) fn put_back(&mut self, files: BTreeMap<u64, Bytes>) {
        self.files = files;
        self.removed.clear();
    }

    /// The process is gone, and so is what it waited for.
    pub(super) fn crash(&mut self, writing: Option<(u64, Bytes)>) {
        self.queue.clear();
        if let Some((number, bytes)) = writing
            && self.chance.happens(500)
        {
            self.files.insert(number, bytes);
        }
        for (number, bytes) in std::mem::take(&mut self.removed) {
            if self.chance.happens(500) {
                self.files.entry(number).or_insert(bytes);
            }
        }
    }
}

impl Platter {
    /// Files that could not be written since the start of the world.
    pub fn file_failures(&self) -> u64 {
        self.lock().shelf.failures
    }

    /// Writes and removes files, one after the other, until its process ends.
    pub(super) async fn write_files(&self) {
        loop {
            self.file_arrived.notified().await;
            while let Some((writing, pieces)) = self.begin_file() {
                for _ in 0..pieces {
                    let sync = self.sync_time();
                    tokio::time::sleep(sync).await;
                }
                self.finish_file(writing);
            }
        }
    }

    /// Takes what waits, up to the next file that is to be written, and in how many pieces.
    fn begin_file(&self) -> Option<(Writing, usize)> {
        const PIECE_BYTES: usize = 64 << 10;
        let mut inner = self.lock();
        let fails_per_mille = inner.health.fails_per_mille;
        let is_full = inner.free_bytes < WRITES_WITH_BYTES;
        let shelf = &mut inner.shelf;
        loop {
            match shelf.queue.pop_front()? {
                Job::Remove(number) => {
                    if let Some(bytes) = shelf.files.remove(&number) {
                        shelf.removed.insert(number, bytes);
                    }
                }
                Job::Write(number, bytes, done) => {
                    let fails = match shelf.chance.happens(fails_per_mille) {
                        true => Some(refused()),
                        false => is_full.then(|| io::ErrorKind::StorageFull.into()),
                    };
                    let pieces = bytes.len().div_ceil(PIECE_BYTES).max(1);
                    inner.writing = Some((number, bytes.clone()));
                    let writing = Writing {
                        number,
                        bytes,
                        done,
                        fails,
                    };
                    return Some((writing, pieces));
                }
            }
        }
    }

    fn sync_time(&self) -> Duration {
        let mut inner = self.lock();
        let Health {
            sync_ms_min,
            sync_ms_max,
            ..
        } = inner.health;
        let ms = inner.shelf.chance.between(sync_ms_min, sync_ms_max + 1);
        Duration::from_millis(ms)
    }

    fn finish_file(&self, writing: Writing) {
        let Writing {
            number,
            bytes,
            done,
            fails,
        } = writing;
        let mut inner = self.lock();
        inner.writing = None;
        let who = inner.who.clone();
        let (size, hash) = (bytes.len(), digest(&bytes));
        match &fails {
            Some(_) => inner.shelf.failures += 1,
            None => drop(inner.shelf.files.insert(number, bytes)),
        }
        drop(inner);
        let what = match &fails {
            Some(_) => "cannot be written",
            None => "is there",
        };
        self.trace.note(
            Kind::Disk,
            &who,
            format_args!("file {number} of {size} bytes {hash:016x} {what}"),
        );
        done(fails.map_or(Ok(()), Err));
    }

    fn hand_over(&self, job: Job) {
        self.lock().shelf.queue.push_back(job);
        self.file_arrived.notify_one();
    }
}

impl Files for SimDisk {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.platter.lock().shelf.files.keys().copied().collect())
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        let inner = self.platter.lock();
        let bytes = inner.shelf.files.get(&number);
        Ok(bytes.ok_or(io::ErrorKind::NotFound)?.to_vec())
    }

    fn write(&self, number: u64, bytes: Bytes, done: Done) {
        self.platter.hand_over(Job::Write(number, bytes, done));
    }

    fn remove(&self, number: u64) {
        self.platter.hand_over(Job::Remove(number));
    }

    fn name(&self, number: u64) -> String {
        format!("snapshots/{number}")
    }
}
