//! What is written: groups of batches into the journal and then into sled, checkpoints, and what a crash left.
//!
//! Promise: a batch's `Done` is told of success only when the batch survives a power loss; after one failure nothing is
//! written any more.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use vineyard_env::{Batch, Change};

use super::descriptors::Spares;
use super::files::{Files, Step};
use super::into_io;
use super::journal::live::{Live, LogKeys, are_alone_in};
use super::journal::{self, Journal, Mark, before};
use super::later::{self, Later};
use super::patience::{self, For, Measure};
use super::queue::{GROUP_BYTES_MAX, Write};

/// The tree beside the default one, and its keys: what sled has of the journal, and what builds of before kept there.
pub(super) const MARKS: &str = "journal";
pub(super) const MARK: &str = "segments";
const BEFORE: &str = "generation";

/// Makes what was written survive a power loss.
pub(super) type Sync = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// One at a time writes with it.
pub(super) struct Writer {
    db: sled::Db,
    marks: sled::Tree,
    keys: LogKeys,
    journal: Journal,
    /// What sled lacks of it for want of room.
    later: Arc<Mutex<Later>>,
    /// The mark that is durable.
    mark: Mark,
    sync: Sync,
    spares: Spares,
    measure: Measure,
    /// Why nothing is written any more.
    failed: Option<String>,
}

impl Writer {
    /// Finds what an earlier process left of `db` in the folder `path`, and makes it whole and durable.
    pub(super) fn recover(
        db: sled::Db,
        path: &Path,
        keys: LogKeys,
        sync: impl FnOnce(Files) -> Sync,
        spares: Spares,
        measure: Measure,
    ) -> io::Result<Self> {
        let marks = db.open_tree(MARKS).map_err(into_io)?;
        let anchor = path.join("journal");
        let mark = read_mark(&marks)?;
        let moves = mark.is_none() && marks.contains_key(BEFORE).map_err(into_io)?;
        let moved = match moves {
            true => Some(redo_before(&db, &marks, &anchor, &keys)?),
            false => None,
        };
        // A new database is marked only when its journal is durable: one that is marked has lost what is not there.
        if mark.is_none() {
            if !moves {
                if !Journal::is_unused(path)? {
                    let reason = "the log has records, but the database beside it is new: it was removed or replaced";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
                before::replace(&anchor)?;
            }
            Journal::create(path)?;
        }
        let begun = Mark {
            goes_on: journal::FIRST_SEGMENT,
            first: journal::FIRST_SEGMENT,
        };
        let (journal, left) = Journal::open(path, keys.clone(), mark.unwrap_or(begun))?;
        let sync = sync(Files::open(path, journal.active())?);
        let mut writer = Self {
            db,
            marks,
            keys,
            journal,
            later: Arc::default(),
            mark: mark.unwrap_or(begun),
            sync,
            spares,
            measure,
            failed: None,
        };
        let made_whole = writer
            .redo(&left, mark.is_none(), moved)
            .and_then(|()| writer.forget_before(&anchor));
        match made_whole {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.abandon();
                Err(error)
            }
        }
    }

    /// Does again what a crash may have kept sled from writing. All of it, in its order: what sled has of it already
    /// ends up the same.
    fn redo(&mut self, left: &[Batch], is_new: bool, moved: Option<Vec<Batch>>) -> io::Result<()> {
        if let Some(groups) = moved {
            for group in &groups {
                let at = self.journal.append([group].into_iter())?;
                self.journal.show(at, [group].into_iter());
            }
            self.sync(Step::Journalled)?;
        }
        if !is_new && !left.is_empty() && patience::check(&self.measure, 0).is_err() {
            self.put_off(left.iter());
            return Ok(());
        }
        left.iter().try_for_each(|batch| self.apply(batch))?;
        if is_new {
            // sled clears away what a crash left in `blobs/` only if it had flushed before, and fails on it if not.
            return self.flush(self.mark);
        }
        match left.is_empty() {
            true => Ok(()),
            false => self.sync(Step::Applied),
        }
    }

    /// Takes the keys of the log out of sled, where builds of before had them, and what was in their journal.
    fn forget_before(&mut self, anchor: &Path) -> io::Result<()> {
        if !before::is_replaced(anchor)? {
            before::replace(anchor)?;
        }
        if self.marks.contains_key(BEFORE).map_err(into_io)? {
            self.marks.remove(BEFORE).map_err(into_io)?;
        }
        for key in self.db.range(self.keys.clone()).keys() {
            self.db.remove(key.map_err(into_io)?).map_err(into_io)?;
        }
        Ok(())
    }

    /// The keys of the log, for readers.
    pub(super) fn live(&self) -> Arc<Mutex<Live>> {
        self.journal.live()
    }

    /// What sled does not have yet, for readers.
    pub(super) fn later(&self) -> Arc<Mutex<Later>> {
        self.later.clone()
    }

