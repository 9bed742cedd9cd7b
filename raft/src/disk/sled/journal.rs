//! What makes a batch durable with one write and one sync, ahead of sled; and what keeps the keys of the log for good.
//!
//! Records stand in segments, `log/N`: N is a generation, and the highest is written to. A checkpoint begins the next
//! segment and makes durable what sled has. A segment goes, or its file is used again, when sled has what it says and
//! it is the oldest and holds no key of the log any more: so nothing that is still needed is ever written again.
//!
//! Promise: a record that was synced is found by the next opener, or its absence is an error. It must never know what
//! the keys mean, nor when sled is durable: its owner says so.
//!
//! | file | what |
//! |---|---|
//! | `record` | a record as bytes |
//! | `segment` | one file of records |
//! | `live` | the keys of the log, and where their values stand |
//! | `before` | the journal of earlier builds |

pub(super) mod before;
pub(super) mod live;
pub(crate) mod record;
mod segment;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_env::Batch;

use live::{Live, LogKeys};
use segment::Segment;

/// The folder of the segments, in that of the database.
pub(super) const FOLDER: &str = "log";
pub(super) const FIRST_SEGMENT: u64 = 1;
/// Segments that hold nothing any more and wait to be used again.
const SPARE: u64 = 1;

/// What sled has of the journal. Its owner keeps it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// What segments before this one say, sled has.
    pub(super) goes_on: u64,
    /// Segments before this one hold nothing that is needed.
    pub(super) first: u64,
}

/// The file that is written to, for the one that syncs it.
pub(super) type Active = Arc<Mutex<Arc<File>>>;

/// See the module.
pub(super) struct Journal {
    folder: PathBuf,
    live: Arc<Mutex<Live>>,
    /// The lowest generation that has a file.
    oldest: u64,
    last: Segment,
    active: Active,
}

impl Journal {
    /// Whether there is no record of a journal in `path`: a start may have got as far as the first segment.
    pub(super) fn is_unused(path: &Path) -> io::Result<bool> {
        let folder = path.join(FOLDER);
        if !folder.try_exists()? || listed(&folder)?.is_empty() {
            return Ok(true);
        }
        if generations(&folder)? != [FIRST_SEGMENT] {
            return Ok(false);
        }
        let (segment, _) = Segment::open(&folder, FIRST_SEGMENT)?;
        Ok(segment.records() == 0)
    }

    /// Begins the journal of the database in `path`, in place of what is there.
    pub(super) fn create(path: &Path) -> io::Result<()> {
        let folder = path.join(FOLDER);
        if folder.try_exists()? {
            // Of a start, or of a move, that did not get as far as its first mark.
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Segment::create(&folder, FIRST_SEGMENT, 0, None)?;
        File::open(path)?.sync_all()
    }

    /// The journal of the database in `path`, and the batches that sled may lack, in their order.
    ///
    /// # Errors
    /// `InvalidData` if a part is missing or damaged that had become durable; what the disk says.
    pub(super) fn open(path: &Path, keys: LogKeys, mark: Mark) -> io::Result<(Self, Vec<Batch>)> {
        let folder = path.join(FOLDER);
        let generations = generations(&folder)?;
        let (oldest, last) = (generations[0], generations[generations.len() - 1]);
        // A crash between the two steps of a checkpoint leaves a segment that the mark does not know.
        if oldest > mark.first || ![mark.goes_on, mark.goes_on + 1].contains(&last) {
            let reason = format!(
                "the database goes on with segment {} of its log and needs those from {}, but {oldest} to {last} are \
                 there: one of them is missing or older than the other",
                mark.goes_on, mark.first
            );
            return Err(damaged(&reason));
        }
        let mut live = Live::new(folder.clone(), keys);
        let mut left = Vec::new();
        let mut before: Option<Segment> = None;
        for generation in mark.first..=last {
            let (segment, records) = Segment::open(&folder, generation)?;
            if before.is_some_and(|before| before.records() != segment.records_before()) {
                return Err(damaged("a segment of the log is cut short"));
            }
            for record in records {
                live.take(generation, record.at as u64, [&record.batch].into_iter());
                if generation >= mark.goes_on {
                    left.push(record.batch);
                }
            }
            before = Some(segment);
        }
        let mut last = before.ok_or_else(|| damaged("the log has no segment"))?;
        last.write_again()?;
        let journal = Self {
            folder,
            live: Arc::new(Mutex::new(live)),
            oldest,
            active: Arc::new(Mutex::new(last.file())),
            last,
        };
        Ok((journal, left))
    }

    /// The file that is written to.
    pub(super) fn active(&self) -> Active {
        self.active.clone()
    }

    /// The keys of the log, for readers.
    pub(super) fn live(&self) -> Arc<Mutex<Live>> {
        self.live.clone()
    }

    /// Writes a record: where it begins. It is durable after a sync; then it is to be shown.
    pub(super) fn append<'a>(&mut self, group: impl Iterator<Item = &'a Batch>) -> io::Result<u64> {
        self.last.append(group)
    }

