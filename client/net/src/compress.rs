//! Blobs as zstd streams on an RPC connection, for both sides of it.
//!
//! Promise: one context spans all blobs of one request, each blob ends with a flush, the frame never ends, and a chunk
//! (`u64` length, then bytes) is never empty nor longer than the protocol allows. It must never know whose bytes these
//! are.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use vineyard_wire::frame::HEADER_BYTES;
use vineyard_wire::limits::ZSTD_CHUNK_BYTES_MAX;
use zstd::stream::raw::{Decoder, Encoder, InBuffer, Operation, OutBuffer};

/// Writes the blobs of one request.
pub struct Compressor {
    encoder: Encoder<'static>,
    /// A chunk with its header, so that both leave in one write.
    chunk: Vec<u8>,
    /// Whether parts were written that no flush has followed.
    in_blob: bool,
}

impl Compressor {
    /// A fresh context, for a fresh request.
    pub fn new() -> io::Result<Self> {
        let encoder = Encoder::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
        Ok(Self {
            encoder,
            chunk: vec![0; HEADER_BYTES + ZSTD_CHUNK_BYTES_MAX],
            in_blob: false,
        })
    }

    /// Writes one blob. An empty blob writes nothing.
    pub async fn write_blob<W>(&mut self, writer: &mut W, blob: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        self.write_part(writer, blob).await?;
        self.end_blob(writer).await
    }

    /// Writes a part of a blob, which `end_blob` ends.
    pub async fn write_part<W>(&mut self, writer: &mut W, part: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let mut taken = 0;
        while taken < part.len() {
            let (read, filled, _) = self.step(&part[taken..], false)?;
            taken += read;
            self.write_chunk(writer, filled).await?;
        }
        self.in_blob |= taken > 0;
        Ok(())
    }

    /// Ends the blob whose parts were written. One without bytes writes nothing.
    pub async fn end_blob<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while self.in_blob {
            let (_, filled, left) = self.step(&[], true)?;
            self.write_chunk(writer, filled).await?;
            self.in_blob = left > 0;
        }
        Ok(())
    }

    async fn write_chunk<W>(&mut self, writer: &mut W, filled: usize) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if filled == 0 {
            return Ok(());
        }
        self.chunk[..HEADER_BYTES].copy_from_slice(&(filled as u64).to_le_bytes());
        writer.write_all(&self.chunk[..HEADER_BYTES + filled]).await
    }

    /// Takes some of `input`, or flushes; how much was taken, how much of the chunk is filled, what is left to flush.
    fn step(&mut self, input: &[u8], flushing: bool) -> io::Result<(usize, usize, usize)> {
        let mut output = OutBuffer::around(&mut self.chunk[HEADER_BYTES..]);
        let mut input = InBuffer::around(input);
        let left = match flushing {
            true => self.encoder.flush(&mut output)?,
            false => self.encoder.run(&mut input, &mut output)?,
        };
        Ok((input.pos(), output.pos(), left))
    }
}

/// Reads the blobs of one request.
pub struct Decompressor {
    decoder: Decoder<'static>,
    chunk: Vec<u8>,
}

impl Decompressor {
    /// A fresh context, for a fresh request.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            decoder: Decoder::new()?,
            chunk: Vec::with_capacity(ZSTD_CHUNK_BYTES_MAX),
        })
    }

    /// Fills `blob`. `InvalidData` when the stream holds more than the blob, or is not zstd.
    pub async fn read_blob<R>(&mut self, reader: &mut R, blob: &mut [u8]) -> io::Result<()>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        let mut filled = 0;
        while filled < blob.len() {
            self.read_chunk(reader).await?;
            filled += self.decode(&mut blob[filled..])?;
        }
        if filled > 0 && self.has_more()? {
            return Err(invalid("a compressed chunk holds more than its blob"));
        }
        Ok(())
    }

    /// Whether the decoder took bytes in that it has not given out.
    fn has_more(&mut self) -> io::Result<bool> {
        let mut probe = [0];
        let mut output = OutBuffer::around(&mut probe[..]);
        self.decoder.run(&mut InBuffer::around(&[]), &mut output)?;
        Ok(output.pos() > 0)
    }

    async fn read_chunk<R: AsyncRead + Unpin + ?Sized>(
        &mut self,
        reader: &mut R,
    ) -> io::Result<()> {
        let announced = reader.read_u64_le().await?;
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| (1..=ZSTD_CHUNK_BYTES_MAX).contains(length))
            .ok_or_else(|| invalid("a compressed chunk is empty or too long"))?;
        self.chunk.resize(length, 0);
        reader.read_exact(&mut self.chunk).await?;
        Ok(())
    }

    /// Decodes the whole chunk into the front of `blob`; how much it filled.
    fn decode(&mut self, blob: &mut [u8]) -> io::Result<usize> {
        let mut input = InBuffer::around(&self.chunk[..]);
        let mut output = OutBuffer::around(blob);
        while input.pos() < self.chunk.len() {
            let before = (input.pos(), output.pos());
            self.decoder.run(&mut input, &mut output)?;
            if (input.pos(), output.pos()) == before {
                return Err(invalid("a compressed chunk holds more than its blob"));
            }
        }
        Ok(output.pos())
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
