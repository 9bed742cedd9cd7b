//! The machine's disk: one sled tree behind one writer, and a journal before it. Large files stand in a folder
//! beside it (`folder`).
//!
//! The writer (`desk`) writes a group of batches into the journal and syncs that; then the batches' callbacks are told.
//! The journal keeps the entries of the raft log by itself, and sled takes all else, which it writes when it will. When
//! a segment of the journal is full, sled is flushed and synced, and the next one begins: what a crash kept sled from
//! writing is given to it again at the next start. What lacks room for sled waits in memory, and in the journal
//! (`later`). sled's own `flush` costs more than twice as much, does not survive a power loss on Linux, and
//! `flush_async` can hang. After one failure nothing is written any more; a lack of descriptors or of room is none, the
//! writer waits for them.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: the writer thread and the synced file are the machine's"
)]

mod descriptors;
mod desk;
mod files;
pub(crate) mod journal;
mod later;
pub(super) mod patience;
mod queue;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use vineyard_env::{Batch, Disk, DiskRoom, Done, Pair};

use super::folder::Folder;
use descriptors::{Spares, Take};
use desk::Desk;
use files::Files;
use journal::live::{Live, LogKeys, is_of};
use later::Later;
use patience::Measure;
use queue::Write;
use writer::{Sync, Writer};

/// sled's page cache, bytes. The log is cached by its reader, so this only serves recovery.
const CACHE_BYTES: u64 = 16 << 20;

/// The folder of the files that are too large for the queue: snapshots.
const FILES: &str = "snapshots";

/// What runs out on a machine.
struct Machine {
    take: Take,
    measure: Measure,
}

/// A sled database in a folder of its own.
pub struct SledDisk {
    db: sled::Db,
    folder: Folder,
    measure: Measure,
    live: Arc<Mutex<Live>>,
    later: Arc<Mutex<Later>>,
    desk: Arc<Desk>,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

impl SledDisk {
    /// Opens or creates the database in `path`. What stands under the keys `log` is kept in the journal alone: many
    /// small values, of which the oldest are deleted first. One process at a time may have it open.
    pub fn open(path: &Path, log: Range<Vec<u8>>) -> io::Result<Self> {
        let sync = |mut files: Files| -> Sync { Box::new(move |step| files.sync(step)) };
        let folder = path.to_owned();
        let machine = Machine {
            take: Box::new(descriptors::take),
            measure: Arc::new(move || patience::measure(&folder)),
        };
        Self::open_with(path, log, sync, machine)
    }

    /// Tests have other keys, make the sync fail, and let descriptors and room run out.
    fn open_with(
        path: &Path,
        log: LogKeys,
        sync: impl FnOnce(Files) -> Sync,
        machine: Machine,
    ) -> io::Result<Self> {
        let Machine { take, measure } = machine;
        let config = sled::Config::new()
            .path(path)
            .flush_every_ms(None)
            .cache_capacity(CACHE_BYTES);
        let db = config
            .open()
            .map_err(|error| in_use(path, into_io(error)))?;
        let folder = Folder::open(path.join(FILES), measure.clone())?;
        let closing = Arc::<AtomicBool>::default();
        let spares = Spares::new(take, closing.clone());
        let writer = Writer::recover(db.clone(), path, log, sync, spares, measure.clone())?;
        let (live, later) = (writer.live(), writer.later());
        let (writes, queue) = mpsc::channel();
        let desk = Desk::new(writer);
        let served = desk.clone();
        let writer = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || served.write_until_closed(&queue))?;
        Ok(Self {
            db,
            folder,
            measure,
            live,
            later,
            desk,
            writes: Some(writes),
            writer: Some(writer),
            closing,
        })
    }
}

impl Disk for SledDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let live = journal::lock(&self.live);
        if is_of(live.keys(), key) {
            return live.get(key);
        }
        drop(live);
        // Held until sled was read: what leaves it is in sled.
        let later = later::lock(&self.later);
        if let Some(said) = later.get(key) {
            return Ok(said);
        }
        let value = self.db.get(key).map_err(into_io)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut pairs = journal::lock(&self.live).scan(from, to)?;
        let later = later::lock(&self.later);
        let mut in_sled = BTreeMap::new();
        for pair in self.db.range(from..to) {
            let (key, value) = pair.map_err(into_io)?;
            in_sled.insert(key.to_vec(), value.to_vec());
        }
        later.change(&mut in_sled, from, to);
        pairs.extend(in_sled);
        pairs.sort_unstable();
        Ok(pairs)
    }

    fn commit(&self, batch: Batch, done: Done) {
        let writes = self
            .writes
            .as_ref()
            .expect("the queue closes only when the disk is dropped");
        self.desk.queue(writes, batch, done);
    }

    fn commit_here(&self, batch: Batch, done: Done) {
        if let Some((batch, done)) = self.desk.write_here(batch, done) {
            self.commit(batch, done);
        }
    }

    fn files(&self) -> &dyn vineyard_env::Files {
        &self.folder
    }

    fn room(&self) -> io::Result<Option<DiskRoom>> {
        (self.measure)()
    }
}

impl Drop for SledDisk {
    /// Waits until everything that was handed over is durable.
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(self.writes.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            // As `Writer::close` after a failure: it panicked, and has failed its batches by dropping them.
            self.desk.abandon();
            std::mem::forget(self.db.clone());
        }
    }
}

/// sled says only in words that another process has the database open.
fn in_use(path: &Path, error: io::Error) -> io::Error {
    if !error.to_string().contains("could not acquire lock") {
        return error;
    }
    let who = holder(&path.join(LOCKED)).unwrap_or_else(|| "another process".to_owned());
    let text = format!("{who} uses it; a node that runs keeps its data directory to itself");
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

/// The file of a database that sled locks.
const LOCKED: &str = "db";

/// The process that has locked the file, as the kernel tells: `pid 123 (vineyardd)`. None if it runs where this process
/// cannot see it.
fn holder(file: &Path) -> Option<String> {
    let inode = fs::metadata(file).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder_in(line, &inode))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("pid {pid} ({})", name.trim_end()))
}

/// The process of a line like `1: FLOCK  ADVISORY  WRITE 123 fe:00:4711 0 EOF`, if it locks this inode.
fn holder_in(line: &str, inode: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "WRITE");
    let (pid, place) = (words.nth(1)?, words.next()?);
    let is_it = place.rsplit(':').next() == Some(inode);
    pid.parse().ok().filter(|_| is_it)
}

fn into_io(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
