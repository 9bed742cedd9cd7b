//! The numbered chunks of one stream: those that a reader needs, and read ones that are kept for replay.
//!
//! It must never know who reads.

use std::collections::VecDeque;

use vineyard_wire::ObjectId;

/// A blob or an object in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) id: ObjectId,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The number of the front.
    first: u64,
    /// `None` is a chunk that was freed before the ones in front of it.
    chunks: VecDeque<Option<Chunk>>,
    /// Everything below this number was read by all.
    needed: u64,
    needed_bytes: u64,
    needed_chunks: u64,
    retained_bytes: u64,
    retain_bytes_max: u64,
}

impl Queue {
    /// The first chunk will have the number `first`.
    pub(super) fn new(first: u64, retain_bytes_max: u64) -> Self {
        Self {
            first,
            needed: first,
            retain_bytes_max,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(Some(chunk));
        self.needed_bytes += chunk.bytes;
        self.needed_chunks += 1;
    }

    /// The chunks that are kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = Chunk> {
        self.chunks.iter().flatten().copied()
    }

    /// The number of the next chunk to be pushed.
    pub(super) fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    /// The number of the oldest chunk that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.first
    }

    /// The number of the oldest chunk that a reader needs.
    pub(super) fn needed(&self) -> u64 {
        self.needed
    }

    pub(super) fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }

    pub(super) fn needed_chunks(&self) -> u64 {
        self.needed_chunks
    }

    pub(super) fn retained_bytes(&self) -> u64 {
        self.retained_bytes
    }

    pub(super) fn chunk(&self, number: u64) -> Option<Chunk> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.chunks.get(at).copied().flatten()
    }

    /// Readers need the chunks from `number` on. Returns the chunks that are not kept any more.
    pub(super) fn need_from(&mut self, number: u64) -> Vec<Chunk> {
        for read in self.needed..number {
            if let Some(chunk) = self.chunk(read) {
                self.needed_bytes -= chunk.bytes;
                self.needed_chunks -= 1;
                self.retained_bytes += chunk.bytes;
            }
        }
        for again in number..self.needed {
            if let Some(chunk) = self.chunk(again) {
                self.needed_bytes += chunk.bytes;
                self.needed_chunks += 1;
                self.retained_bytes -= chunk.bytes;
            }
        }
        self.needed = number;
        self.evict()
    }

    /// Frees one chunk that is needed no more, although others in front of it are. A chunk that would be retained
    /// stays.
    pub(super) fn free(&mut self, number: u64) -> Option<Chunk> {
        if self.retain_bytes_max > 0 || number < self.needed {
            return None;
        }
        let at = usize::try_from(number - self.first).ok()?;
        let chunk = self.chunks.get_mut(at)?.take()?;
        self.needed_bytes -= chunk.bytes;
        self.needed_chunks -= 1;
        Some(chunk)
    }

    /// Frees everything. Numbers go on.
    pub(super) fn clear(&mut self) -> Vec<Chunk> {
        let end = self.end();
        let chunks = std::mem::take(&mut self.chunks).into_iter().flatten();
        let freed = chunks.collect();
        (self.first, self.needed) = (end, end);
        (self.needed_bytes, self.needed_chunks, self.retained_bytes) = (0, 0, 0);
        freed
    }

    fn evict(&mut self) -> Vec<Chunk> {
        let mut freed = Vec::new();
        while self.first < self.needed {
            let keeps = self.retain_bytes_max > 0 && self.retained_bytes <= self.retain_bytes_max;
            match self.chunks.front() {
                Some(Some(_)) if keeps => break,
                None => break,
                Some(_) => {}
            }
            if let Some(chunk) = self.chunks.pop_front().flatten() {
                self.retained_bytes -= chunk.bytes;
                freed.push(chunk);
            }
            self.first += 1;
        }
        freed
    }
}
