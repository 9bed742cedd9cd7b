//! The raft log: entries since the last purge in memory, everything also on the disk.
//!
//! Promise: vote, entries, truncations, purges and the committed mark reach the disk through one queue, in the order
//! in which raft issued them; an entry is reported durable only when the disk said so. It must never know what
//! entries mean.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use vineyard_env::{Batch, Change, Disk, Fault, Faults};

use crate::format::{keys, raft as stored};
use crate::options::APPEND_BYTES_MAX;
use crate::published::progress::Progress;
use crate::types::{LogEntry, LogId, TypeConfig, Vote};

/// The log; clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    inner: Arc<Mutex<Inner>>,
    /// How far the disk has the log.
    synced: Arc<Progress>,
    /// Nobody else has to be sent what is appended.
    is_alone: Arc<AtomicBool>,
    faults: Arc<dyn Faults>,
}

/// Entries between two committed marks on the disk; a clean stop writes the last one.
const MARK_EVERY: u64 = 64;

/// An entry in memory.
struct Kept {
    entry: LogEntry,
    /// That it has on the disk.
    bytes: u64,
    /// That it and all before it have, counted from an entry of long ago.
    total: u64,
}

#[derive(Default)]
struct Inner {
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// The index of the mark that was written last.
    marked: u64,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Kept>,
}

impl Log {
    /// What the disk has.
    pub(crate) fn load(disk: Arc<dyn Disk>, faults: Arc<dyn Faults>) -> io::Result<Self> {
        let mut inner = Inner {
            vote: load_one::<stored::Vote, _>(disk.as_ref(), &keys::VOTE)?,
            committed: load_one::<stored::LogId, _>(disk.as_ref(), &keys::COMMITTED)?,
            purged: load_one::<stored::LogId, _>(disk.as_ref(), &keys::PURGED)?,
            ..Inner::default()
        };
        for (_, value) in disk.scan(&keys::entry(0), &keys::entries_end())? {
            let entry: LogEntry = keys::open::<stored::LogEntry>(&value)?.into();
            let (index, last) = (entry.index(), inner.entries.keys().next_back());
            if let Some(last) = last.filter(|last| **last + 1 != index) {
                let reason = format!("the log goes from entry {last} to {index}: some are missing");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            inner.insert(entry, value.len());
        }
        let inner = Arc::new(Mutex::new(inner));
        Ok(Self {
            disk,
            inner,
            synced: Arc::default(),
            is_alone: Arc::default(),
            faults,
        })
    }

    /// Bytes of those of the entries that are in memory, as they are on the disk.
    pub(crate) fn bytes_of(&self, indexes: RangeInclusive<u64>) -> u64 {
        let inner = self.lock();
        let first = inner.entries.range(*indexes.start()..).next();
        let last = inner.entries.range(..=*indexes.end()).next_back();
        let (Some((_, first)), Some((_, last))) = (first, last) else {
            return 0;
        };
        (last.total + first.bytes).saturating_sub(first.total)
    }

    /// Returns when the entry at `index`, appended in this life, is on the disk, or will not come there.
    pub(crate) async fn synced(&self, index: u64) {
        // A command that waits for permits need not know that the disk has failed: raft says so.
        let _reached = self.synced.reached(index).await;
    }

    /// Whether this node is the only member of its cluster.
    pub(crate) fn set_alone(&self, is_alone: bool) {
        self.is_alone.store(is_alone, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the committed mark is on the disk, if it can be: the next start replays that much at once.
    pub(crate) async fn settle(&self) {
        let mark = self.lock().committed_change(1);
        if let Some(mark) = mark
            && let Err(error) = self.commit(vec![mark]).await
        {
            tracing::debug!(%error, "the committed mark was not written");
        }
    }

    /// Returns when the batch is durable.
    async fn commit(&self, batch: Batch) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        // A caller that went away does not need the answer.
        self.disk
            .commit(batch, Box::new(move |result| drop(done.send(result))));
        durable
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the disk has stopped")))
    }

    /// Queues a batch whose durability nobody waits for; a failure shows at the next one that somebody does.
    fn commit_later(&self, batch: Batch) {
        self.disk.commit(batch, Box::new(|_| {}));
    }
}

impl Inner {
    fn insert(&mut self, entry: LogEntry, bytes: usize) {
        let (index, bytes) = (entry.log_id().index, bytes as u64);
        let before = self.entries.range(..index).next_back();
        let total = before.map_or(0, |(_, before)| before.total) + bytes;
        let kept = Kept {
            entry,
            bytes,
            total,
        };
        self.entries.insert(index, kept);
    }

    fn remove(&mut self, indexes: impl RangeBounds<u64>) {
        let gone: Vec<_> = self
            .entries
            .range(indexes)
            .map(|(index, _)| *index)
            .collect();
        for index in gone {
            self.entries.remove(&index);
        }
    }
}

impl Inner {
    /// Writes the committed mark if it has moved. One ahead of the log's tail could not be recovered from, so such a
    /// mark waits for its entries; one that has moved by less than `behind` waits too.
    fn committed_change(&mut self, behind: u64) -> Option<Change> {
        let last = self.entries.keys().next_back().copied();
        let tail = last.or(self.purged.map(|purged| purged.index));
        let committed = self
            .committed
            .filter(|committed| Some(committed.index) <= tail)
            .filter(|committed| committed.index >= self.marked + behind)?;
        self.marked = committed.index;
        Some(Change::Put(
            keys::COMMITTED.to_vec(),
            keys::seal(&stored::LogId::from(&committed)),
        ))
    }
}

/// A record stored as an `S`.
fn load_one<S: DeserializeOwned, T: From<S>>(disk: &dyn Disk, key: &[u8]) -> io::Result<Option<T>> {
    let bytes = disk.get(key)?;
    bytes
        .map(|bytes| keys::open::<S>(&bytes).map(T::from))
        .transpose()
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<LogEntry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        if is_empty(&range) {
            return Ok(Vec::new());
        }
        Ok(self
            .lock()
            .entries
            .range(range)
            .map(|(_, kept)| kept.entry.clone())
            .collect())
    }

    /// What is applied comes from here. A gap would make this replica differ from the others, so it is a fault.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<LogEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let found = self.try_get_log_entries(range.clone()).await;
        let whole = found.and_then(|entries| match is_whole(&range, &entries) {
            true => Ok(entries),
            false => {
                let reason = format!("not all of the entries {range:?} are in the log");
                Err(io::Error::new(io::ErrorKind::InvalidData, reason))
            }
        });
        stream::iter(whole.map_or_else(
            |error| vec![Err(error)],
            |entries| entries.into_iter().map(Ok).collect(),
        ))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        let inner = self.lock();
        let mut left = APPEND_BYTES_MAX as u64;
        let mut taken = Vec::new();
        for (_, Kept { entry, bytes, .. }) in inner.entries.range(start..end.max(start)) {
            if *bytes > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(*bytes);
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.lock().vote)
    }
}

