//! Turns of relays on the readers' node: a stream of another node has a stream here, which its relay fills with copies.
//!
//! Promise: the copies take no more than the stream's window and half of what streams may still use, apart from one
//! chunk that is larger. `crate::local::relays` has the other end.

use std::collections::BTreeMap;

use serde_json::Value;
use vineyard_raft::state::State;
use vineyard_wire::meta::key;
use vineyard_wire::peer::RelayedChunk;
use vineyard_wire::stream::StreamRules;
use vineyard_wire::{Code, InstanceId, ObjectId, Status, Tree};

use super::streams::{Chunk, Origin, READER_LEFT, Stream, failed};
use super::{Local, Waiter};

/// What a reader needs before it reads a stream.
pub(crate) enum RelayNeed {
    Nothing,
    /// Another reader is having the relay opened.
    Waits(Waiter),
    /// A relay from this process.
    Opening(InstanceId),
}

/// How far a relay is.
pub(crate) struct Standing {
    pub(crate) copied: u64,
    pub(crate) read: u64,
    pub(crate) credit_bytes: u64,
    /// Woken when readers have read, or left.
    pub(crate) waiter: Waiter,
}

impl Local {
    /// Whether the stream `source`, read here as `id`, needs a relay. Each `Opening` is ended by `make_relayed` or
    /// `end_opening`.
    pub(crate) fn begin_relay(
        &mut self,
        state: &State,
        id: ObjectId,
        source: ObjectId,
    ) -> Result<RelayNeed, Status> {
        let maker = source.made_by();
        let is_elsewhere =
            maker.node() != self.catalog.me().node() && state.instance(maker).is_some();
        if self.streams.contains(id) || !is_elsewhere {
            return Ok(RelayNeed::Nothing);
        }
        if let Some(other) = self.streams.of_origin(source) {
            let text = format!("the stream {source} is read on this node already, as {other}");
            return Err(Status::new(Code::StreamOpened, text));
        }
        Ok(match self.opening.insert(source) {
            true => RelayNeed::Opening(maker),
            false => RelayNeed::Waits(self.waiters.wait_for(source)),
        })
    }

    pub(crate) fn end_opening(&mut self, source: ObjectId) {
        self.opening.remove(&source);
        self.waiters.wake(&[source]);
    }

    /// Makes the stream `id` of a relay that was opened.
    pub(crate) fn make_relayed(
        &mut self,
        id: ObjectId,
        (owner, source): (InstanceId, ObjectId),
        rules: StreamRules,
        first: u64,
    ) -> Origin {
        let writer = self.store.open_holder(true);
        let origin = Origin {
            owner,
            stream: source,
            writer,
            first,
        };
        let holder = self.store.open_holder(true);
        self.streams
            .insert(id, Stream::relayed(rules, holder, origin));
        self.end_opening(source);
        origin
    }

    /// Fails once nobody reads the stream here any more.
    pub(crate) fn relay_standing(
        &mut self,
        id: ObjectId,
        origin: Origin,
    ) -> Result<Standing, Status> {
        let free = self
            .stream_threshold_bytes()
            .saturating_sub(self.store.committed_bytes());
        let stream = self.relayed_stream(id, origin)?;
        stream.check_writer(origin.writer)?;
        let (copied, read) = stream.copied_chunks(origin);
        let mut credit_bytes = stream.room_bytes().min(free / 2);
        if copied == read {
            // The next chunk may be larger; then it waits for memory.
            credit_bytes = credit_bytes.max(1);
        }
        Ok(Standing {
            copied,
            read,
            credit_bytes,
            waiter: self.waiters.wait_for(id),
        })
    }

    /// A wait for memory, unless there is enough for `bytes`; an error if there never is.
    pub(crate) fn wait_to_copy(
        &mut self,
        id: ObjectId,
        bytes: u64,
    ) -> Result<Option<Waiter>, Status> {
        let threshold = self.stream_threshold_bytes();
        if bytes >= threshold {
            return Err(Status::new(
                Code::NotEnoughMemory,
                format!(
                    "{bytes} bytes of another node's stream never fit: streams may use less than {threshold} bytes here"
                ),
            ));
        }
        let has_memory = self.store.committed_bytes().saturating_add(bytes) < threshold;
        Ok((!has_memory).then(|| self.waiters.wait_for_memory(id)))
    }

    /// Queues copies of `chunks`; `copies` has those of their blobs, which the node itself holds until now.
    pub(crate) fn queue_copies(
        &mut self,
        state: &State,
        (id, origin): (ObjectId, Origin),
        chunks: &[RelayedChunk],
        copies: &BTreeMap<ObjectId, ObjectId>,
        now_ms: u64,
    ) -> Result<(), Status> {
        let here: Vec<_> = copies.values().copied().collect();
        let queued = self.try_queue(state, (id, origin), chunks, copies, now_ms);
        match queued {
            Ok(()) => self.release_own(&here),
            Err(_) => self.discard(&here),
        }
        self.waiters.wake(&[id]);
        queued
    }

