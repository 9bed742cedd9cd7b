//! The machine's disk: one sled tree behind one writer thread.
//!
//! sled's `flush` does not survive a power loss on Linux and `flush_async` can hang, so the thread applies a group of
//! batches, flushes, and then syncs sled's files itself; only after that are the batches' callbacks told. After one
//! failure nothing is written any more.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: the writer thread and the synced file are the machine's"
)]

mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use vineyard_env::{Batch, Change, Disk, Done, Pair};

use files::{Files, Step};

/// Batches made durable by one sync, at most.
const GROUP_MAX: usize = 512;
/// sled's page cache, bytes. The log is cached by its reader, so this only serves recovery.
const CACHE_BYTES: u64 = 16 << 20;

/// A batch on its way. The queue of them has no bound of its own, because whoever hands one over must not wait: openraft's
/// core does, which also sends heartbeats. Its writers bound it. The leader takes no more commands than
/// `Options::proposals_bytes_max` until they are committed and on this disk; a follower has at most one append that is
/// not durable, because the leader sends the next after the answer (`APPEND_BYTES_MAX`, or one larger entry); the vote,
/// truncations, the identity and each piece of a snapshot are waited for; marks and purges follow those.
type Write = (Batch, Done);
/// Makes what sled has written survive a power loss.
type Sync = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// A sled database in a folder of its own.
pub struct SledDisk {
    db: sled::Db,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

impl SledDisk {
    /// Opens or creates the database in `path`. One process at a time may have it open.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, |mut files| Box::new(move |step| files.sync(step)))
    }

    /// Tests make the sync fail.
    fn open_with(path: &Path, sync: impl FnOnce(Files) -> Sync) -> io::Result<Self> {
        let config = sled::Config::new()
            .path(path)
            .flush_every_ms(None)
            .cache_capacity(CACHE_BYTES);
        let db = config.open().map_err(into_io)?;
        let mut sync = sync(Files::open(path)?);
        let (writes, queue) = mpsc::channel();
        let tree = db.clone();
        let writer = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || write_until_closed(&tree, &mut sync, &queue))?;
        Ok(Self {
            db,
            writes: Some(writes),
            writer: Some(writer),
        })
    }
}

impl Disk for SledDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self
            .db
            .get(key)
            .map_err(into_io)?
            .map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.db.range(from..to);
        pairs
            .map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec())).map_err(into_io))
            .collect()
    }

    fn commit(&self, batch: Batch, done: Done) {
        let writes = self
            .writes
            .as_ref()
            .expect("the queue closes only when the disk is dropped");
        if let Err(mpsc::SendError((_, done))) = writes.send((batch, done)) {
            done(Err(io::Error::other("the disk's writer has stopped")));
        }
    }
}

impl Drop for SledDisk {
    /// Waits until everything that was handed over is durable.
    fn drop(&mut self) {
        drop(self.writes.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has failed its batches by dropping them.
            drop(writer.join());
        }
    }
}

fn write_until_closed(db: &sled::Db, sync: &mut Sync, queue: &mpsc::Receiver<Write>) {
    let mut failed: Option<String> = None;
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        if failed.is_none() {
            failed = write_group(db, sync, &group)
                .err()
                .map(|error| error.to_string());
            if let Some(reason) = &failed {
                tracing::error!(reason, "the disk failed; nothing more is written to it");
            }
        }
        for (_, done) in group {
            done(match &failed {
                None => Ok(()),
                Some(reason) => Err(io::Error::other(reason.clone())),
            });
        }
    }
}

fn write_group(db: &sled::Db, sync: &mut Sync, group: &[Write]) -> io::Result<()> {
    for (batch, _) in group {
        match batch.as_slice() {
            // Atomic by itself: sled would write a second record to make it a batch.
            [Change::Put(key, value)] => drop(db.insert(key, value.as_slice()).map_err(into_io)?),
            _ => db.apply_batch(into_sled(db, batch)?).map_err(into_io)?,
        }
    }
    sync(Step::BeforeFlush)?;
    db.flush().map_err(into_io)?;
    sync(Step::AfterFlush)
}

/// A sled batch has no order of its own, so what each key ends up with is worked out first.
fn into_sled(db: &sled::Db, batch: &Batch) -> io::Result<sled::Batch> {
    let mut ends: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    let mut out = sled::Batch::default();
    for change in batch {
        match change {
            Change::Put(key, value) => drop(ends.insert(key, Some(value))),
            Change::Delete(key) => drop(ends.insert(key, None)),
            Change::DeleteRange(from, to) if from < to => {
                let range = (
                    Bound::Included(from.as_slice()),
                    Bound::Excluded(to.as_slice()),
                );
                for (_, end) in ends.range_mut::<[u8], _>(range) {
                    *end = None;
                }
                for key in db.range(from.as_slice()..to.as_slice()).keys() {
                    let key = key.map_err(into_io)?;
                    if !ends.contains_key(key.as_ref()) {
                        out.remove(key);
                    }
                }
            }
            Change::DeleteRange(..) => {}
        }
    }
    for (key, end) in ends {
        match end {
            Some(value) => out.insert(key, value),
            None => out.remove(key),
        }
    }
    Ok(out)
}

fn into_io(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
