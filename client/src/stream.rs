//! The two sides of a stream: a [`Writer`] fills chunks in the node's memory, a [`Reader`] gets them in order.
//!
//! Promise: no wait outlasts the other side: its end, failure or death is an answer. The bytes of a [`Chunk`] stay
//! while it lives, also after the stream has freed it. A writer that is dropped unfinished fails the stream. Each side
//! has a connection of its own, so its waits hold up no other call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_wire::stream::StreamRules;
use vineyard_wire::{Code, ObjectId};

use crate::client::Batch;
use crate::object::blobs_in;
use crate::{Blob, BlobWriter, Client, DeleteOptions, Draft, Error, GetOptions, RawObject, Result};

pub use vineyard_wire::stream::{
    CursorStatus, OnReaderGone, ReadersKind, StreamState, StreamStatus,
};

/// A stream to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Of its metadata, like `vineyard::ByteStream`.
    pub typename: String,
    /// What readers find in the metadata.
    pub params: BTreeMap<String, String>,
    pub(crate) rules: StreamRules,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            typename: "vineyard::ByteStream".to_owned(),
            params: BTreeMap::new(),
            rules: StreamRules::default(),
        }
    }
}

impl StreamOptions {
    /// The writer waits while so many bytes are written, wait or are in flight. Without it, the node's memory decides.
    pub fn window_bytes_max(mut self, bytes: u64) -> Self {
        self.rules.window_bytes_max = Some(bytes);
        self
    }

    /// Who gets a chunk.
    pub fn readers(mut self, kind: ReadersKind) -> Self {
        self.rules.readers = kind;
        self
    }

    /// Chunks stay until so many cursors are open.
    pub fn readers_min(mut self, cursors: u64) -> Self {
        self.rules.readers_min = cursors;
        self
    }

    /// Chunks that were read are kept up to this, for replay.
    pub fn retain_bytes_max(mut self, bytes: u64) -> Self {
        self.rules.retain_bytes_max = bytes;
        self
    }

    /// What becomes of the stream when a reader goes before the end.
    pub fn on_reader_gone(mut self, then: OnReaderGone) -> Self {
        self.rules.on_reader_gone = then;
        self
    }

    /// Stream, metadata and names go with the connection that makes it.
    pub fn ephemeral(mut self) -> Self {
        self.rules.ephemeral = true;
        self
    }
}

/// How to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// Which of several readers; one that left may be opened again.
    pub cursor: Option<String>,
    /// Where to begin; `None`: as `Next`.
    pub from: Option<ReaderStart>,
}

impl ReaderOptions {
    /// Reads by the cursor `name`.
    pub fn cursor(name: impl Into<String>) -> Self {
        Self {
            cursor: Some(name.into()),
            from: None,
        }
    }

    /// Begins at `start`.
    pub fn from(mut self, start: ReaderStart) -> Self {
        self.from = Some(start);
        self
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderStart {
    /// Where the cursor was; a new one begins with the oldest chunk that is not read.
    Next,
    /// The oldest chunk that is kept.
    Start,
    /// The chunk of this number; code `InvalidStreamState` if it is gone.
    Number(u64),
}

/// The writing side.
pub struct Writer {
    link: Client,
    id: ObjectId,
    has_ended: bool,
}

impl Writer {
    /// Writes by a connection of its own, without opening: the first chunk makes it a writer.
    pub async fn attach(client: &Client, id: ObjectId) -> Result<Self> {
        Ok(Self {
            link: client.another().await?,
            id,
            has_ended: false,
        })
    }

    pub(crate) fn link(&self) -> &Client {
        &self.link
    }

    /// The stream.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// A chunk of `len` bytes to fill. Waits for room: in the stream's window and in the node's memory. Code
    /// `NotEnoughMemory` if it never fits.
    pub async fn chunk(&mut self, len: usize) -> Result<ChunkWriter> {
        self.chunk_within(len, None).await
    }

    /// As `chunk`, for at most `timeout`.
    pub async fn chunk_timeout(&mut self, len: usize, timeout: Duration) -> Result<ChunkWriter> {
        self.chunk_within(len, Some(timeout)).await
    }

    async fn chunk_within(&mut self, len: usize, timeout: Option<Duration>) -> Result<ChunkWriter> {
        let wait = Wait::begin("room for a chunk", timeout);
        loop {
            if let Some(blob) = self.link.next_chunk(self.id, len, wait.left()).await? {
                let (link, stream) = (self.link.clone(), self.id);
                return Ok(ChunkWriter { blob, link, stream });
            }
            wait.check()?;
        }
    }

    /// Writes one chunk of `bytes`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.link.writes_inline(bytes.len()) {
            let wait = Wait::begin("room for a chunk", None);
            while !self.link.write_chunk(self.id, bytes, wait.left()).await? {
                wait.check()?;
            }
            return Ok(());
        }
        let mut chunk = self.chunk(bytes.len()).await?;
        chunk.as_mut_slice().copy_from_slice(bytes);
        chunk.push().await
    }

