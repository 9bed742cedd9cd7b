//! One stream: a writer's side, a reader's side, and the chunks between them.
//!
//! Promise: chunks are read in the order in which they were written, once by each cursor; a stream that has ended says
//! so to both sides, with the reason.

mod relayed;
mod status;

use std::collections::BTreeSet;

use vineyard_store::HolderId;
use vineyard_wire::stream::{
    OnReaderGone, OpenStream, ReadFrom, ReadFromWord, ReadersKind, StreamRules,
};
use vineyard_wire::{Code, ObjectId, Status};

use super::queue::{Chunk, Queue};
use super::readers::Readers;
use super::{Departure, Who, Writing};

pub(crate) use self::relayed::Origin;

/// The modes of the protocol.
const READ: u64 = 1;
const WRITE: u64 = 2;

#[derive(Debug)]
pub(crate) struct Stream {
    rules: StreamRules,
    /// Holds the chunks in the store.
    pub(crate) holder: HolderId,
    pub(super) creator: HolderId,
    end: End,
    queue: Queue,
    readers: Readers,
    /// The connections that opened it for writing, allocated or pushed.
    writers: BTreeSet<HolderId>,
    is_open_to_write: bool,
    writing: Option<Writing>,
    waiting_writer: Option<WaitingWriter>,
    /// Of a stream that is on another node.
    origin: Option<Origin>,
}

#[derive(Debug)]
enum End {
    Open,
    Drained,
    Failed {
        reason: Option<String>,
        by: Side,
    },
    /// What the stream's node said, or that it is gone.
    Told(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Writer,
    Reader,
}

#[derive(Clone, Copy, Debug)]
struct WaitingWriter {
    holder: HolderId,
    for_memory: bool,
}

/// What a pull found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    Chunks(Vec<(u64, Chunk)>),
    /// There is none yet.
    Waits,
    Ended(Status),
}

impl Stream {
    pub(crate) fn new(rules: StreamRules, holder: HolderId, creator: HolderId) -> Self {
        Self {
            queue: Queue::new(0, rules.retain_bytes_max),
            readers: Readers::new(rules.readers, rules.readers_min, 0),
            rules,
            holder,
            creator,
            end: End::Open,
            writers: BTreeSet::new(),
            is_open_to_write: false,
            writing: None,
            waiting_writer: None,
            origin: None,
        }
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.rules.ephemeral
    }

    /// Opens one side for `who`.
    pub(crate) fn open(&mut self, who: Who, open: &OpenStream) -> Result<(), Status> {
        match open.mode {
            READ => self.open_to_read(who, open),
            WRITE if self.is_open_to_write => Err(opened("write")),
            WRITE => {
                self.check_writer(who.holder)?;
                self.is_open_to_write = true;
                Ok(())
            }
            mode => Err(Status::invalid(format!("a stream has no mode {mode}"))),
        }
    }

    fn open_to_read(&mut self, who: Who, open: &OpenStream) -> Result<(), Status> {
        let name = open.cursor.as_deref().unwrap_or_default();
        self.readers.check(name)?;
        if self
            .readers
            .cursors
            .get(name)
            .is_some_and(|cursor| cursor.is_open)
        {
            return Err(opened("read"));
        }
        let (oldest, end) = (self.queue.oldest(), self.queue.end());
        let first = match open.from {
            None | Some(ReadFrom::Word(ReadFromWord::Next)) => None,
            Some(_) if self.readers.kind() == ReadersKind::Share => {
                return Err(Status::invalid(
                    "cursors that share a stream have one position",
                ));
            }
            Some(ReadFrom::Word(ReadFromWord::Start)) => Some(oldest),
            Some(ReadFrom::Number(number)) if (oldest..=end).contains(&number) => Some(number),
            Some(ReadFrom::Number(number)) => {
                let text = format!(
                    "there is no chunk {number}: the oldest is {oldest}, the next is {end}"
                );
                return Err(state(text));
            }
        };
        let cursor = self.readers.cursor(name, self.queue.needed());
        cursor.is_open = true;
        cursor.told_end = false;
        // A released client may open, leave and read by another connection.
        if who.is_ours {
            cursor.reader = Some(who);
        }
        if let Some(first) = first {
            self.readers.seek(name, first);
        }
        Ok(())
    }

    /// Lets `holder` write, unless the stream has ended or another connection's request waits.
    pub(crate) fn check_writer(&mut self, holder: HolderId) -> Result<(), Status> {
        if self
            .waiting_writer
            .is_some_and(|other| other.holder != holder)
        {
            return Err(state("another writer of the stream waits"));
        }
        self.waiting_writer = None;
        match &self.end {
            End::Open => {}
            End::Failed {
                reason,
                by: Side::Reader,
            } => return Err(failed(reason.as_deref())),
            End::Drained | End::Failed { .. } | End::Told(_) => {
                return Err(state(
                    "the stream was stopped: !stream->drained && !stream->failed",
                ));
            }
        }
        self.writers.insert(holder);
        Ok(())
    }

