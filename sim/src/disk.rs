//! A false disk: what was synced survives, of the rest a drawn part, and it can be slow or refuse to sync.
//!
//! It can be full as well: then what is queued waits until there is room again.
//!
//! Promise: what `env::Disk` promises. Batches are written in order, several to one sync; a batch is never torn: a
//! crash keeps a prefix of whole batches. After one failed sync every later batch fails until the process starts anew.

mod shelf;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use vineyard_env::{Batch, Change, Disk, DiskRoom, Done, Files, NoFiles, Pair};

use crate::chance::Chance;
use crate::trace::{Kind, Trace, digest};
use shelf::Shelf;

type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// Why a sync fails or how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    pub sync_ms_min: u64,
    pub sync_ms_max: u64,
    /// How often, in a thousand, a sync fails.
    pub fails_per_mille: u64,
}

impl Health {
    pub const GOOD: Self = Self {
        sync_ms_min: 1,
        sync_ms_max: 3,
        fails_per_mille: 0,
    };
    pub const SLOW: Self = Self {
        sync_ms_min: 20,
        sync_ms_max: 400,
        fails_per_mille: 0,
    };
}

/// Bytes of the file system of each disk.
const TOTAL_BYTES: u64 = 1 << 30;
/// With less room than this nothing is written, bytes.
const WRITES_WITH_BYTES: u64 = 2 << 20;

/// What stays of a machine's disk when its processes come and go.
#[derive(Clone)]
pub struct Platter {
    inner: Arc<Mutex<Inner>>,
    arrived: Arc<Notify>,
    file_arrived: Arc<Notify>,
    trace: Trace,
}

/// A state of a disk, kept elsewhere.
pub struct Copied(Table, BTreeMap<u64, Arc<Vec<u8>>>);

impl Copied {
    /// Whether there is a value that contains `text`.
    pub fn has(&self, text: &str) -> bool {
        self.0.values().any(|value| contains(value, text))
    }
}

fn contains(value: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    value.windows(text.len()).any(|part| part == text)
}

struct Inner {
    who: String,
    chance: Chance,
    /// What survives.
    durable: Table,
    /// What a reader sees: the durable table and the batches written since.
    visible: Table,
    queue: VecDeque<(u64, Batch, Done)>,
    /// Written, not yet synced.
    written: Vec<(u64, Batch)>,
    next_batch: u64,
    health: Health,
    free_bytes: u64,
    poisoned: bool,
    failures: u64,
    shelf: Shelf,
    /// The file that is being written.
    writing: Option<(u64, Arc<Vec<u8>>)>,
}

