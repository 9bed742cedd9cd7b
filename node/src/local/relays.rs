//! Turns of relays on the stream's node: each is one reader of a stream, whose requests come from another node.
//!
//! Promise: a chunk is acknowledged when the readers of the other node are done with it, so what a lost connection or a
//! lost node had got is given again. `crate::local::relayed` has the other end.

use std::collections::VecDeque;

use vineyard_raft::state::State;
use vineyard_wire::peer::{Answer, OpenRelay, PullRelay, RelayFrom, RelayedChunk};
use vineyard_wire::stream::{OpenStream, ReadFrom, ReadFromWord};
use vineyard_wire::{InstanceId, ObjectId, Status};

use super::streams::{Chunk, READER_LEFT, Stream, Who, failed};
use super::{Awaited, Local, Need};

/// Most chunks of one answer.
const CHUNKS_MAX: usize = 256;
/// Trees of one answer may have about as many bytes; a peer frame has four times as many.
const TREES_BYTES_MAX: usize = 256 << 10;
/// The mode of the protocol.
const READ: u64 = 1;

/// A reader of a stream of this node that is another node.
pub(crate) struct RelayReader {
    who: Who,
    cursor: String,
    acknowledged: u64,
    /// Numbers that were given and are not acknowledged, in the order in which they were given.
    given: VecDeque<u64>,
    asks: u64,
}

impl RelayReader {
    /// Returns the numbers that are read from now on.
    fn advance(&mut self, pull: &PullRelay) -> Result<Vec<u64>, Status> {
        let read = pull.read.checked_sub(self.acknowledged);
        let copied = pull.copied.checked_sub(self.acknowledged);
        let given = self.given.len() as u64;
        match (read, copied) {
            (Some(read), Some(copied)) if read <= copied && copied <= given => {
                self.acknowledged = pull.read;
                Ok(self.given.drain(..read as usize).collect())
            }
            _ => Err(Status::invalid(format!(
                "a relay read {} and copied {} chunks: it was given {given} after {}",
                pull.read, pull.copied, self.acknowledged
            ))),
        }
    }
}

impl Local {
    pub(crate) fn open_relay(&mut self, state: &State, open: &OpenRelay) -> Result<Answer, Status> {
        let key = (open.reader, open.stream);
        let is_repeated = self.relay_readers.get(&key).is_some_and(|relayed| {
            let is_fresh = relayed.acknowledged == 0 && relayed.given.is_empty();
            is_fresh && relayed.cursor == open.cursor
        });
        if !is_repeated {
            self.leave_relay(state, open.reader, open.stream);
            let who = Who {
                holder: self.store.open_holder(true),
                is_ours: true,
            };
            let opened = self.open_stream(state, who, &opening(open));
            if let Err(status) = opened {
                self.end_session(state, who.holder);
                return Err(status);
            }
            let relayed = RelayReader {
                who,
                cursor: open.cursor.clone(),
                acknowledged: 0,
                given: VecDeque::new(),
                asks: 0,
            };
            self.relay_readers.insert(key, relayed);
        }
        let stream = self.stream(state, open.stream)?;
        let rules = stream.rules();
        Ok(Answer::RelayOpened {
            next_number: stream.next_number(&open.cursor),
            window_bytes_max: rules.window_bytes_max,
            readers: rules.readers,
            on_reader_gone: rules.on_reader_gone,
        })
    }

    /// The next chunks for a relay.
    pub(crate) fn pull_relay(
        &mut self,
        state: &State,
        pull: &PullRelay,
    ) -> Result<Awaited<Answer>, Status> {
        let key = (pull.reader, pull.stream);
        let Some(mut relayed) = self.relay_readers.remove(&key) else {
            // The stream may be one of an earlier process of this node.
            self.stream(state, pull.stream)?;
            return Err(failed(Some(READER_LEFT)));
        };
        relayed.asks += 1;
        let pulled = self.pull_for(state, &mut relayed, pull);
        self.relay_readers.insert(key, relayed);
        pulled
    }

    fn pull_for(
        &mut self,
        state: &State,
        relayed: &mut RelayReader,
        pull: &PullRelay,
    ) -> Result<Awaited<Answer>, Status> {
        let (id, name) = (pull.stream, relayed.cursor.clone());
        let read = relayed.advance(pull)?;
        let stream = self.reading_from(state, relayed.who, id)?;
        let (holder, freed) = (stream.holder, stream.acknowledge(&name, &read));
        self.free_chunks(state, holder, freed);
        if !read.is_empty() {
            self.waiters.wake(&[id]);
        }
        let stream = self.stream(state, id)?;
        stream.mark_cursor(&name, false, false);
        let chunks = give(stream, relayed, pull)?;
        let is_at_end = stream.chunk(stream.next_number(&name)).is_none();
        let ended = stream.relay_ended(&name).filter(|_| is_at_end);
        let has_all = relayed.given.is_empty();
        if chunks.is_empty() && has_all {
            stream.mark_cursor(&name, ended.is_none(), ended.is_some());
            match ended {
                Some(status) => return Err(status),
                None if pull.credit_bytes > 0 => {
                    let (waiter, need) = (self.waiters.wait_for(id), Need::Chunk);
                    return Ok(Awaited::Waits { waiter, need });
                }
                None => {}
            }
        }
        let is_sent = (pull.copied - pull.read) as usize + chunks.len() == relayed.given.len();
        self.describe(state, &chunks, ended.is_some() && is_sent)
            .map(Awaited::Ready)
    }