    /// The request of a writer waits, for memory or for the window.
    pub(crate) fn wait_to_write(&mut self, holder: HolderId, for_memory: bool) {
        self.waiting_writer = Some(WaitingWriter { holder, for_memory });
    }

    pub(crate) fn waits_for_memory(&self) -> bool {
        self.waiting_writer
            .is_some_and(|waiting| waiting.for_memory)
    }

    /// Refuses a chunk that never fits into the window.
    pub(crate) fn check_window(&self, bytes: u64) -> Result<(), Status> {
        match self.rules.window_bytes_max {
            Some(window) if bytes > window => Err(Status::new(
                Code::NotEnoughMemory,
                format!(
                    "a chunk of {bytes} bytes never fits: the stream's window has {window} bytes"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether a chunk fits into the window now.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let taken = self.window_bytes();
        self.rules
            .window_bytes_max
            .is_none_or(|window| taken.saturating_add(bytes) <= window)
    }

    /// Whether the sizes of its chunks matter, also of objects.
    pub(crate) fn counts_bytes(&self) -> bool {
        self.rules.window_bytes_max.is_some() || self.rules.retain_bytes_max > 0
    }

    fn window_bytes(&self) -> u64 {
        self.queue.needed_bytes() + self.writing.map_or(0, |writing| writing.chunk.bytes)
    }

    /// Whether something is written, waits or is in flight: a reader may make room.
    pub(crate) fn has_chunks(&self) -> bool {
        self.queue.needed_chunks() > 0 || self.writing.is_some()
    }

    /// What the stream keeps: chunks that were pushed, and the one that is being written.
    pub(crate) fn kept(&self) -> impl Iterator<Item = ObjectId> {
        let writing = self.writing.iter().map(|writing| writing.chunk.id);
        self.queue.kept().map(|chunk| chunk.id).chain(writing)
    }

    pub(crate) fn begin_writing(&mut self, writing: Writing) {
        self.writing = Some(writing);
    }

    pub(crate) fn writing(&self) -> Option<Writing> {
        self.writing
    }

    pub(crate) fn end_writing(&mut self) -> Option<Writing> {
        self.writing.take()
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.queue.push(chunk);
    }

    /// The cursor that a pull of `who` means.
    pub(crate) fn cursor_of(&self, who: Who, asked: Option<&str>) -> String {
        asked
            .or_else(|| self.readers.name_of(who))
            .unwrap_or_default()
            .to_owned()
    }

    /// Whether `name` has got chunks, which its next pull is done with.
    pub(crate) fn has_in_flight(&self, name: &str) -> bool {
        let cursor = self.readers.cursors.get(name);
        cursor.is_some_and(|cursor| !cursor.in_flight.is_empty())
    }

    /// Acknowledges what `name` had got, and takes at most `max` more. Returns the chunks that are not needed any more.
    pub(crate) fn pull(
        &mut self,
        who: Who,
        name: &str,
        max: u64,
    ) -> Result<(Pull, Vec<Chunk>), Status> {
        self.readers.check(name)?;
        let cursor = self.readers.cursor(name, self.queue.needed());
        let is_mine = cursor.reader.is_some_and(|by| by.holder == who.holder);
        if cursor.waits && !is_mine {
            return Err(state("another reader of the stream waits"));
        }
        cursor.reader = Some(who);
        cursor.waits = false;
        let acknowledged = self.readers.acknowledge(name);
        let mut freed = Vec::new();
        if self.readers.kind() == ReadersKind::Share {
            freed.extend(
                acknowledged
                    .into_iter()
                    .filter_map(|number| self.queue.free(number)),
            );
        }
        let numbers = self.readers.take(name, max, self.queue.end());
        freed.extend(self.free_read());
        if !numbers.is_empty() {
            let chunks = numbers.into_iter();
            let chunks = chunks.filter_map(|number| Some((number, self.queue.chunk(number)?)));
            return Ok((Pull::Chunks(chunks.collect()), freed));
        }
        let ended = self.ended().filter(|_| !self.readers.may_return(name));
        let cursor = self.readers.cursor(name, 0);
        cursor.waits = ended.is_none();
        cursor.told_end = ended.is_some();
        Ok((ended.map_or(Pull::Waits, Pull::Ended), freed))
    }

    /// What a reader is told that has read everything; `None` while more may come.
    fn ended(&self) -> Option<Status> {
        match &self.end {
            End::Open => None,
            End::Drained => {
                let text = "Stream drained: no more chunks";
                Some(Status::new(Code::StreamDrained, text))
            }
            End::Failed { reason, .. } => Some(failed(reason.as_deref())),
            End::Told(status) => Some(status.clone()),
        }
    }

    /// Frees what nobody needs any more.
    fn free_read(&mut self) -> Vec<Chunk> {
        match self.readers.needed() {
            Some(needed) => self.queue.need_from(needed),
            None => Vec::new(),
        }
    }

    /// The writer is done, or gives up.
    pub(crate) fn stop(
        &mut self,
        holder: HolderId,
        is_failure: bool,
        reason: Option<String>,
    ) -> Result<(), Status> {
        if self
            .waiting_writer
            .is_some_and(|other| other.holder != holder)
        {
            return Err(state("a writer of the stream waits"));
        }
        self.end = match &self.end {
            End::Open if is_failure => End::Failed {
                reason,
                by: Side::Writer,
            },
            End::Open => End::Drained,
            End::Failed {
                reason,
                by: Side::Reader,
            } => return Err(failed(reason.as_deref())),
            End::Drained | End::Failed { .. } | End::Told(_) => {
                return Err(state("Stream already stopped"));
            }
        };
        Ok(())
    }

    /// The connection waits no longer.
    pub(crate) fn end_wait(&mut self, holder: HolderId) {
        self.waiting_writer = self
            .waiting_writer
            .filter(|waiting| waiting.holder != holder);
        for cursor in self.readers.cursors.values_mut() {
            if cursor.reader.is_some_and(|by| by.holder == holder) {
                cursor.waits = false;
            }
        }
    }

    /// The connection is gone, or left the stream.
    pub(crate) fn leave(&mut self, holder: HolderId) -> Departure {
        let mut departure = Departure::default();
        self.end_wait(holder);
        let is_by =
            |cursor: &super::readers::Cursor| cursor.reader.is_some_and(|by| by.holder == holder);
        let cursors = self
            .readers
            .cursors
            .iter()
            .filter(|(_, cursor)| is_by(cursor));
        let names: Vec<String> = cursors.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.reader_left(&name, &mut departure);
        }
        if self.writers.remove(&holder) {
            departure.is_changed = true;
            if let Some(writing) = self.writing.take_if(|writing| writing.by.holder == holder) {
                departure.unwritten = Some(writing.chunk);
            }
            if self.writers.is_empty() && matches!(self.end, End::Open) {
                let reason = Some("the writer left".to_owned());
                self.end = End::Failed {
                    reason,
                    by: Side::Writer,
                };
            }
        }
        departure.is_over |= departure.is_changed && self.is_over();
        departure
    }

    fn reader_left(&mut self, name: &str, departure: &mut Departure) {
        departure.is_changed = true;
        let is_shared = self.readers.kind() == ReadersKind::Share;
        let cursor = self.readers.cursor(name, 0);
        let released = cursor.reader.take().is_some_and(|by| !by.is_ours);
        cursor.is_open = false;
        if released && self.readers.kind() == ReadersKind::One {
            departure.is_over = true;
            return;
        }
        if self.readers.cursor(name, 0).told_end {
            self.readers.acknowledge(name);
            departure.freed.extend(self.free_read());
            return;
        }
        self.readers.give_back(name);
        if self.rules.on_reader_gone == OnReaderGone::Wait {
            return;
        }
        self.readers.remove(name);
        if is_shared && self.readers.are_attached() {
            return;
        }
        let is_attached = self.readers.are_attached();
        // What others still read of a drained stream is whole.
        if matches!(self.end, End::Open) || (matches!(self.end, End::Drained) && !is_attached) {
            let reason = Some(READER_LEFT.to_owned());
            self.end = End::Failed {
                reason,
                by: Side::Reader,
            };
        }
        match is_attached {
            true => departure.freed.extend(self.free_read()),
            false => {
                departure.freed.extend(self.queue.clear());
                self.readers.skip_to(self.queue.end());
            }
        }
    }

    /// Whether the stream has ended, and nobody is there who could ask for more.
    fn is_over(&self) -> bool {
        let is_left = self.writers.is_empty() && !self.readers.are_attached();
        let is_ended = !matches!(self.end, End::Open);
        let was_read = self.queue.needed_chunks() == 0 && self.readers.were_opened();
        is_ended && is_left && was_read && self.queue.retained_bytes() == 0
    }

    /// All chunks, and the one that is being written. The stream is dropped.
    pub(crate) fn clear(&mut self) -> Vec<Chunk> {
        let mut chunks = self.queue.clear();
        chunks.extend(self.writing.take().map(|writing| writing.chunk));
        chunks
    }

    /// Those who wait.
    pub(crate) fn waiting(&self) -> Vec<HolderId> {
        let cursors = self.readers.cursors.values().filter(|cursor| cursor.waits);
        let readers = cursors
            .filter_map(|cursor| cursor.reader)
            .map(|by| by.holder);
        readers
            .chain(self.waiting_writer.map(|waiting| waiting.holder))
            .collect()
    }
}

/// Why a writer is refused whose reader is gone.
pub(crate) const READER_LEFT: &str = "the reader left";

/// The released server's text, and the reason if there is one.
pub(crate) fn failed(reason: Option<&str>) -> Status {
    let text = match reason {
        Some(reason) => format!("Stream source failed: {reason}"),
        None => "Stream source failed".to_owned(),
    };
    Status::new(Code::StreamFailed, text)
}

pub(super) fn opened(to: &str) -> Status {
    Status::new(
        Code::StreamOpened,
        format!("Stream already opened: another connection has it open to {to}"),
    )
}

fn state(text: impl Into<String>) -> Status {
    Status::new(Code::InvalidStreamState, text)
}
