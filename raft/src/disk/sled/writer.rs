//! The one thread that writes: groups of batches into the journal and then into sled, checkpoints, and what a crash
//! left.
//!
//! Promise: a batch's `Done` is told of success only when the batch survives a power loss; after one failure nothing is
//! written any more.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::mpsc;

use vineyard_env::{Batch, Change};

use super::descriptors::Spares;
use super::files::{Files, Step};
use super::into_io;
use super::journal::{self, Journal};
use super::queue::{Write, gather};

/// The tree beside the default one, and its one key: the generation of the journal that goes on from what sled has.
pub(super) const MARKS: &str = "journal";
pub(super) const GENERATION: &str = "generation";

/// Makes what was written survive a power loss.
pub(super) type Sync = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// What the writer thread has.
pub(super) struct Writer {
    db: sled::Db,
    marks: sled::Tree,
    journal: Journal,
    sync: Sync,
    spares: Spares,
}

impl Writer {
    /// Finds what an earlier process left of `db` in the folder `path`, and makes it whole and durable.
    pub(super) fn recover(
        db: sled::Db,
        path: &Path,
        sync: impl FnOnce(Files) -> Sync,
        spares: Spares,
    ) -> io::Result<Self> {
        let marks = db.open_tree(MARKS).map_err(into_io)?;
        // A new database is marked only when its journal is durable: one that is marked has lost what is not there.
        if marks.is_empty() {
            Journal::create(&path.join("journal"))?;
        }
        let (journal, left) = Journal::open(&path.join("journal"))?;
        let sync = sync(Files::open(path, journal.file()?)?);
        let mut writer = Self {
            db,
            marks,
            journal,
            sync,
            spares,
        };
        match writer.redo(&left) {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.abandon();
                Err(error)
            }
        }
    }

    /// Does again what a crash may have kept sled from writing. All of it, in its order: what sled has of it already
    /// ends up the same.
    fn redo(&mut self, left: &[Batch]) -> io::Result<()> {
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
        // The process that began this generation may have been killed before it was durable, and records must not be
        // without it.
        self.sync(Step::Journalled)?;
        match left.is_empty() && goes_on == Some(journal) {
            true => Ok(()),
            false => self.checkpoint(),
        }
    }

    pub(super) fn write_until_closed(mut self, queue: &mpsc::Receiver<Write>) {
        let mut failed: Option<String> = None;
        while let Ok(first) = queue.recv() {
            let group = gather(first, queue);
            let changes = group.iter().any(|write| !write.batch.is_empty());
            if changes {
                attempt(&mut failed, || self.write_group(&group));
            }
            for write in group {
                write.tell(match &failed {
                    None => Ok(()),
                    Some(reason) => Err(io::Error::other(reason.clone())),
                });
            }
            // A group that changes nothing only says that those before it are durable: the reserve stays as it is.
            if changes {
                attempt(&mut failed, || self.tidy());
                self.spares.top_up();
            }
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
        // Before anything is written: a group that must wait has changed nothing.
        self.spares.fill()?;
        self.journal
            .append(group.iter().map(|write| &write.batch))?;
        self.sync(Step::Journalled)?;
        self.spares.lend();
        group.iter().try_for_each(|write| self.apply(&write.batch))
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
        self.sync(Step::Applied)?;
        match self.journal.is_full() {
            true => self.checkpoint(),
            false => Ok(()),
        }
    }

    /// Makes what sled has durable, and the journal empty.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.flush(self.journal.generation() + 1)?;
        self.journal.restart()?;
        self.sync(Step::Journalled)
    }

    /// Makes what sled has durable, and that this generation of the journal goes on from there.
    fn flush(&mut self, generation: u64) -> io::Result<()> {
        self.spares.fill()?;
        self.spares.lend();
        let mark = self.marks.insert(GENERATION, &generation.to_le_bytes());
        mark.map_err(into_io)?;
        self.sync(Step::Applied)?;
        self.db.flush().map_err(into_io)?;
        self.sync(Step::Flushed)
    }

    /// A step that lacks descriptors has not begun to sync what it could not open, so it may be done again; after a
    /// sync that failed it may not.
    fn sync(&mut self, step: Step) -> io::Result<()> {
        let Self { sync, spares, .. } = self;
        // The journal is open already.
        if step != Step::Journalled {
            spares.lend();
        }
        spares.wait_out(|| sync(step))
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