    fn describe(&self, state: &State, chunks: &[Chunk], is_last: bool) -> Result<Answer, Status> {
        let (mut relayed, mut bytes) = (Vec::new(), 0);
        for chunk in chunks {
            let described = self.describe_one(state, chunk)?;
            let tree_bytes = described.tree.as_ref().map_or(0, String::len);
            if tree_bytes > TREES_BYTES_MAX {
                return Err(Status::invalid(format!(
                    "the metadata of {} has {tree_bytes} bytes; at most {TREES_BYTES_MAX} are read from another node",
                    chunk.id
                )));
            }
            bytes += tree_bytes;
            if bytes > TREES_BYTES_MAX {
                // The rest is given when it is asked for again.
                break;
            }
            relayed.push(described);
        }
        let is_last = is_last && relayed.len() == chunks.len();
        Ok(Answer::Relayed {
            chunks: relayed,
            is_last,
        })
    }

    fn describe_one(&self, state: &State, chunk: &Chunk) -> Result<RelayedChunk, Status> {
        let Chunk { id, bytes } = *chunk;
        if id.is_blob() {
            let blobs = vec![(id, bytes)];
            return Ok(RelayedChunk {
                id,
                tree: None,
                blobs,
            });
        }
        let unreadable = |id| self.why_unreadable(state, id);
        let mut texts = self.read_with_payloads(state, &[id])?.map_err(unreadable)?;
        let tree = texts.trees.remove(&id).map(|tree| tree.as_str().to_owned());
        let here = texts.here.iter().flatten();
        let blobs = here.filter_map(|id| self.store.info(*id));
        Ok(RelayedChunk {
            id,
            tree,
            blobs: blobs.map(|blob| (blob.id, blob.size)).collect(),
        })
    }

    /// How often the relay has asked; `None` once it has left.
    pub(crate) fn relay_asks(&self, reader: InstanceId, stream: ObjectId) -> Option<u64> {
        let relayed = self.relay_readers.get(&(reader, stream));
        relayed.map(|relayed| relayed.asks)
    }

    /// The relay reads no more: a reader is gone.
    pub(crate) fn leave_relay(&mut self, state: &State, reader: InstanceId, stream: ObjectId) {
        if let Some(relayed) = self.relay_readers.remove(&(reader, stream)) {
            self.end_session(state, relayed.who.holder);
        }
    }
}

fn opening(open: &OpenRelay) -> OpenStream {
    OpenStream {
        object_id: open.stream,
        mode: READ,
        cursor: Some(open.cursor.clone()),
        from: Some(match open.from {
            RelayFrom::Next => ReadFrom::Word(ReadFromWord::Next),
            RelayFrom::Start => ReadFrom::Word(ReadFromWord::Start),
            RelayFrom::Number(number) => ReadFrom::Number(number),
        }),
    }
}

/// The chunks of one answer: those that were given and did not arrive, then new ones.
fn give(
    stream: &mut Stream,
    relayed: &mut RelayReader,
    pull: &PullRelay,
) -> Result<Vec<Chunk>, Status> {
    let unread = (pull.copied - pull.read) as usize;
    let mut left = pull.credit_bytes;
    // Without an unread chunk the relay could not go on if the next one were larger than its credit.
    let mut must = unread == 0 && left > 0;
    let mut chunks = Vec::new();
    let mut at = unread;
    while left > 0 && chunks.len() < CHUNKS_MAX {
        let bytes_max = if must { u64::MAX } else { left };
        let number = match relayed.given.get(at) {
            Some(number) => *number,
            None => match stream.take_one(&relayed.cursor, bytes_max) {
                Some(number) => {
                    relayed.given.push_back(number);
                    number
                }
                None => break,
            },
        };
        let Some(chunk) = stream.chunk(number) else {
            // The stream has failed, and its chunks are freed.
            let ended = stream.relay_ended(&relayed.cursor);
            return Err(ended.unwrap_or_else(|| failed(None)));
        };
        if chunk.bytes > bytes_max {
            break;
        }
        chunks.push(chunk);
        (at, must) = (at + 1, false);
        left = left.saturating_sub(chunk.bytes);
    }
    Ok(chunks)
}
