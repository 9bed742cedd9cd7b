//! Streams: verbs of one request each. Their two sides are [`crate::stream`]'s.
//!
//! Each side has a connection of its own, because its requests wait.

use std::time::Duration;

use serde_json::Value;
use vineyard_wire::limits::INLINE_BYTES_MAX;
use vineyard_wire::meta::key;
use vineyard_wire::stream::{
    ChunkBatch, CreateStream, GetNextStreamChunk, OpenStream, PullNextStreamChunk, PulledChunks,
    PushNextStreamChunk, ReadFrom, ReadFromWord, StopStream, StreamRules, StreamStatus,
};
use vineyard_wire::{Code, ObjectId, Reply, Request};

use super::{Client, check_size, only};
use crate::connection::STREAMS;
use crate::stream::{Reader, ReaderOptions, ReaderStart, StreamOptions, Writer};
use crate::{Blob, BlobWriter, DeleteOptions, Draft, Error, Result};

/// One request waits this long at the node before it is asked again, so that a dead node is noticed.
const WAIT_SLICE: Duration = Duration::from_secs(5);
/// For a node that knows no limits of waits.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The field of a stream's metadata with what its readers should know, as a JSON text.
const PARAMS: &str = "params_";
const READ: u64 = 1;
const WRITE: u64 = 2;

/// Chunks as they came: their numbers and ids, and what came along of their bytes and trees.
pub(crate) struct Batch {
    pub(crate) batch: ChunkBatch,
    pub(crate) blobs: Vec<Blob>,
}

impl Client {
    /// Makes a stream: its metadata, and the stream itself, on this node.
    pub async fn create_stream(&self, options: StreamOptions) -> Result<ObjectId> {
        let params = serde_json::to_string(&options.params).expect("texts are JSON");
        let draft = Draft::new(options.typename.clone()).attribute(PARAMS, params);
        let id = self.put(draft).await?.id;
        let made = self.create_stream_of(id, &options).await;
        if made.is_err() {
            // The first error matters; the metadata is of no use without a stream.
            self.delete(&[id], DeleteOptions::default()).await.ok();
        }
        made.map(|()| id)
    }

    /// Makes the stream of the object `id`. Code `ObjectExists` if it has one.
    pub async fn create_stream_of(&self, id: ObjectId, options: &StreamOptions) -> Result<()> {
        let create = CreateStream {
            object_id: id,
            rules: match self.offers(STREAMS) {
                true => options.rules.clone(),
                false => StreamRules::default(),
            },
            source: None,
        };
        self.ask_to_create(create).await
    }

    /// A stream of this node that gets the chunks of `id`, a stream of another node, as they come; `id` itself if it is
    /// of this node. The metadata of `id` must be persisted.
    pub async fn migrate_stream(&self, id: ObjectId) -> Result<ObjectId> {
        if id.made_by().node() == self.instance_id().node() {
            return Ok(id);
        }
        let tree = self.get_metadata(id).await?;
        let text = |name: &str| tree.get(name).and_then(Value::as_str);
        let mut draft = Draft::new(text(key::TYPENAME).unwrap_or_default());
        if let Some(params) = text(PARAMS) {
            draft = draft.attribute(PARAMS, params);
        }
        let copy = self.put(draft).await?.id;
        let create = CreateStream {
            object_id: copy,
            rules: StreamRules::default(),
            source: Some(id),
        };
        let made = self.ask_to_create(create).await;
        if made.is_err() {
            // The first error matters; the metadata is of no use without a stream.
            self.delete(&[copy], DeleteOptions::default()).await.ok();
        }
        made.map(|()| copy)
    }

    async fn ask_to_create(&self, create: CreateStream) -> Result<()> {
        let request = Request::CreateStream(create);
        self.ask(request, only!(Reply::CreateStream => ())).await
    }

    /// Opens the stream `id` to read. Code `StreamOpened` if another reader has the cursor.
    pub async fn open_reader(&self, id: ObjectId, options: &ReaderOptions) -> Result<Reader> {
        let reader = Reader::attach(self, id, options.cursor.clone()).await?;
        reader.link().open_stream(id, READ, options).await?;
        Ok(reader)
    }

