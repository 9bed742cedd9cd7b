//! The machine's disk: one sled tree behind one writer thread, and a journal before it.
//!
//! The thread writes a group of batches into the journal, syncs that, and lets sled take them; then the batches'
//! callbacks are told. sled writes when it will. When the journal is full, sled is flushed and synced, and the journal
//! begins anew: what a crash left in it is given to sled again at the next start. sled's own `flush` costs more than
//! twice as much, does not survive a power loss on Linux, and `flush_async` can hang. After one failure nothing is
//! written any more.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: the writer thread and the synced file are the machine's"
)]

mod files;
mod journal;
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
use journal::Journal;

/// Batches made durable by one sync, at most.
const GROUP_MAX: usize = 512;
/// sled's page cache, bytes. The log is cached by its reader, so this only serves recovery.
const CACHE_BYTES: u64 = 16 << 20;

/// The tree beside the default one, and its one key: the generation of the journal that goes on from what sled has.
const MARKS: &str = "journal";
const GENERATION: &str = "generation";

/// A batch on its way. The queue of them has no bound of its own, because whoever hands one over must not wait: openraft's
/// core does, which also sends heartbeats. Its writers bound it. The leader takes no more commands than
/// `Options::proposals_bytes_max` until they are committed and on this disk; a follower has at most one append that is
/// not durable, because the leader sends the next after the answer (`APPEND_BYTES_MAX`, or one larger entry); the vote,
/// truncations, the identity and each piece of a snapshot are waited for; marks and purges follow those.
type Write = (Batch, Done);
/// Makes what was written survive a power loss.
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
        let (journal, left) = Journal::open(&path.join("journal"))?;
        let sync = sync(Files::open(path, journal.file()?)?);
        let mut writer = Writer {
            db: db.clone(),
            marks: db.open_tree(MARKS).map_err(into_io)?,
            journal,
            sync,
        };
        if let Err(error) = writer.recover(&left) {
            writer.abandon();
            return Err(error);
        }
        let (writes, queue) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || writer.write_until_closed(&queue))?;
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

/// What the writer thread has.
struct Writer {
    db: sled::Db,
    marks: sled::Tree,
    journal: Journal,
    sync: Sync,
}

impl Writer {
    /// Does again what a crash may have kept sled from writing. All of it, in its order: what sled has of it already ends
    /// up the same.
    fn recover(&mut self, left: &[Batch]) -> io::Result<()> {
        let journal = self.journal.generation();
        let mark = self.marks.get(GENERATION).map_err(into_io)?;
        let goes_on = match &mark {
            Some(mark) => mark.as_ref().try_into().map(u64::from_le_bytes).ok(),
            None => Some(journal::FIRST_GENERATION),
        };
        if mark.is_none() {
            // sled clears away what a crash left in `blobs/` only if it had flushed before, and fails on it if not.
            self.flush(journal::FIRST_GENERATION)?;
        }
        if goes_on == Some(journal) {
            left.iter().try_for_each(|batch| self.apply(batch))?;
        } else if goes_on != Some(journal + 1) {
            let reason = format!(
                "the database goes on with journal {goes_on:?}, but journal {journal} is beside it: one of them is \
                 missing or older than the other"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        match left.is_empty() && goes_on == Some(journal) {
            true => Ok(()),
            false => self.checkpoint(),
        }
    }

    fn write_until_closed(mut self, queue: &mpsc::Receiver<Write>) {
        let mut failed: Option<String> = None;
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            attempt(&mut failed, || self.write_group(&group));
            for (_, done) in group {
                done(match &failed {
                    None => Ok(()),
                    Some(reason) => Err(io::Error::other(reason.clone())),
                });
            }
            attempt(&mut failed, || self.tidy());
        }
        attempt(&mut failed, || match self.journal.is_empty() {
            true => Ok(()),
            false => self.checkpoint(),
        });
        if failed.is_some() {
            self.abandon();
        }
    }

    /// Does not close sled after a failure: it flushes then, and waits for ever for what it could not write.
    fn abandon(self) {
        std::mem::forget(self);
    }

    fn write_group(&mut self, group: &[Write]) -> io::Result<()> {
        let changes = group.iter().any(|(batch, _)| !batch.is_empty());
        if !changes {
            return Ok(());
        }
        self.journal.append(group.iter().map(|(batch, _)| batch))?;
        (self.sync)(Step::Journalled)?;
        group.iter().try_for_each(|(batch, _)| self.apply(batch))
    }

    fn apply(&self, batch: &Batch) -> io::Result<()> {
        match batch.as_slice() {
            // Atomic by itself: sled would write a second record to make it a batch.
            [Change::Put(key, value)] => {
                drop(self.db.insert(key, value.as_slice()).map_err(into_io)?);
                Ok(())
            }
            _ => {
                let batch = into_sled(&self.db, batch)?;
                self.db.apply_batch(batch).map_err(into_io)
            }
        }
    }

    /// What nobody waits for.
    fn tidy(&mut self) -> io::Result<()> {
        (self.sync)(Step::Applied)?;
        match self.journal.is_full() {
            true => self.checkpoint(),
            false => Ok(()),
        }
    }

    /// Makes what sled has durable, and the journal empty.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.flush(self.journal.generation() + 1)?;
        self.journal.restart()?;
        (self.sync)(Step::Journalled)
    }

    /// Makes what sled has durable, and that this generation of the journal goes on from there.
    fn flush(&mut self, generation: u64) -> io::Result<()> {
        let mark = self.marks.insert(GENERATION, &generation.to_le_bytes());
        mark.map_err(into_io)?;
        (self.sync)(Step::Applied)?;
        self.db.flush().map_err(into_io)?;
        (self.sync)(Step::Flushed)
    }
}

/// Does it, unless something failed before.
fn attempt(failed: &mut Option<String>, work: impl FnOnce() -> io::Result<()>) {
    if failed.is_none()
        && let Err(error) = work()
    {
        tracing::error!(%error, "the disk failed; nothing more is written to it");
        *failed = Some(error.to_string());
    }
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