    /// Writes a group, waits for what it lacks, and tells its callers.
    pub(super) fn write(&mut self, group: Vec<Write>) {
        let mut all = group.iter().flat_map(|write| &write.batch).peekable();
        let changes = all.peek().is_some();
        let for_sled = all.any(|change| !are_alone_in(&self.keys, change));
        let mut given = false;
        if changes {
            self.attempt(|writer| {
                given = writer.write_group(&group, for_sled)?;
                Ok(())
            });
        }
        for write in group {
            write.tell(self.outcome());
        }
        // A group that changes nothing only says that those before it are durable: the reserve stays as it is.
        if changes {
            self.attempt(|writer| writer.tidy(given));
            self.spares.top_up();
        }
    }

    /// Writes a batch without waiting for anything but its sync, if it is for the journal alone and there is room for
    /// it. None if not: nothing has changed then.
    pub(super) fn write_at_once(&mut self, batch: &Batch) -> Option<io::Result<()>> {
        let alone = || batch.iter().all(|change| are_alone_in(&self.keys, change));
        let one = || [batch].into_iter();
        let is_idle = self.failed.is_none()
            && !batch.is_empty()
            && alone()
            && !self.journal.is_full()
            && self.journal.grows_by(one()) == 0
            && later::lock(&self.later).is_empty();
        if !is_idle {
            return None;
        }
        let at = self.journal.append(one()).ok()?;
        if let Err(error) = (self.sync)(Step::Journalled) {
            self.journal.take_back(at);
            // The thread waits for what is lacking.
            if patience::passes(&error) {
                return None;
            }
            self.attempt(|_| Err(error));
        } else {
            self.journal.show(at, one());
        }
        Some(self.outcome())
    }

    /// Does it, unless something failed before.
    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.failed.is_none()
            && let Err(error) = work(self)
        {
            tracing::error!(%error, "the disk failed; nothing more is written to it");
            self.failed = Some(error.to_string());
        }
    }

    fn outcome(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(io::Error::other(reason.clone())),
        }
    }

    /// Closes sled, but not after a failure: it flushes then, and waits for ever for what it could not write.
    pub(super) fn close(self) {
        if self.failed.is_some() {
            self.abandon();
        }
    }

    fn abandon(self) {
        std::mem::forget(self);
    }

    /// Returns whether sled was given something.
    fn write_group(&mut self, group: &[Write], for_sled: bool) -> io::Result<bool> {
        // Before anything is written: a group that must wait has changed nothing.
        self.spares.fill()?;
        let batches = || group.iter().map(|write| &write.batch);
        let grows_by = self.journal.grows_by(batches());
        if grows_by > 0 {
            let measure = &self.measure;
            let check = || patience::check(measure, grows_by);
            self.spares.wait_out(For::DescriptorsAndRoom, check)?;
        }
        let Self {
            journal,
            sync,
            spares,
            ..
        } = self;
        let at = spares.wait_out(For::DescriptorsAndRoom, || {
            let at = journal.append(batches())?;
            sync(Step::Journalled).inspect_err(|_| journal.take_back(at))?;
            Ok(at)
        })?;
        self.journal.show(at, batches());
        let waits = !later::lock(&self.later).is_empty();
        if !for_sled && !waits {
            return Ok(false);
        }
        let has_room = patience::check(&self.measure, 0).is_ok();
        if has_room {
            self.spares.lend();
            self.catch_up()?;
            batches().try_for_each(|batch| self.apply(batch))?;
        } else if for_sled {
            self.put_off(batches());
        }
        Ok(has_room)
    }

    /// Keeps what is for sled until there is room. It is durable, and bounded by what the journal takes without room.
    fn put_off<'a>(&self, batches: impl Iterator<Item = &'a Batch>) {
        let mut later = later::lock(&self.later);
        if later.is_empty() {
            tracing::warn!("the disk waits for room: until then the journal alone is written");
        }
        for batch in batches {
            later.push(self.for_sled(batch).cloned().collect());
        }
    }

    /// Gives sled what was put off.
    fn catch_up(&self) -> io::Result<()> {
        // Only this thread changes it; readers need not wait for sled.
        let put_off = later::lock(&self.later).batches().to_vec();
        if put_off.is_empty() {
            return Ok(());
        }
        put_off.iter().try_for_each(|batch| self.apply(batch))?;
        later::lock(&self.later).clear();
        tracing::info!("the disk has room again");
        Ok(())
    }

    fn for_sled<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = &'a Change> {
        let changes = batch.iter();
        changes.filter(|change| !are_alone_in(&self.keys, change))
    }

    /// Lets sled take what is for it.
    fn apply(&self, batch: &Batch) -> io::Result<()> {
        apply(&self.db, &self.for_sled(batch).collect::<Vec<_>>())
    }

    /// What nobody waits for. Not before sled has all that it is to have.
    fn tidy(&mut self, given: bool) -> io::Result<()> {
        if given {
            self.sync(Step::Applied)?;
        }
        if !later::lock(&self.later).is_empty() {
            return Ok(());
        }
        // A segment that is full is gone on with for as long as there is no room for the next.
        match self.journal.is_full() && self.has_room_to_roll()? {
            true => self.checkpoint(),
            false => Ok(()),
        }
    }

    fn has_room_to_roll(&mut self) -> io::Result<bool> {
        let has_room = |writer: &Self| {
            let bytes = writer.journal.bytes_to_roll(writer.mark.first);
            patience::check(&writer.measure, bytes).is_ok()
        };
        let first = self.journal.oldest_needed().min(self.mark.goes_on);
        let has_died = first > self.mark.first;
        if has_room(self) || !has_died || patience::check(&self.measure, 0).is_err() {
            return Ok(has_room(self));
        }
        // Segments are needed no more that were when the mark was written. Once it says so, one is used again.
        self.flush(Mark { first, ..self.mark })?;
        Ok(has_room(self))
    }

    /// Begins the next segment, and makes what sled has of those before it durable.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.spares.fill()?;
        self.spares.lend();
        let Self {
            journal,
            spares,
            mark,
            ..
        } = self;
        let mut next = *mark;
        spares.wait_out(For::DescriptorsAndRoom, || {
            next = journal.roll(mark.first)?;
            Ok(())
        })?;
        self.flush(next)
    }

    /// Makes what sled has durable, and the mark that says so.
    fn flush(&mut self, mark: Mark) -> io::Result<()> {
        self.spares.fill()?;
        self.spares.lend();
        write_mark(&self.marks, mark)?;
        self.sync(Step::Applied)?;
        self.db.flush().map_err(into_io)?;
        self.sync(Step::Flushed)?;
        self.mark = mark;
        Ok(())
    }

    /// A step that lacks descriptors has not begun to sync what it could not open, so it may be done again; after a
    /// sync that failed it may not.
    fn sync(&mut self, step: Step) -> io::Result<()> {
        let Self { sync, spares, .. } = self;
        // The journal is open already.
        if step != Step::Journalled {
            spares.lend();
        }
        spares.wait_out(For::Descriptors, || sync(step))
    }
}