    /// Queues a blob or an object that exists. The stream deletes it when it was read.
    pub async fn push(&mut self, id: ObjectId) -> Result<()> {
        self.push_within(id, false, None).await
    }

    /// As `push`, for at most `timeout`; with `seal`, of a blob that is being filled.
    pub async fn push_within(
        &mut self,
        id: ObjectId,
        seal: bool,
        timeout: Option<Duration>,
    ) -> Result<()> {
        push(&self.link, self.id, id, seal, timeout).await
    }

    /// Puts an object and queues it.
    pub async fn put(&mut self, draft: Draft) -> Result<ObjectId> {
        let id = self.link.put(draft).await?.id;
        let pushed = self.push(id).await;
        if pushed.is_err() {
            // The first error matters; the object is in no stream, and nobody else knows it.
            let options = DeleteOptions::default();
            self.link.delete(&[id], options).await.ok();
        }
        pushed.map(|()| id)
    }

    /// Ends the stream: readers get what is queued, then the end.
    pub async fn finish(&mut self) -> Result<()> {
        self.link.stop_stream(self.id, false, None).await?;
        self.has_ended = true;
        Ok(())
    }

    /// Fails the stream: readers get what is queued, then the `reason`.
    pub async fn fail(&mut self, reason: &str) -> Result<()> {
        self.fail_with(Some(reason)).await
    }

    /// As `fail`, perhaps without a reason.
    pub async fn fail_with(&mut self, reason: Option<&str>) -> Result<()> {
        self.link.stop_stream(self.id, true, reason).await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.link.leave_stream(self.id);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({}, ended {})", self.id, self.has_ended)
    }
}

/// A chunk that is being filled, in the node's memory. Dropped without `push`, it is not a part of the stream.
#[derive(Debug)]
pub struct ChunkWriter {
    blob: BlobWriter,
    link: Client,
    stream: ObjectId,
}

impl ChunkWriter {
    /// What was written so far.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.blob.as_mut_slice()
    }

    /// Gives the bytes past `size` back.
    pub async fn shrink(self, size: usize) -> Result<Self> {
        let blob = self.blob.shrink(size).await?;
        Ok(Self { blob, ..self })
    }

    /// Makes the chunk readable, at once.
    pub async fn push(self) -> Result<()> {
        let Self { blob, link, stream } = self;
        blob.push_to(&link, stream).await
    }

    /// The memory alone, to be pushed by its id.
    pub fn into_blob(self) -> BlobWriter {
        self.blob
    }
}

pub(crate) async fn push(
    link: &Client,
    stream: ObjectId,
    chunk: ObjectId,
    seal: bool,
    timeout: Option<Duration>,
) -> Result<()> {
    let wait = Wait::begin("room in the stream's window", timeout);
    while !link.push_chunk(stream, chunk, seal, wait.left()).await? {
        wait.check()?;
    }
    Ok(())
}

/// The reading side. Dropped, it leaves the stream.
pub struct Reader {
    link: Client,
    id: ObjectId,
    cursor: Option<String>,
}

impl Reader {
    /// Reads by a connection of its own, without opening: the first pull makes it the reader.
    pub async fn attach(client: &Client, id: ObjectId, cursor: Option<String>) -> Result<Self> {
        let link = client.another().await?;
        Ok(Self { link, id, cursor })
    }

    pub(crate) fn link(&self) -> &Client {
        &self.link
    }