    /// Forgets the record that was written last, which begins at `at`: its sync failed, and it is to be written again.
    pub(super) fn take_back(&mut self, at: u64) {
        self.last.take_back(at);
    }

    /// By how many bytes a record of `group` makes the file longer.
    pub(super) fn grows_by<'a>(&self, group: impl Iterator<Item = &'a Batch>) -> u64 {
        self.last.grows_by(group)
    }

    /// The bytes that the next segment takes.
    pub(super) fn bytes_to_roll(&self, first: u64) -> u64 {
        match self.oldest < first {
            true => 0,
            false => segment::ROOM_BYTES,
        }
    }

    /// Lets readers see what the record that begins at `at` says of the keys of the log.
    pub(super) fn show<'a>(&self, at: u64, group: impl Iterator<Item = &'a Batch>) {
        lock(&self.live).take(self.last.generation(), at, group);
    }

    /// The oldest segment that holds something of the log.
    pub(super) fn oldest_needed(&self) -> u64 {
        let oldest = lock(&self.live).oldest();
        oldest.unwrap_or(self.last.generation())
    }

    pub(super) fn is_full(&self) -> bool {
        self.last.is_full()
    }

    /// Begins the next segment. What is in those before `first` is durable elsewhere, and its owner's mark says so.
    /// The mark that it returns holds once sled is durable.
    pub(super) fn roll(&mut self, first: u64) -> io::Result<Mark> {
        let generation = self.last.generation() + 1;
        let used_again = (self.oldest < first).then_some(self.oldest);
        let next = Segment::create(&self.folder, generation, self.last.records(), used_again);
        // Its file may be gone also if this has failed and is tried again.
        if let Some(old) = used_again
            && !segment::path(&self.folder, old).try_exists()?
        {
            self.oldest += 1;
        }
        let next = next?;
        while self.oldest + SPARE < first {
            fs::remove_file(segment::path(&self.folder, self.oldest))?;
            self.oldest += 1;
        }
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = next.file();
        self.last = next;
        Ok(Mark {
            goes_on: generation,
            first: self.oldest_needed(),
        })
    }
}

pub(super) fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those that have a file, one after the other.
fn generations(folder: &Path) -> io::Result<Vec<u64>> {
    if !folder.try_exists()? {
        return Err(damaged("the folder of the log is not there"));
    }
    let found = listed(folder)?;
    match found.first() {
        None => Err(damaged("the log has no segment")),
        Some(&first) if found.iter().copied().eq(first..first + found.len() as u64) => Ok(found),
        Some(_) => Err(damaged("a segment of the log is missing")),
    }
}

/// Those that have a file, in their order.
fn listed(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(segment::generation_of));
    }
    found.sort_unstable();
    Ok(found)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
