//! Both ends of a relay. On the stream's node the relay is one reader, which acknowledges by number; on the readers'
//! node it is the only writer of a stream that has the same id and goes on with the same numbers.

use vineyard_store::HolderId;
use vineyard_wire::stream::{ReadersKind, StreamRules};
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

use super::{End, Stream};
use crate::local::streams::queue::{Chunk, Queue};
use crate::local::streams::readers::Readers;

/// Where the chunks of a stream of another node come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) owner: InstanceId,
    /// The stream there.
    pub(crate) stream: ObjectId,
    /// The relay's.
    pub(crate) writer: HolderId,
    /// The number of the first chunk.
    pub(crate) first: u64,
}

impl Stream {
    /// A stream of another node, whose chunks are kept in this one by `holder`.
    pub(crate) fn relayed(rules: StreamRules, holder: HolderId, origin: Origin) -> Self {
        let mut stream = Self::new(rules, holder, origin.writer);
        let rules = &stream.rules;
        stream.queue = Queue::new(origin.first, rules.retain_bytes_max);
        stream.readers = Readers::new(rules.readers, rules.readers_min, origin.first);
        stream.writers.insert(origin.writer);
        stream.is_open_to_write = true;
        stream.origin = Some(origin);
        stream
    }

    pub(crate) fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// How many chunks the relay has queued, and how many of them are read.
    pub(crate) fn copied_chunks(&self, origin: Origin) -> (u64, u64) {
        (
            self.queue.end() - origin.first,
            self.queue.needed() - origin.first,
        )
    }

    /// What is left of the window.
    pub(crate) fn room_bytes(&self) -> u64 {
        let window = self.rules.window_bytes_max.unwrap_or(u64::MAX);
        window.saturating_sub(self.window_bytes())
    }

    /// The relay has ended; `told` is for the readers.
    pub(crate) fn end_relayed(&mut self, told: Status) {
        if matches!(self.end, End::Open) {
            self.end = match told.code {
                Code::StreamDrained => End::Drained,
                _ => End::Told(told),
            };
        }
    }

    /// What the relay is told that reads by `name`, if it has read everything.
    pub(crate) fn relay_ended(&self, name: &str) -> Option<Status> {
        self.ended().filter(|_| !self.readers.may_return(name))
    }

    /// The next number that `name` gets.
    pub(crate) fn next_number(&self, name: &str) -> u64 {
        self.readers.next_number(name)
    }

    pub(crate) fn chunk(&self, number: u64) -> Option<Chunk> {
        self.queue.chunk(number)
    }

    pub(crate) fn rules(&self) -> &StreamRules {
        &self.rules
    }

    /// The relay is done with `numbers`. Returns the chunks that are not needed any more.
    pub(crate) fn acknowledge(&mut self, name: &str, numbers: &[u64]) -> Vec<Chunk> {
        self.readers.acknowledge_some(name, numbers);
        let mut freed = Vec::new();
        if self.readers.kind() == ReadersKind::Share {
            let numbers = numbers.iter();
            freed.extend(numbers.filter_map(|number| self.queue.free(*number)));
        }
        freed.extend(self.free_read());
        freed
    }

    /// The next number for `name`, if its chunk has at most `bytes_max`.
    pub(crate) fn take_one(&mut self, name: &str, bytes_max: u64) -> Option<u64> {
        let chunk = self.queue.chunk(self.readers.next_number(name))?;
        if chunk.bytes > bytes_max {
            return None;
        }
        self.readers.take(name, 1, self.queue.end()).pop()
    }

    /// Whether the reader of `name` waits, or knows that the stream has ended.
    pub(crate) fn mark_cursor(&mut self, name: &str, waits: bool, told_end: bool) {
        if let Some(cursor) = self.readers.cursors.get_mut(name) {
            cursor.waits = waits;
            cursor.told_end = told_end;
        }
    }
}