    /// Opens the stream `id` to write. Code `StreamOpened` if it is open to write already.
    pub async fn open_writer(&self, id: ObjectId) -> Result<Writer> {
        let writer = Writer::attach(self, id).await?;
        writer
            .link()
            .open_stream(id, WRITE, &ReaderOptions::default())
            .await?;
        Ok(writer)
    }

    async fn open_stream(&self, id: ObjectId, mode: u64, options: &ReaderOptions) -> Result<()> {
        let open = OpenStream {
            object_id: id,
            mode,
            cursor: options.cursor.clone(),
            from: options.from.map(|start| match start {
                ReaderStart::Next => ReadFrom::Word(ReadFromWord::Next),
                ReaderStart::Start => ReadFrom::Word(ReadFromWord::Start),
                ReaderStart::Number(number) => ReadFrom::Number(number),
            }),
        };
        self.ask(Request::OpenStream(open), only!(Reply::OpenStream => ()))
            .await
    }

    /// Ends the stream `id`: no more is written. With `failed`, readers are told the `reason` after the last chunk.
    pub async fn stop_stream(
        &self,
        id: ObjectId,
        failed: bool,
        reason: Option<&str>,
    ) -> Result<()> {
        let stop = StopStream {
            id,
            failed,
            reason: reason.map(str::to_owned),
        };
        self.ask(Request::StopStream(stop), only!(Reply::StopStream => ()))
            .await
    }

    /// Drops the stream `id` with its chunks and its metadata. Those who wait are told.
    pub async fn drop_stream(&self, id: ObjectId) -> Result<()> {
        match self.forget_stream(id).await {
            // It was read to its end, and went with its last reader.
            Err(error) if error.is_not_exists() => {}
            dropped => dropped?,
        }
        self.delete(&[id], DeleteOptions::default()).await
    }

    /// Drops the stream `id` with its chunks. The metadata stays.
    pub async fn forget_stream(&self, id: ObjectId) -> Result<()> {
        self.ask(Request::DropStream { id }, only!(Reply::DropStream => ()))
            .await
    }

    /// Chunks, cursors and waits of the stream `id`. Code `ObjectNotExists` if this node has no such stream.
    pub async fn stream_status(&self, id: ObjectId) -> Result<StreamStatus> {
        self.ask(
            Request::StreamStatus { id },
            only!(Reply::StreamStatus(status) => status),
        )
        .await
    }

    /// The part of a wait that one request takes: what the node is told, and when its answer is late.
    fn slice(&self, left: Option<Duration>) -> (Option<u64>, Duration) {
        if !self.offers(STREAMS) {
            return (None, left.unwrap_or(FOREVER).max(self.options().deadline));
        }
        let slice = left.map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
        let timeout_ms = u64::try_from(slice.as_millis()).unwrap_or(u64::MAX);
        (
            Some(timeout_ms),
            slice.saturating_add(self.options().deadline),
        )
    }

    /// Whether the node ended a wait that it was told to end.
    fn is_slice_over(&self, error: &Error) -> bool {
        error.code() == Some(Code::IoError) && self.offers(STREAMS)
    }

    /// A chunk of the stream to fill; `None` if there was no room in this part of the wait.
    pub(crate) async fn next_chunk(
        &self,
        id: ObjectId,
        size: usize,
        left: Option<Duration>,
    ) -> Result<Option<BlobWriter>> {
        if !self.is_ipc() {
            return Ok(Some(BlobWriter::buffered(self.clone(), vec![0; size])));
        }
        let (timeout_ms, after) = self.slice(left);
        let get = GetNextStreamChunk {
            id,
            size: size as u64,
            timeout_ms,
        };
        let mut call = self.begin(after).await?;
        let pick = only!(Reply::GetNextStreamChunk { buffer, fd } => (buffer, fd));
        let (buffer, fd) = match call.ask(&Request::GetNextStreamChunk(get), pick).await {
            Err(error) if self.is_slice_over(&error) => return Ok(None),
            answer => answer?,
        };
        let announced = if fd >= 0 {
            std::slice::from_ref(&fd)
        } else {
            &[]
        };
        call.receive_arenas(announced, std::slice::from_ref(&buffer))
            .await?;
        check_size("get_next_stream_chunk_request", &buffer, size)?;
        if size == 0 {
            let hold = self.hold(buffer.object_id, 0);
            call.done();
            return Ok(Some(BlobWriter::empty(hold)));
        }
        let slice = call.slice_mut(&buffer);
        let hold = self.hold(buffer.object_id, size as u64);
        call.done();
        Ok(Some(BlobWriter::shared(hold, buffer.object_id, slice?)))
    }

