//! Reads frames from a connection, and notices when the other side closes while its request is being served.
//!
//! Memory use grows with the bytes that arrived, never with the length in a header.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use vineyard_wire::frame::{self, HEADER_BYTES, TooLong};

/// Bytes reserved for one read.
const READ_BYTES: usize = 64 << 10;

/// Bytes that have arrived and are not consumed yet.
#[derive(Default)]
pub(crate) struct FrameReader {
    bytes: Vec<u8>,
    used: usize,
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("nothing more of a request that had begun came for {} ms", after.as_millis())]
    Stalled { after: Duration },
    #[error("not registered within {} ms", after.as_millis())]
    Late { after: Duration },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameReader {
    /// Starts with bytes that were read to tell clients from nodes.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, used: 0 }
    }

    /// The next frame's body, or `None` at the end of the stream. It may begin whenever the other side likes; once it
    /// has begun, some of it must come within each `stall_max`.
    pub(crate) async fn frame<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        bytes_max: usize,
        stall_max: Duration,
    ) -> Result<Option<Vec<u8>>, FrameError> {
        if !self.fill(stream, HEADER_BYTES, stall_max).await? {
            return Ok(None);
        }
        let header = self.unused()[..HEADER_BYTES]
            .try_into()
            .expect("HEADER_BYTES bytes");
        let body_bytes = frame::body_bytes(header, bytes_max)?;
        let frame_bytes = HEADER_BYTES + body_bytes;
        if !self.fill(stream, frame_bytes, stall_max).await? {
            return Ok(None);
        }
        self.used += HEADER_BYTES;
        Ok(Some(self.take(body_bytes)))
    }

    /// Removes and returns up to `len` bytes that have already arrived.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let len = len.min(self.unused().len());
        let taken = self.unused()[..len].to_vec();
        self.used += len;
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(READ_BYTES);
            self.used = 0;
        }
        taken
    }

    /// Reads up to `bytes_max` ahead; beyond that a client that pipelines waits. Returns only when the other side has
    /// closed. Cancel safe.
    pub(crate) async fn until_closed<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        bytes_max: usize,
    ) {
        while self.unused().len() < bytes_max {
            match self.read_some(stream).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }

    fn unused(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Reads until `len` bytes are there; `false` if the stream ends before.
    async fn fill<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        len: usize,
        stall_max: Duration,
    ) -> Result<bool, FrameError> {
        while self.unused().len() < len {
            let read = match self.unused().is_empty() {
                true => self.read_some(stream).await,
                false => tokio::time::timeout(stall_max, self.read_some(stream))
                    .await
                    .map_err(|_| FrameError::Stalled { after: stall_max })?,
            };
            if read? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_some<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<usize> {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.reserve(READ_BYTES);
        stream.read_buf(&mut self.bytes).await
    }
}

#[cfg(test)]
mod tests;
