//! The streams of this node: who writes, who reads, which chunks are between them.
//!
//! Plain values: no store, no clock, no wait. `crate::local::chunks` gives the chunks their memory and makes requests
//! wait.
//!
//! | file | what |
//! |---|---|
//! | `stream` | one stream |
//! | `readers` | its cursors |
//! | `queue` | its chunks |

mod queue;
mod readers;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use vineyard_store::HolderId;
use vineyard_wire::reply::StreamTotals;
use vineyard_wire::{ObjectId, Status};

pub(crate) use self::queue::Chunk;
pub(crate) use self::stream::{Origin, Pull, READER_LEFT, Stream, failed};

/// A connection that uses a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) holder: HolderId,
    /// Whether its client knows our additions; others are served as the released server does.
    pub(crate) is_ours: bool,
}

/// The chunk that a writer fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing {
    pub(crate) chunk: Chunk,
    pub(crate) by: Who,
}

/// What a connection that left a stream has changed.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    /// It had a part in the stream.
    pub(crate) is_changed: bool,
    pub(crate) freed: Vec<Chunk>,
    /// The chunk that it was filling.
    pub(crate) unwritten: Option<Chunk>,
    /// The stream is of no use to anybody any more.
    pub(crate) is_over: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<ObjectId, Stream>,
    /// What the requests are told that waited when their stream was dropped.
    last_words: BTreeMap<(ObjectId, HolderId), Status>,
}

impl Streams {
    pub(crate) fn contains(&self, id: ObjectId) -> bool {
        self.streams.contains_key(&id)
    }

    /// The stream here that has the chunks of `source`, a stream of another node.
    pub(crate) fn of_origin(&self, source: ObjectId) -> Option<ObjectId> {
        let is_it = |stream: &Stream| {
            stream
                .origin()
                .is_some_and(|origin| origin.stream == source)
        };
        let found = self.streams.iter().find(|(_, stream)| is_it(stream));
        found.map(|(id, _)| *id)
    }

    pub(crate) fn insert(&mut self, id: ObjectId, stream: Stream) {
        self.streams.insert(id, stream);
    }

    pub(crate) fn get_mut(&mut self, id: ObjectId) -> Option<&mut Stream> {
        self.streams.get_mut(&id)
    }

    /// Removes a stream; those who wait are told `reason`.
    pub(crate) fn remove(&mut self, id: ObjectId, reason: &str) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        for holder in stream.waiting() {
            self.last_words
                .insert((id, holder), stream::failed(Some(reason)));
        }
        Some(stream)
    }

    /// What a request is told that waited when the stream was dropped.
    pub(crate) fn last_words(&mut self, id: ObjectId, holder: HolderId) -> Option<Status> {
        self.last_words.remove(&(id, holder))
    }

    pub(crate) fn forget_words(&mut self, holder: HolderId) {
        self.last_words.retain(|(_, to), _| *to != holder);
    }

    /// The streams and what they keep: blobs and objects that end with them.
    pub(crate) fn everything(&self) -> BTreeSet<ObjectId> {
        let streams = self.streams.iter();
        streams
            .flat_map(|(id, stream)| stream.kept().chain([*id]))
            .collect()
    }

    pub(crate) fn ids(&self) -> Vec<ObjectId> {
        self.streams.keys().copied().collect()
    }

    /// The streams that go with the connection which created them.
    pub(crate) fn ephemeral_of(&self, creator: HolderId) -> Vec<ObjectId> {
        let streams = self.streams.iter();
        let gone = streams.filter(|(_, stream)| stream.is_ephemeral() && stream.creator == creator);
        gone.map(|(id, _)| *id).collect()
    }

    /// The stream whose chunk `blob` is that `by` is filling.
    pub(crate) fn filled_by(&self, by: HolderId, blob: ObjectId) -> Option<ObjectId> {
        let is_it = |stream: &Stream| {
            let writing = stream.writing();
            writing.is_some_and(|writing| writing.by.holder == by && writing.chunk.id == blob)
        };
        let found = self.streams.iter().find(|(_, stream)| is_it(stream));
        found.map(|(id, _)| *id)
    }

    pub(crate) fn totals(&self) -> StreamTotals {
        let mut totals = StreamTotals {
            streams: self.streams.len() as u64,
            ..StreamTotals::default()
        };
        for stream in self.streams.values() {
            stream.add_to(&mut totals);
        }
        totals
    }

    /// Whether any stream has a chunk that a reader may make room by.
    pub(crate) fn have_chunks(&self) -> bool {
        self.streams.values().any(Stream::has_chunks)
    }
}
