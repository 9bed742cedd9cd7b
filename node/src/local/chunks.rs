//! Turns of streams: the chunks' memory, their order, and who waits for what.
//!
//! Promise: a request that cannot be answered yet changes nothing that another request can see, except that it is known
//! to wait; whatever may let it go on wakes it. Chunks belong to the stream's own holder in the store, so they outlast
//! the connection that wrote them, and a reader's hold keeps them in place after they were read. `ends` has the end of
//! chunks: sealed and queued, or freed.

mod ends;

use std::collections::BTreeMap;

use vineyard_raft::state::State;
use vineyard_store::{Blob, Error, HolderId};
use vineyard_wire::stream::{CreateStream, OpenStream, StopStream, StreamStatus};
use vineyard_wire::{Code, InstanceId, ObjectId, Status, TreeText};

use super::streams::{Chunk, Departure, Pull, Stream, Who, Writing};
use super::{Found, Local, Waiter, not_sealed};

/// Most chunks that one pull is given.
const PULL_CHUNKS_MAX: u64 = 1024;
/// The mode of the protocol.
const WRITE: u64 = 2;
/// What those are told who wait when a stream is dropped.
const DROPPED: &str = "the stream was dropped";

/// An answer, or what to wait for before the request is asked again.
pub(crate) enum Awaited<T> {
    Ready(T),
    Waits { waiter: Waiter, need: Need },
}

/// What a request of a stream waits for.
pub(crate) enum Need {
    Chunk,
    /// A place in the stream's window.
    Window,
    /// Memory of the arena. With a status if no stream has a chunk that could make room: what to say in the end.
    Memory(Option<Status>),
}

/// The chunks that a reader got.
#[derive(Default)]
pub(crate) struct Pulled {
    pub(crate) chunks: Vec<(u64, ObjectId)>,
    /// Of the chunks that are objects, if the reader asked for it.
    pub(crate) trees: BTreeMap<ObjectId, TreeText>,
    /// Held for the reader, if it asked for it.
    pub(crate) blobs: Vec<Blob>,
}

/// How a reader wants its chunks.
pub(crate) struct PullOptions {
    pub(crate) cursor: Option<String>,
    /// Absent: one chunk, which the client fetches itself.
    pub(crate) max: Option<u64>,
    /// The reader maps the blobs, and holds them.
    pub(crate) maps: bool,
}

impl Local {
    pub(crate) fn create_stream(
        &mut self,
        by: HolderId,
        create: CreateStream,
    ) -> Result<(), Status> {
        let CreateStream {
            object_id: id,
            rules,
            source: _,
        } = create;
        if self.streams.contains(id) {
            let text = format!("the stream {id} exists already");
            return Err(Status::new(Code::ObjectExists, text));
        }
        let holder = self.store.open_holder_of(self.store.user_of(by), true);
        self.streams.insert(id, Stream::new(rules, holder, by));
        Ok(())
    }

    pub(crate) fn open_stream(
        &mut self,
        state: &State,
        who: Who,
        open: &OpenStream,
    ) -> Result<(), Status> {
        if open.mode == WRITE {
            self.check_written_here(open.object_id)?;
        }
        self.stream(state, open.object_id)?.open(who, open)?;
        self.waiters.wake(&[open.object_id]);
        Ok(())
    }