    /// The stream.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The next chunk, as soon as there is one; `None` at the end. Code `StreamFailed` if the writer failed or died,
    /// and `NotEnoughMemory` if it waits for memory that chunks of this reader keep.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        Ok(self
            .pull(1, None)
            .await?
            .and_then(|mut chunks| chunks.pop()))
    }

    /// As `next`, for at most `timeout`.
    pub async fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Chunk>> {
        let chunks = self.pull(1, Some(timeout)).await?;
        Ok(chunks.and_then(|mut chunks| chunks.pop()))
    }

    /// At least one chunk, and up to `max` of those that are there; empty at the end.
    pub async fn next_many(&mut self, max: u64) -> Result<Vec<Chunk>> {
        Ok(self.pull(max, None).await?.unwrap_or_default())
    }

    /// As `next_many`, for at most `timeout`.
    pub async fn next_many_timeout(&mut self, max: u64, timeout: Duration) -> Result<Vec<Chunk>> {
        Ok(self.pull(max, Some(timeout)).await?.unwrap_or_default())
    }

    async fn pull(&mut self, max: u64, timeout: Option<Duration>) -> Result<Option<Vec<Chunk>>> {
        let wait = Wait::begin("a chunk", timeout);
        loop {
            let cursor = self.cursor.as_deref();
            let batch = match self
                .link
                .pull_chunks(self.id, cursor, max, wait.left())
                .await
            {
                Ok(batch) => batch,
                Err(error) if error.code() == Some(Code::StreamDrained) => return Ok(None),
                Err(error) => return Err(error),
            };
            if !batch.batch.chunks.is_empty() {
                return self.chunks(batch).await.map(Some);
            }
            wait.check()?;
        }
    }

    async fn chunks(&self, pulled: Batch) -> Result<Vec<Chunk>> {
        let Batch { batch, blobs } = pulled;
        let blobs: BTreeMap<_, _> = blobs.into_iter().map(|blob| (blob.id(), blob)).collect();
        let mut chunks = Vec::with_capacity(batch.chunks.len());
        for (at, id) in batch.chunks.iter().enumerate() {
            let content = match (id.is_blob(), blobs.get(id), batch.content.get(id)) {
                (true, Some(blob), _) => Content::Blob(blob.clone()),
                (true, None, _) => Content::Blob(self.link.get_blob(*id).await?),
                (false, _, Some(tree)) => {
                    let malformed =
                        |error: serde_json::Error| Error::malformed("pull", error.to_string());
                    let own = blobs_in(&tree.read().map_err(malformed)?);
                    let own = own
                        .into_keys()
                        .filter_map(|id| Some((id, blobs.get(&id)?.clone())));
                    Content::Object(RawObject {
                        id: *id,
                        tree: tree.clone(),
                        blobs: own.collect(),
                    })
                }
                (false, _, None) => {
                    let options = GetOptions::default();
                    Content::Object(self.link.get_raw(*id, &options).await?)
                }
            };
            let number = batch.numbers.get(at).copied();
            chunks.push(Chunk {
                number,
                id: *id,
                content,
            });
        }
        Ok(chunks)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.link.leave_stream(self.id);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({}, cursor {:?})", self.id, self.cursor)
    }
}

/// What a reader got: a blob, or an object with its blobs.
#[derive(Clone, Debug)]
pub struct Chunk {
    number: Option<u64>,
    id: ObjectId,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Blob(Blob),
    Object(RawObject),
}

impl Chunk {
    /// Its place in the stream, from 0. `None` from a node that does not say it.
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// The blob's or object's id.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The blob, if it is one.
    pub fn blob(&self) -> Option<&Blob> {
        match &self.content {
            Content::Blob(blob) => Some(blob),
            Content::Object(_) => None,
        }
    }

    /// The object itself, if it is one.
    pub fn into_object(self) -> Option<RawObject> {
        match self.content {
            Content::Object(object) => Some(object),
            Content::Blob(_) => None,
        }
    }

    /// The object, if it is one.
    pub fn object(&self) -> Option<&RawObject> {
        match &self.content {
            Content::Object(object) => Some(object),
            Content::Blob(_) => None,
        }
    }
}

/// A wait that takes several requests.
struct Wait {
    what: &'static str,
    until: Option<(Instant, Duration)>,
}

impl Wait {
    fn begin(what: &'static str, timeout: Option<Duration>) -> Self {
        let until = timeout.and_then(|after| Some((Instant::now().checked_add(after)?, after)));
        Self { what, until }
    }

    fn left(&self) -> Option<Duration> {
        let (until, _) = self.until?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn check(&self) -> Result<()> {
        match self.until {
            Some((until, after)) if Instant::now() >= until => Err(Error::Deadline {
                waited_for: self.what.to_owned(),
                after,
            }),
            _ => Ok(()),
        }
    }
}