    /// Queues `chunk`; `false` if the window was full in this part of the wait.
    pub(crate) async fn push_chunk(
        &self,
        id: ObjectId,
        chunk: ObjectId,
        seal: bool,
        left: Option<Duration>,
    ) -> Result<bool> {
        if seal && !self.offers(STREAMS) {
            // The node queues what it gave out by the next request of the writer.
            return self.seal(chunk).await.map(|()| true);
        }
        let (timeout_ms, after) = self.slice(left);
        let push = PushNextStreamChunk {
            id,
            chunk,
            seal,
            inline: None,
            bytes: Vec::new(),
            timeout_ms,
        };
        self.ask_to_push(after, push).await
    }

    /// Whether chunks of `size` bytes are written in one message.
    pub(crate) fn writes_inline(&self, size: usize) -> bool {
        size as u64 <= INLINE_BYTES_MAX && self.offers(STREAMS)
    }

    /// Writes a small chunk in one message; `false` if there was no room in this part of the wait.
    pub(crate) async fn write_chunk(
        &self,
        id: ObjectId,
        bytes: &[u8],
        left: Option<Duration>,
    ) -> Result<bool> {
        let (timeout_ms, after) = self.slice(left);
        let push = PushNextStreamChunk {
            id,
            chunk: ObjectId::INVALID,
            seal: false,
            inline: Some(bytes.len() as u64),
            bytes: bytes.to_vec(),
            timeout_ms,
        };
        self.ask_to_push(after, push).await
    }

    async fn ask_to_push(&self, after: Duration, push: PushNextStreamChunk) -> Result<bool> {
        let pick = only!(Reply::PushNextStreamChunk => ());
        match self
            .ask_within(after, Request::PushNextStreamChunk(push), pick)
            .await
        {
            Err(error) if self.is_slice_over(&error) => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// The next chunks; none if none came in this part of the wait.
    pub(crate) async fn pull_chunks(
        &self,
        id: ObjectId,
        cursor: Option<&str>,
        max: u64,
        left: Option<Duration>,
    ) -> Result<Batch> {
        let (timeout_ms, after) = self.slice(left);
        let is_ours = self.offers(STREAMS);
        let pull = PullNextStreamChunk {
            id,
            max: is_ours.then_some(max),
            cursor: cursor.filter(|_| is_ours).map(str::to_owned),
            timeout_ms,
        };
        let mut call = self.begin(after).await?;
        let pick = only!(Reply::PullNextStreamChunk(pulled) => pulled);
        let PulledChunks { chunk, batch } =
            call.ask(&Request::PullNextStreamChunk(pull), pick).await?;
        let Some(batch) = batch else {
            call.done();
            let chunks = vec![chunk];
            return Ok(Batch {
                batch: ChunkBatch {
                    chunks,
                    ..ChunkBatch::default()
                },
                blobs: Vec::new(),
            });
        };
        let payloads = match self.is_ipc() {
            true => batch.payloads.as_slice(),
            false => &[],
        };
        call.receive_arenas(&batch.fds, payloads).await?;
        let mut held = Vec::with_capacity(payloads.len());
        for payload in payloads.iter().filter(|payload| payload.data_size > 0) {
            let (id, slice) = (payload.object_id, call.slice(payload));
            held.push((id, slice, self.hold(id, payload.data_size as u64)));
        }
        call.done();
        let blobs = held.into_iter();
        let blobs = blobs.map(|(id, slice, hold)| Ok(Blob::shared(id, slice?, hold)));
        Ok(Batch {
            blobs: blobs.collect::<Result<_>>()?,
            batch,
        })
    }

    /// Leaves the stream `id`, whose side this connection is, without waiting. Blobs that are held stay.
    pub(crate) fn leave_stream(&self, id: ObjectId) {
        if self.is_ours()
            && self.offers(STREAMS)
            && let Ok(mut connection) = self.inner.connection.try_lock()
            && let Some(connection) = connection.as_mut()
        {
            connection.queue_anyway(&Request::ReleaseNotice { ids: vec![id] });
        }
        self.end_soon();
    }
}