    fn try_queue(
        &mut self,
        state: &State,
        (id, origin): (ObjectId, Origin),
        chunks: &[RelayedChunk],
        copies: &BTreeMap<ObjectId, ObjectId>,
        now_ms: u64,
    ) -> Result<(), Status> {
        let holder = self.relayed_stream(id, origin)?.holder;
        self.relayed_stream(id, origin)?
            .check_writer(origin.writer)?;
        for chunk in chunks {
            let bytes = chunk.blobs.iter().map(|(_, bytes)| bytes).sum();
            let copy = match &chunk.tree {
                None => copies.get(&chunk.id).copied().unwrap_or(chunk.id),
                Some(tree) => self.copy_object(state, tree, copies, now_ms)?,
            };
            if copy.is_blob() && copy != ObjectId::EMPTY_BLOB {
                self.store.retain(holder, &[copy])?;
            }
            self.relayed_stream(id, origin)?
                .push(Chunk { id: copy, bytes });
        }
        Ok(())
    }

    /// An object like that of `text`, over copies of its blobs.
    fn copy_object(
        &mut self,
        state: &State,
        text: &str,
        copies: &BTreeMap<ObjectId, ObjectId>,
        now_ms: u64,
    ) -> Result<ObjectId, Status> {
        let malformed = |error| Status::invalid(format!("the tree of a chunk: {error}"));
        let mut tree: Tree = serde_json::from_str(text).map_err(malformed)?;
        let mut fresh = BTreeMap::new();
        self.localize(state, &mut tree, copies, &mut fresh)?;
        let made = self.create(state, &[tree].into(), now_ms);
        let busy = |_| Status::invalid("an object that was just named is being deleted");
        let mut made = made.map_err(busy)??;
        let created = made.pop().expect("one tree makes one object");
        Ok(created.id)
    }

    /// Gives the objects of a tree ids of this node, and its blobs those of their copies.
    fn localize(
        &mut self,
        state: &State,
        tree: &mut Tree,
        copies: &BTreeMap<ObjectId, ObjectId>,
        fresh: &mut BTreeMap<ObjectId, ObjectId>,
    ) -> Result<(), Status> {
        let me = self.catalog.me();
        let id = tree.get(key::ID).and_then(Value::as_str);
        if let Some(id) = id.and_then(|text| text.parse::<ObjectId>().ok()) {
            let copy = match copies.get(&id) {
                Some(copy) => *copy,
                None if id == ObjectId::EMPTY_BLOB => id,
                None if id.is_blob() => {
                    let text = format!("the bytes of {id} in a chunk are not on the stream's node");
                    return Err(Status::not_exists(text));
                }
                None => *fresh
                    .entry(id)
                    .or_insert_with(|| self.catalog.fresh_id(state)),
            };
            tree.insert(key::ID.to_owned(), Value::from(copy.to_string()));
        }
        tree.insert(key::INSTANCE_ID.to_owned(), Value::from(me.0));
        for member in tree.values_mut().filter_map(Value::as_object_mut) {
            self.localize(state, member, copies, fresh)?;
        }
        Ok(())
    }

    /// The relay ends; readers are told `told` after the last copy.
    pub(crate) fn end_relayed(
        &mut self,
        state: &State,
        id: ObjectId,
        origin: Origin,
        told: Status,
    ) {
        if let Ok(stream) = self.relayed_stream(id, origin) {
            stream.end_relayed(told);
            self.waiters.wake(&[id]);
        }
        self.end_session(state, origin.writer);
    }

    /// Refuses to write a stream of another node.
    pub(super) fn check_written_here(&mut self, id: ObjectId) -> Result<(), Status> {
        let origin = self.streams.get_mut(id).and_then(|stream| stream.origin());
        match origin {
            None => Ok(()),
            Some(Origin { owner, stream, .. }) => {
                let node = owner.node();
                Err(Status::invalid(format!(
                    "the stream {stream} is on node {node} (instance {owner}): connect to that node"
                )))
            }
        }
    }

    fn relayed_stream(&mut self, id: ObjectId, origin: Origin) -> Result<&mut Stream, Status> {
        let stream = self.streams.get_mut(id);
        let is_its = |stream: &&mut Stream| {
            stream
                .origin()
                .is_some_and(|other| other.writer == origin.writer)
        };
        stream
            .filter(is_its)
            .ok_or_else(|| failed(Some(READER_LEFT)))
    }
}