    /// A new chunk for a writer to fill. The one before it is complete.
    pub(crate) fn next_chunk(
        &mut self,
        state: &State,
        who: Who,
        id: ObjectId,
        size: u64,
    ) -> Result<Awaited<Blob>, Status> {
        let threshold = self.stream_threshold_bytes();
        self.writing_to(state, who, id)?.check_window(size)?;
        if size >= threshold {
            let limit = self.store.usage().memory_limit;
            let text = format!(
                "a chunk of {size} bytes never fits: streams may use less than {threshold} bytes of this node's {limit}"
            );
            return Err(Status::new(Code::NotEnoughMemory, text));
        }
        self.end_writing(id)?;
        let stream = self.stream(state, id)?;
        if !stream.has_room(size) {
            stream.wait_to_write(who.holder, false);
            let waiter = self.waiters.wait_for(id);
            return Ok(Awaited::Waits {
                waiter,
                need: Need::Window,
            });
        }
        let holder = stream.holder;
        let has_memory = self.store.committed_bytes().saturating_add(size) < threshold;
        let created = has_memory.then(|| self.store.create(holder, size));
        match created {
            Some(Ok(blob)) => {
                self.store.retain(who.holder, &[blob.id])?;
                let chunk = Chunk {
                    id: blob.id,
                    bytes: blob.size,
                };
                self.stream(state, id)?
                    .begin_writing(Writing { chunk, by: who });
                Ok(Awaited::Ready(blob))
            }
            None | Some(Err(Error::OutOfMemory(_))) => self.wait_for_memory(state, who, id, size),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// A chunk whose bytes came with the request: as `next_chunk`, filled and queued in the same turn.
    pub(crate) fn write_chunk(
        &mut self,
        state: &State,
        who: Who,
        id: ObjectId,
        bytes: &[u8],
    ) -> Result<Awaited<()>, Status> {
        let blob = match self.next_chunk(state, who, id, bytes.len() as u64)? {
            Awaited::Ready(blob) => blob,
            Awaited::Waits { waiter, need } => return Ok(Awaited::Waits { waiter, need }),
        };
        if blob.size > 0 {
            self.store.writer(blob.id)?.copy_from_slice(bytes);
        }
        self.end_writing(id)?;
        self.store.release_all(who.holder, &[blob.id]);
        Ok(Awaited::Ready(()))
    }

    fn wait_for_memory(
        &mut self,
        state: &State,
        who: Who,
        id: ObjectId,
        size: u64,
    ) -> Result<Awaited<Blob>, Status> {
        let may_end = self.streams.have_chunks();
        let status = (!may_end).then(|| self.store.out_of_memory(size).status());
        let stream = self.stream(state, id)?;
        let is_new = !stream.waits_for_memory();
        stream.wait_to_write(who.holder, true);
        if is_new {
            // A reader that holds the memory and waits is told so.
            self.waiters.wake(&[id]);
        }
        let waiter = self.waiters.wait_for_memory(id);
        let need = Need::Memory(status);
        Ok(Awaited::Waits { waiter, need })
    }

    /// Queues `chunk`, which `seal` seals before.
    pub(crate) fn push_chunk(
        &mut self,
        state: &State,
        who: Who,
        (id, chunk): (ObjectId, ObjectId),
        seal: bool,
    ) -> Result<Awaited<()>, Status> {
        let stream = self.writing_to(state, who, id)?;
        let (holder, counts) = (stream.holder, stream.counts_bytes());
        if stream
            .writing()
            .is_some_and(|writing| writing.chunk.id == chunk)
        {
            self.end_writing(id)?;
            return Ok(Awaited::Ready(()));
        }
        let blob = chunk.is_blob().then(|| self.store.info(chunk)).flatten();
        if blob.is_some_and(|blob| !blob.sealed && !seal) {
            return Err(not_sealed(chunk));
        }
        let bytes = match blob {
            Some(blob) => blob.size,
            None if counts => self.bytes_below(state, chunk),
            None => 0,
        };
        let stream = self.stream(state, id)?;
        stream.check_window(bytes)?;
        if !stream.has_room(bytes) {
            stream.wait_to_write(who.holder, false);
            let waiter = self.waiters.wait_for(id);
            return Ok(Awaited::Waits {
                waiter,
                need: Need::Window,
            });
        }
        match (seal, blob) {
            (true, _) => self.seal(holder, chunk)?,
            (false, Some(_)) => self.store.retain(holder, &[chunk])?,
            (false, None) => {}
        }
        self.stream(state, id)?.push(Chunk { id: chunk, bytes });
        self.waiters.wake(&[id]);
        Ok(Awaited::Ready(()))
    }

    /// The next chunks for a reader. It is done with those that it got before.
    pub(crate) fn pull_chunks(
        &mut self,
        state: &State,
        who: Who,
        id: ObjectId,
        options: &PullOptions,
    ) -> Result<Awaited<Pulled>, Status> {
        let stream = self.reading_from(state, who, id)?;
        let name = stream.cursor_of(who, options.cursor.as_deref());
        let max = options.max.unwrap_or(1).clamp(1, PULL_CHUNKS_MAX);
        let is_read = stream.has_in_flight(&name);
        let (pull, freed) = stream.pull(who, &name, max)?;
        let (holder, writer_waits) = (stream.holder, stream.waits_for_memory());
        // What is retained makes room in the window too.
        let changed = is_read || !freed.is_empty();
        self.free_chunks(state, holder, freed);
        if changed {
            self.waiters.wake(&[id]);
        }
        match pull {
            Pull::Chunks(chunks) => {
                let chunks: Vec<_> = chunks
                    .into_iter()
                    .map(|(number, chunk)| (number, chunk.id))
                    .collect();
                let mut pulled = Pulled {
                    chunks,
                    ..Pulled::default()
                };
                if options.max.is_some() && options.maps {
                    self.hold_chunks(state, who.holder, &mut pulled);
                }
                Ok(Awaited::Ready(pulled))
            }
            Pull::Ended(status) => Err(status),
            Pull::Waits => {
                if writer_waits {
                    self.check_holds(state, who, id)?;
                }
                let (waiter, need) = (self.waiters.wait_for(id), Need::Chunk);
                Ok(Awaited::Waits { waiter, need })
            }
        }
    }

    /// Refuses a reader that waits while the writer waits for memory which that reader itself keeps.
    fn check_holds(&mut self, state: &State, who: Who, id: ObjectId) -> Result<(), Status> {
        let (bytes, chunks) = self.store.deleted_held_by(who.holder);
        if bytes == 0 {
            return Ok(());
        }
        self.stream(state, id)?.end_wait(who.holder);
        let text = format!(
            "the writer waits for memory, and you hold {bytes} bytes in {chunks} chunks that were read: copy what you \
             need of them, let them go, and pull again"
        );
        Err(Status::new(Code::NotEnoughMemory, text))
    }

    /// What is here of the chunks. What is not, the reader asks for itself.
    fn hold_chunks(&mut self, state: &State, holder: HolderId, pulled: &mut Pulled) {
        let ids = pulled.chunks.iter().map(|(_, id)| *id);
        let (bare, objects): (Vec<_>, Vec<_>) = ids.partition(|id| id.is_blob());
        if let Ok(blobs) = self.store.get(holder, &bare, false) {
            pulled.blobs = blobs;
        }
        if objects.is_empty() {
            return;
        }
        if let Ok(Ok(Found {
            texts,
            blobs: Some(blobs),
        })) = self.get(state, &objects, holder)
        {
            pulled.trees = texts.trees;
            pulled.blobs.extend(blobs);
        }
    }

    pub(crate) fn stop_stream(
        &mut self,
        state: &State,
        who: Who,
        stop: StopStream,
    ) -> Result<(), Status> {
        let StopStream { id, failed, reason } = stop;
        self.check_written_here(id)?;
        self.stream(state, id)?.stop(who.holder, failed, reason)?;
        match failed && who.is_ours {
            // The chunk may be half full.
            true => self.discard_writing(state, id),
            false => self.end_writing(id)?,
        }
        self.waiters.wake(&[id]);
        Ok(())
    }

    pub(crate) fn drop_stream(&mut self, state: &State, id: ObjectId) -> Result<(), Status> {
        self.stream(state, id)?;
        self.remove_stream(state, id, DROPPED);
        Ok(())
    }

    /// Drops all streams: a `clear` takes their chunks.
    pub(crate) fn drop_streams(&mut self, state: &State) {
        for id in self.streams.ids() {
            self.remove_stream(state, id, DROPPED);
        }
    }

    pub(crate) fn stream_status(
        &mut self,
        state: &State,
        id: ObjectId,
    ) -> Result<StreamStatus, Status> {
        let me = self.catalog.me();
        Ok(self.stream(state, id)?.status(id, me))
    }

    /// The request of `holder` waits no longer.
    pub(crate) fn end_stream_wait(&mut self, id: ObjectId, holder: HolderId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.end_wait(holder);
        }
    }

    /// The connection of `holder` has ended: it leaves its streams, and all it holds is released.
    pub(crate) fn end_session(&mut self, state: &State, holder: HolderId) {
        for id in self.streams.ids() {
            self.leave_stream(state, id, holder);
        }
        for id in self.streams.ephemeral_of(holder) {
            self.remove_stream(state, id, DROPPED);
            self.discard_object(state, id);
        }
        self.streams.forget_words(holder);
        self.store.close_holder(holder);
    }

    /// The client dropped its last handle of each of `ids`: blobs, and streams that it reads or writes.
    pub(crate) fn release_all(&mut self, state: &State, holder: HolderId, ids: &[ObjectId]) {
        for id in ids {
            if self.streams.contains(*id) {
                self.leave_stream(state, *id, holder);
            } else if self
                .store
                .info(*id)
                .is_some_and(|blob| !blob.sealed || blob.size == 0)
                && let Some(stream) = self.streams.filled_by(holder, *id)
            {
                self.discard_writing(state, stream);
            }
        }
        self.store.release_all(holder, ids);
    }

    fn leave_stream(&mut self, state: &State, id: ObjectId, by: HolderId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let Departure {
            is_changed,
            mut freed,
            unwritten,
            is_over,
        } = stream.leave(by);
        let holder = stream.holder;
        freed.extend(unwritten);
        self.free_chunks(state, holder, freed);
        if is_over {
            self.remove_stream(state, id, super::streams::READER_LEFT);
        } else if is_changed {
            self.waiters.wake(&[id]);
        }
    }

    fn remove_stream(&mut self, state: &State, id: ObjectId, reason: &str) {
        if let Some(mut stream) = self.streams.remove(id, reason) {
            let chunks = stream.clear();
            self.free_chunks(state, stream.holder, chunks);
            self.store.close_holder(stream.holder);
            self.waiters.wake(&[id]);
        }
    }

    /// Wakes the requests that wait for memory, if some may have become free.
    pub(crate) fn end_turn(&mut self) {
        if !self.waiters.is_memory_idle() && self.store.releases() != self.releases_seen {
            self.waiters.wake_memory();
        }
        self.releases_seen = self.store.releases();
    }

    /// What streams and all else may use before a writer waits.
    pub(super) fn stream_threshold_bytes(&self) -> u64 {
        let limit = u128::from(self.store.usage().memory_limit);
        (limit * u128::from(self.stream_threshold_percent) / 100) as u64
    }

    /// Bytes of the blobs of this node below an object.
    fn bytes_below(&self, state: &State, id: ObjectId) -> u64 {
        let Ok(Ok(texts)) = self.read_with_payloads(state, &[id]) else {
            return 0;
        };
        let blobs = texts.here.iter().flatten();
        blobs
            .filter_map(|id| self.store.info(*id))
            .map(|blob| blob.size)
            .sum()
    }

    fn writing_to(&mut self, state: &State, who: Who, id: ObjectId) -> Result<&mut Stream, Status> {
        self.check_written_here(id)?;
        let stream = self.reading_from(state, who, id)?;
        stream.check_writer(who.holder)?;
        Ok(stream)
    }

    pub(super) fn reading_from(
        &mut self,
        state: &State,
        who: Who,
        id: ObjectId,
    ) -> Result<&mut Stream, Status> {
        match self.streams.last_words(id, who.holder) {
            Some(status) => Err(status),
            None => self.stream(state, id),
        }
    }

    pub(super) fn stream(&mut self, state: &State, id: ObjectId) -> Result<&mut Stream, Status> {
        let me = self.catalog.me();
        let (node, maker) = (me.node(), id.made_by());
        let is_elsewhere = maker.node() != node && state.instance(maker).is_some();
        self.streams.get_mut(id).ok_or_else(|| {
            if is_elsewhere {
                let node = maker.node();
                return Status::invalid(format!(
                    "the stream {id} is on node {node} (instance {maker}): connect to that node"
                ));
            }
            match maker.node() == node && maker.boot() < me.boot() {
                true => ended(id, maker),
                false => Status::not_exists(format!("no such stream: {id}")),
            }
        })
    }
}

/// The error for a stream of a process that is over.
pub(crate) fn ended(id: ObjectId, owner: InstanceId) -> Status {
    let node = owner.node();
    Status::not_exists(format!(
        "the stream {id} is lost with node {node} (instance {owner}), whose process ended"
    ))
}