/// `BTreeMap::range` panics on a range that ends before it starts.
fn is_empty(range: &impl RangeBounds<u64>) -> bool {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(start), Bound::Excluded(end)) => start >= end,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => start >= end,
        _ => false,
    }
}

/// Whether `entries` begin where `range` does and go on one after the other.
fn is_whole(range: &impl RangeBounds<u64>, entries: &[LogEntry]) -> bool {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start + 1,
        Bound::Unbounded => 0,
    };
    entries
        .iter()
        .map(RaftEntry::index)
        .eq(start..start + entries.len() as u64)
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let inner = self.lock();
        let last = inner
            .entries
            .values()
            .next_back()
            .map(|kept| kept.entry.log_id());
        Ok(LogState {
            last_purged_log_id: inner.purged,
            last_log_id: last.or(inner.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.lock().vote = Some(*vote);
        if self.faults.has(Fault::VoteLostAtRestart) {
            return Ok(());
        }
        let put = Change::Put(keys::VOTE.to_vec(), keys::seal(&stored::Vote::from(vote)));
        self.commit(vec![put]).await
    }

    /// Written with some later entries: a sync of its own would double the cost of a command, and so would a second key
    /// in every batch. A mark that is behind only means that fewer entries are replayed before a leader is known.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Batch::new();
        let mut last = 0;
        let mut inner = self.lock();
        for entry in entries {
            let value = keys::seal(&stored::LogEntry::from(&entry));
            let index = entry.log_id().index;
            last = index;
            inner.insert(entry, value.len());
            batch.push(Change::Put(keys::entry(index), value));
        }
        batch.extend(inner.committed_change(MARK_EVERY));
        drop(inner);
        if self.faults.has(Fault::AckBeforeDurable) {
            // Reports the entries as durable at once.
            callback.io_completed(Ok(()));
            self.commit_later(batch);
            self.synced.advance(last);
        } else {
            let synced = self.synced.clone();
            let done = move |result: io::Result<()>| {
                match result {
                    Ok(()) => synced.advance(last),
                    Err(_) => synced.close(),
                }
                callback.io_completed(result);
            };
            // While the only member waits for its disk, no other one waits for it.
            match self.is_alone.load(Ordering::Relaxed) {
                true => self.disk.commit_here(batch, Box::new(done)),
                false => self.disk.commit(batch, Box::new(done)),
            }
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first = last.map_or(0, |last| last.index + 1);
        self.lock().remove(first..);
        self.commit(vec![Change::DeleteRange(
            keys::entry(first),
            keys::entries_end(),
        )])
        .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let mut inner = self.lock();
        inner.purged = inner.purged.max(Some(upto));
        inner.remove(..=upto.index);
        drop(inner);
        self.commit_later(vec![
            Change::Put(
                keys::PURGED.to_vec(),
                keys::seal(&stored::LogId::from(&upto)),
            ),
            Change::DeleteRange(keys::entry(0), keys::entry(upto.index + 1)),
        ]);
        Ok(())
    }
}

mod recover;
#[cfg(test)]
mod tests;
