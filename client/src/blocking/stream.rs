//! The two sides of a stream, each call waiting for its answer. See [`crate::stream`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vineyard_wire::ObjectId;

use super::{Client, Driver};
use crate::stream::{self, Chunk, ReaderOptions};
use crate::{Draft, Result};

impl Client {
    /// See [`crate::Client::open_reader`].
    pub fn open_reader(&self, id: ObjectId, options: &ReaderOptions) -> Result<Reader> {
        let reader = self.driver.block_on(self.client.open_reader(id, options))?;
        let driver = self.driver.clone();
        Ok(Reader { reader, driver })
    }

    /// See [`crate::Client::open_writer`].
    pub fn open_writer(&self, id: ObjectId) -> Result<Writer> {
        let writer = self.driver.block_on(self.client.open_writer(id))?;
        let driver = self.driver.clone();
        Ok(Writer { writer, driver })
    }
}

/// The writing side; see [`stream::Writer`].
pub struct Writer {
    writer: stream::Writer,
    driver: Arc<Driver>,
}

impl Writer {
    /// The stream.
    pub fn id(&self) -> ObjectId {
        self.writer.id()
    }

    /// A chunk of `len` bytes to fill. Waits for room.
    pub fn chunk(&mut self, len: usize) -> Result<ChunkWriter> {
        let chunk = self.driver.block_on(self.writer.chunk(len))?;
        let driver = self.driver.clone();
        Ok(ChunkWriter { chunk, driver })
    }

    /// As `chunk`, for at most `timeout`.
    pub fn chunk_timeout(&mut self, len: usize, timeout: Duration) -> Result<ChunkWriter> {
        let chunk = self.writer.chunk_timeout(len, timeout);
        let chunk = self.driver.block_on(chunk)?;
        let driver = self.driver.clone();
        Ok(ChunkWriter { chunk, driver })
    }

    /// Writes one chunk of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.driver.block_on(self.writer.write(bytes))
    }

    /// Queues a blob or an object that exists.
    pub fn push(&mut self, id: ObjectId) -> Result<()> {
        self.driver.block_on(self.writer.push(id))
    }

    /// Puts an object and queues it.
    pub fn put(&mut self, draft: Draft) -> Result<ObjectId> {
        self.driver.block_on(self.writer.put(draft))
    }

    /// Ends the stream.
    pub fn finish(&mut self) -> Result<()> {
        self.driver.block_on(self.writer.finish())
    }

    /// Fails the stream.
    pub fn fail(&mut self, reason: &str) -> Result<()> {
        self.driver.block_on(self.writer.fail(reason))
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.fmt(f)
    }
}

/// A chunk that is being filled; see [`stream::ChunkWriter`].
pub struct ChunkWriter {
    chunk: stream::ChunkWriter,
    driver: Arc<Driver>,
}

impl ChunkWriter {
    /// What was written so far.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.chunk.as_mut_slice()
    }

    /// Gives the bytes past `size` back.
    pub fn shrink(self, size: usize) -> Result<Self> {
        let Self { chunk, driver } = self;
        let chunk = driver.block_on(chunk.shrink(size))?;
        Ok(Self { chunk, driver })
    }

    /// Makes the chunk readable, at once.
    pub fn push(self) -> Result<()> {
        self.driver.block_on(self.chunk.push())
    }
}

impl fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunk.fmt(f)
    }
}

/// The reading side; see [`stream::Reader`].
pub struct Reader {
    reader: stream::Reader,
    driver: Arc<Driver>,
}

impl Reader {
    /// The stream.
    pub fn id(&self) -> ObjectId {
        self.reader.id()
    }

    /// The next chunk; `None` at the end. Not an iterator: an error does not end the stream.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error may be answered by going on, and the async face has the same name"
    )]
    pub fn next(&mut self) -> Result<Option<Chunk>> {
        self.driver.block_on(self.reader.next())
    }

    /// As `next`, for at most `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Chunk>> {
        self.driver.block_on(self.reader.next_timeout(timeout))
    }

    /// At least one chunk, and up to `max` of those that are there; empty at the end.
    pub fn next_many(&mut self, max: u64) -> Result<Vec<Chunk>> {
        self.driver.block_on(self.reader.next_many(max))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}