impl Platter {
    pub fn new(seed: u64, who: &str, trace: Trace) -> Self {
        let inner = Inner {
            who: who.to_owned(),
            chance: Chance::stream(seed, &format!("disk {who}")),
            durable: Table::new(),
            visible: Table::new(),
            queue: VecDeque::new(),
            written: Vec::new(),
            next_batch: 1,
            health: Health::GOOD,
            free_bytes: TOTAL_BYTES,
            poisoned: false,
            failures: 0,
            shelf: Shelf::new(seed, who),
            writing: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            arrived: Arc::new(Notify::new()),
            file_arrived: Arc::new(Notify::new()),
            trace,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_health(&self, health: Health) {
        self.lock().health = health;
    }

    /// Others have filled the file system but for so much; without a number they have freed it.
    pub fn set_free(&self, bytes: Option<u64>) {
        self.lock().free_bytes = bytes.unwrap_or(TOTAL_BYTES);
        self.arrived.notify_one();
    }

    /// Syncs that failed since the start of the world.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Whether the process that uses it has seen a sync fail.
    pub fn is_poisoned(&self) -> bool {
        self.lock().poisoned
    }

    /// The process that used it is gone. `power` tells whether the machine kept its power: then a drawn prefix of what
    /// was written and not synced survives; without power none of it does. Returns the batches lost.
    pub fn crash(&self, power: bool) -> usize {
        let mut inner = self.lock();
        let mut waiting = std::mem::take(&mut inner.written);
        let queued = std::mem::take(&mut inner.queue);
        let all = waiting.len() + queued.len();
        // What the process still held in its own queue goes with it; the kernel keeps what it was given.
        let keep = if power {
            inner.chance.index(waiting.len() + 1)
        } else {
            0
        };
        waiting.truncate(keep);
        for (_, batch) in &waiting {
            change(&mut inner.durable, batch);
        }
        inner.visible = inner.durable.clone();
        inner.poisoned = false;
        let writing = inner.writing.take();
        inner.shelf.crash(writing);
        let who = inner.who.clone();
        drop(inner);
        drop(queued);
        self.trace.note(
            Kind::Disk,
            &who,
            format_args!("keeps {keep} of {all} unsynced batches"),
        );
        all - keep
    }

    /// What survives now, as an operator would copy it while no process uses it.
    pub fn copy(&self) -> Copied {
        let inner = self.lock();
        Copied(inner.durable.clone(), inner.shelf.copy())
    }

    /// Whether a value that contains `text` is being written.
    pub fn is_writing(&self, text: &str) -> bool {
        let inner = self.lock();
        let queued = inner.queue.iter().map(|(_, batch, _)| batch);
        let written = inner.written.iter().map(|(_, batch)| batch);
        let has = |change: &Change| match change {
            Change::Put(_, value) => contains(value, text),
            _ => false,
        };
        queued.chain(written).flatten().any(has)
    }

    /// Puts an older state in the place of what there is. No process uses the disk meanwhile.
    pub fn put_back(&self, old: &Copied) {
        let mut inner = self.lock();
        inner.durable = old.0.clone();
        inner.visible = old.0.clone();
        inner.shelf.put_back(old.1.clone());
    }

    /// Writes and syncs until its process ends.
    pub async fn write(self) {
        tokio::join!(self.write_batches(), self.write_files());
    }

    async fn write_batches(&self) {
        loop {
            self.arrived.notified().await;
            while let Some((dones, delay, fails)) = self.begin() {
                sleep(delay).await;
                self.finish(dones, fails);
            }
        }
    }

    /// Takes all that is queued into one sync.
    fn begin(&self) -> Option<(Vec<Done>, Duration, bool)> {
        let mut inner = self.lock();
        if inner.queue.is_empty() || inner.free_bytes < WRITES_WITH_BYTES {
            return None;
        }
        let mut dones = Vec::new();
        while let Some((number, batch, done)) = inner.queue.pop_front() {
            change(&mut inner.visible, &batch);
            inner.written.push((number, batch));
            dones.push(done);
        }
        let health = inner.health;
        let delay = inner
            .chance
            .between(health.sync_ms_min, health.sync_ms_max + 1);
        let fails = inner.poisoned || inner.chance.happens(health.fails_per_mille);
        Some((dones, Duration::from_millis(delay), fails))
    }

    fn finish(&self, dones: Vec<Done>, fails: bool) {
        let mut inner = self.lock();
        let written = std::mem::take(&mut inner.written);
        let last = written.last().map_or(0, |(number, _)| *number);
        if fails {
            // The kernel forgot which pages were dirty: some reached the disk, some never will. After that nothing is
            // written any more: a later batch without an earlier one would be a hole.
            let keep = match inner.poisoned {
                true => 0,
                false => inner.chance.index(written.len() + 1),
            };
            inner.poisoned = true;
            inner.failures += 1;
            for (_, batch) in &written[..keep] {
                change(&mut inner.durable, batch);
            }
        } else {
            for (_, batch) in &written {
                change(&mut inner.durable, batch);
            }
        }
        let who = inner.who.clone();
        drop(inner);
        let what = if fails { "fails to sync" } else { "synced" };
        self.trace
            .note(Kind::Disk, &who, format_args!("{what} to batch {last}"));
        for done in dones {
            done(if fails { Err(refused()) } else { Ok(()) });
        }
    }
}

fn refused() -> io::Error {
    io::Error::other("the disk failed to sync")
}

fn change(table: &mut Table, batch: &Batch) {
    for change in batch {
        match change {
            Change::Put(key, value) => {
                table.insert(key.clone(), value.clone());
            }
            Change::Delete(key) => {
                table.remove(key);
            }
            Change::DeleteRange(from, to) => {
                if from < to {
                    let keys: Vec<_> = table
                        .range(from.clone()..to.clone())
                        .map(|(key, _)| key.clone())
                        .collect();
                    for key in keys {
                        table.remove(&key);
                    }
                }
            }
        }
    }
}

fn pairs(table: &Table, from: &[u8], to: &[u8]) -> Vec<Pair> {
    if from >= to {
        return Vec::new();
    }
    let pairs = table.range(from.to_vec()..to.to_vec());
    pairs
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// What of the disk survives a power loss, to look at.
pub struct Durable {
    pub platter: Platter,
}

impl Disk for Durable {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.platter.lock().durable.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        Ok(pairs(&self.platter.lock().durable, from, to))
    }

    fn commit(&self, _: Batch, done: Done) {
        done(Err(refused()));
    }

    fn files(&self) -> &dyn Files {
        &NoFiles
    }
}

/// The disk of the machine, as its node sees it.
pub struct SimDisk {
    pub platter: Platter,
}

impl Disk for SimDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.platter.lock().visible.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        Ok(pairs(&self.platter.lock().visible, from, to))
    }

    fn commit(&self, batch: Batch, done: Done) {
        let mut inner = self.platter.lock();
        if inner.poisoned {
            drop(inner);
            done(Err(refused()));
            return;
        }
        let number = inner.next_batch;
        inner.next_batch += 1;
        let (who, changes, hash) = (inner.who.clone(), batch.len(), hash(&batch));
        inner.queue.push_back((number, batch, done));
        drop(inner);
        self.platter.trace.note(
            Kind::Disk,
            &who,
            format_args!("batch {number}: {changes} changes {hash:016x}"),
        );
        self.platter.arrived.notify_one();
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn room(&self) -> io::Result<Option<DiskRoom>> {
        Ok(Some(DiskRoom {
            free_bytes: self.platter.lock().free_bytes,
            total_bytes: TOTAL_BYTES,
        }))
    }
}

fn hash(batch: &Batch) -> u64 {
    let mut all = 0u64;
    for change in batch {
        let word = match change {
            Change::Put(key, value) => digest(key).rotate_left(7) ^ digest(value),
            Change::Delete(key) => digest(key).rotate_left(13),
            Change::DeleteRange(from, to) => digest(from).rotate_left(17) ^ digest(to),
        };
        all = all.rotate_left(5) ^ word;
    }
    all
}

#[cfg(test)]
mod tests;