fn apply(db: &sled::Db, changes: &[&Change]) -> io::Result<()> {
    match changes {
        [] => Ok(()),
        // Atomic by itself: sled would write a second record to make it a batch.
        [Change::Put(key, value)] => {
            drop(db.insert(key, value.as_slice()).map_err(into_io)?);
            Ok(())
        }
        changes => {
            let batch = into_sled(db, changes)?;
            db.apply_batch(batch).map_err(into_io)
        }
    }
}

/// Gives sled what is in the journal of a build of before: what it then has of the log's keys, in groups.
fn redo_before(
    db: &sled::Db,
    marks: &sled::Tree,
    anchor: &Path,
    keys: &LogKeys,
) -> io::Result<Vec<Batch>> {
    let (generation, left) = before::open(anchor)?;
    let mark = marks.get(BEFORE).map_err(into_io)?;
    let goes_on = mark.and_then(|mark| mark.as_ref().try_into().map(u64::from_le_bytes).ok());
    if goes_on == Some(generation) {
        for batch in &left {
            apply(db, &batch.iter().collect::<Vec<_>>())?;
        }
    } else if goes_on != Some(generation + 1) {
        let reason = format!(
            "the database goes on with journal {goes_on:?}, but journal {generation} is beside it: one of them is \
             missing or older than the other"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Batch::new(), 0);
    for pair in db.range(keys.clone()) {
        let (key, value) = pair.map_err(into_io)?;
        bytes += key.len() + value.len();
        group.push(Change::Put(key.to_vec(), value.to_vec()));
        if bytes >= GROUP_BYTES_MAX {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
    }
    groups.push(group);
    Ok(groups)
}

/// A sled batch has no order of its own, so what each key ends up with is worked out first.
fn into_sled(db: &sled::Db, changes: &[&Change]) -> io::Result<sled::Batch> {
    let mut ends: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    let mut out = sled::Batch::default();
    for change in changes {
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

fn read_mark(marks: &sled::Tree) -> io::Result<Option<Mark>> {
    let Some(bytes) = marks.get(MARK).map_err(into_io)? else {
        return Ok(None);
    };
    let number = |at: usize| {
        let part = bytes.get(at..at + 8)?;
        part.try_into().map(u64::from_le_bytes).ok()
    };
    match (number(0), number(8)) {
        (Some(goes_on), Some(first)) => Ok(Some(Mark { goes_on, first })),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the mark of the journal is damaged",
        )),
    }
}

fn write_mark(marks: &sled::Tree, mark: Mark) -> io::Result<()> {
    let mut bytes = mark.goes_on.to_le_bytes().to_vec();
    bytes.extend(mark.first.to_le_bytes());
    marks.insert(MARK, bytes).map(drop).map_err(into_io)
}
