//! Bytes of blobs, over the connection's memory or over the connection itself.

use std::io;
use std::ops::DerefMut;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::Access;
use vineyard_net::compress::{Compressor, Decompressor};
use vineyard_shm::{Slice, SliceMut};
use vineyard_wire::ObjectId;
use vineyard_wire::reply::Payload;

use super::{Call, Connection};
use crate::source::BlobBytes;
use crate::{Error, Result};

/// So much of a blob that does not lie together is copied at a time, to be sent.
const PART_BYTES_MAX: usize = 1 << 20;

impl<C: DerefMut<Target = Connection>> Call<'_, C> {
    /// Receives the arenas that a reply announced, after checking that they are the ones its payloads need.
    pub(crate) async fn receive_arenas(
        &mut self,
        announced: &[i32],
        payloads: &[Payload],
    ) -> Result<()> {
        let (connection, limit, request) = self.parts();
        let mut needed = connection.arenas.unseen(payloads);
        let mut sorted = announced.to_vec();
        needed.sort_unstable();
        sorted.sort_unstable();
        if needed != sorted {
            let reason = format!("arenas {announced:?} were announced, {needed:?} are needed");
            return Err(Error::malformed(request, reason));
        }
        for number in announced {
            let handle = limit
                .run("the memory of", connection.receive_memory())
                .await?;
            connection.arenas.add(*number, handle);
        }
        Ok(())
    }

    /// The bytes of a sealed blob, in place.
    pub(crate) fn slice(&mut self, payload: &Payload) -> Result<Slice> {
        let (arena, offset, size) = self.locate(payload, Access::ReadOnly)?;
        Ok(arena.slice(offset, size)?)
    }

    /// The bytes of a blob that is ours to fill, in place.
    pub(crate) fn slice_mut(&mut self, payload: &Payload) -> Result<SliceMut> {
        let (arena, offset, size) = self.locate(payload, Access::ReadWrite)?;
        Ok(arena.slice_mut(offset, size)?)
    }

    fn locate(
        &mut self,
        payload: &Payload,
        access: Access,
    ) -> Result<(vineyard_shm::Arena, u64, u64)> {
        let (connection, _, request) = self.parts();
        let during = || format!("mapping the memory of {request}");
        let arena = connection.arenas.map(payload, access);
        let arena = arena.map_err(|source| Error::Io {
            during: during(),
            source,
        })?;
        let offset = u64::try_from(payload.data_offset)
            .map_err(|_| Error::malformed(request, format!("offset {}", payload.data_offset)))?;
        Ok((arena, offset, data_size(request, payload)?))
    }

    /// Sends `blobs` one after the other.
    pub(crate) async fn send_blobs(
        &mut self,
        blobs: &[BlobBytes<'_>],
        compress: bool,
    ) -> Result<()> {
        let (connection, limit, _) = self.parts();
        limit
            .run(
                "sending the bytes of",
                connection.send_blobs(blobs, compress),
            )
            .await
    }

    /// Receives the bytes of `payloads`, in their order.
    pub(crate) async fn receive_blobs(
        &mut self,
        payloads: &[Payload],
        compress: bool,
    ) -> Result<Vec<(ObjectId, Vec<u8>)>> {
        let (connection, limit, request) = self.parts();
        let mut sizes = Vec::with_capacity(payloads.len());
        for payload in payloads {
            sizes.push((payload.object_id, data_size(request, payload)?));
        }
        limit
            .run("the bytes of", connection.receive_blobs(&sizes, compress))
            .await
    }
}

/// What a payload says of its size, if it makes sense.
pub(crate) fn data_size(request: &'static str, payload: &Payload) -> Result<u64> {
    u64::try_from(payload.data_size)
        .map_err(|_| Error::malformed(request, format!("a blob of {} bytes", payload.data_size)))
}

impl Connection {
    async fn send_blobs(&mut self, blobs: &[BlobBytes<'_>], compress: bool) -> io::Result<()> {
        let stream = self.stream();
        let mut compressor = compress.then(Compressor::new).transpose()?;
        let mut copied = Vec::new();
        for blob in blobs {
            let mut offset = 0;
            while offset < blob.len() {
                let part = match blob {
                    BlobBytes::Slice(bytes) => *bytes,
                    BlobBytes::Source(source) => {
                        copied.resize(PART_BYTES_MAX.min(blob.len() - offset), 0);
                        source.read_at(offset, &mut copied);
                        copied.as_slice()
                    }
                };
                match &mut compressor {
                    Some(compressor) => compressor.write_part(stream, part).await?,
                    None => stream.write_all(part).await?,
                }
                offset += part.len();
            }
            if let Some(compressor) = &mut compressor {
                compressor.end_blob(stream).await?;
            }
        }
        stream.flush().await
    }

    async fn receive_blobs(
        &mut self,
        sizes: &[(ObjectId, u64)],
        compress: bool,
    ) -> io::Result<Vec<(ObjectId, Vec<u8>)>> {
        let stream = self.stream();
        let mut decompressor = if compress {
            Some(Decompressor::new()?)
        } else {
            None
        };
        let mut blobs = Vec::with_capacity(sizes.len());
        for (id, size) in sizes {
            let size = usize::try_from(*size).map_err(|_| io::ErrorKind::OutOfMemory)?;
            // A false size fails here, or costs nothing: untouched pages are not there yet.
            let mut bytes = Vec::new();
            bytes
                .try_reserve_exact(size)
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
            match &mut decompressor {
                Some(decompressor) => {
                    bytes.resize(size, 0);
                    decompressor.read_blob(stream, &mut bytes).await?;
                }
                None => {
                    // The limit on each read keeps the next blob, or frame, out of the spare capacity.
                    let mut rest = stream.take(size as u64);
                    while bytes.len() < size {
                        if rest.read_buf(&mut bytes).await? == 0 {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                    }
                }
            }
            blobs.push((*id, bytes));
        }
        Ok(blobs)
    }
}
