//! Blobs: created, filled, read and released.

use std::collections::BTreeMap;
use std::slice;

use vineyard_wire::limits::BUFFERS_MAX;
use vineyard_wire::reply::Payload;
use vineyard_wire::{ObjectId, Reply, Request};

use super::{Client, only};
use crate::connection::data_size;
use crate::copy::copy;
use crate::source::BlobBytes;
use crate::{Blob, BlobSource, BlobWriter, Error, Result};

impl Client {
    /// A fresh blob of `size` bytes to fill. Code `NotEnoughMemory` if the node has no room.
    pub async fn create_blob(&self, size: usize) -> Result<BlobWriter> {
        if !self.is_ipc() || size == 0 {
            return Ok(BlobWriter::buffered(self.clone(), vec![0; size]));
        }
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::CreateBuffer { size: size as u64 };
        let pick = only!(Reply::CreateBuffer { id, created, fd } => (id, created, fd));
        let (id, created, fd) = call.ask(&request, pick).await?;
        let announced = if fd >= 0 { slice::from_ref(&fd) } else { &[] };
        call.receive_arenas(announced, slice::from_ref(&created))
            .await?;
        check_size("create_buffer_request", &created, size)?;
        let filled = call.slice_mut(&created);
        let hold = self.hold(id, size as u64);
        call.done();
        match filled {
            Ok(slice) => Ok(BlobWriter::shared(hold, id, slice)),
            Err(error) => {
                // It cannot be filled. If this fails too, the node frees the blob with the connection.
                self.drop_blob(id).await.ok();
                Err(error)
            }
        }
    }

    /// Fresh blobs of `sizes` bytes, all or none.
    pub async fn create_blobs(&self, sizes: &[usize]) -> Result<Vec<BlobWriter>> {
        if !self.is_ipc() {
            let writer = |size: &usize| BlobWriter::buffered(self.clone(), vec![0; *size]);
            return Ok(sizes.iter().map(writer).collect());
        }
        let wanted: Vec<usize> = sizes.iter().copied().filter(|size| *size > 0).collect();
        let made = if wanted.is_empty() {
            Vec::new()
        } else {
            self.create_shared(&wanted).await?
        };
        let mut made = made.into_iter();
        let empty = || BlobWriter::buffered(self.clone(), Vec::new());
        Ok(sizes
            .iter()
            .filter_map(|size| {
                if *size == 0 {
                    Some(empty())
                } else {
                    made.next()
                }
            })
            .collect())
    }

    async fn create_shared(&self, sizes: &[usize]) -> Result<Vec<BlobWriter>> {
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::CreateBuffers {
            sizes: sizes.iter().map(|s| *s as u64).collect(),
        };
        let pick = only!(Reply::CreateBuffers { ids, payloads, fds } => (ids, payloads, fds));
        let (ids, payloads, fds) = call.ask(&request, pick).await?;
        check_count(
            "create_buffers_request",
            ids.len().min(payloads.len()),
            sizes.len(),
        )?;
        call.receive_arenas(&fds, &payloads).await?;
        let mut slices = Vec::with_capacity(ids.len());
        for (payload, size) in payloads.iter().zip(sizes) {
            check_size("create_buffers_request", payload, *size)?;
            slices.push(call.slice_mut(payload));
        }
        let hold = |(id, size): (&ObjectId, &usize)| (*id, self.hold(*id, *size as u64));
        let holds: Vec<_> = ids.iter().zip(sizes).map(hold).collect();
        call.done();
        match slices.into_iter().collect::<Result<Vec<_>>>() {
            Ok(slices) => {
                let pairs = holds.into_iter().zip(slices);
                Ok(pairs
                    .map(|((id, hold), slice)| BlobWriter::shared(hold, id, slice))
                    .collect())
            }
            Err(error) => {
                for id in ids {
                    // It cannot be filled. If this fails too, the node frees the blob with the connection.
                    self.drop_blob(id).await.ok();
                }
                Err(error)
            }
        }
    }

    /// Stores `bytes` as a sealed blob.
    pub async fn put_blob(&self, bytes: &[u8]) -> Result<ObjectId> {
        Ok(self.put_blobs(&[bytes]).await?[0])
    }

    /// Stores the bytes of `source` as a sealed blob.
    pub async fn put_source(&self, source: &dyn BlobSource) -> Result<ObjectId> {
        Ok(self.put_all(&[BlobBytes::Source(source)]).await?[0])
    }

    /// Stores each of `blobs` as a sealed blob; their memory is allocated all or none.
    pub async fn put_blobs(&self, blobs: &[&[u8]]) -> Result<Vec<ObjectId>> {
        let blobs: Vec<_> = blobs.iter().map(|bytes| BlobBytes::Slice(bytes)).collect();
        self.put_all(&blobs).await
    }

    pub(super) async fn put_all(&self, blobs: &[BlobBytes<'_>]) -> Result<Vec<ObjectId>> {
        if !self.is_ipc() {
            return self.send_blobs(blobs).await;
        }
        if self.may_come_along(blobs) {
            return self.put_inline(blobs).await;
        }
        let sizes: Vec<usize> = blobs.iter().map(BlobBytes::len).collect();
        let writers = match *sizes {
            [size] => vec![self.create_blob(size).await?],
            _ => self.create_blobs(&sizes).await?,
        };
        let made: Vec<ObjectId> = writers.iter().filter_map(BlobWriter::id).collect();
        let filled = self.fill(writers, blobs).await;
        if filled.is_err() {
            for id in made {
                // The error that matters is the first; what stays unsealed goes with the connection.
                self.drop_blob(id).await.ok();
            }
        }
        filled
    }

    async fn fill(
        &self,
        writers: Vec<BlobWriter>,
        blobs: &[BlobBytes<'_>],
    ) -> Result<Vec<ObjectId>> {
        let mut ids = Vec::with_capacity(blobs.len());
        for (mut writer, bytes) in writers.into_iter().zip(blobs) {
            self.copy(*bytes, &mut writer);
            ids.push(writer.seal().await?.id());
        }
        Ok(ids)
    }

    pub(super) fn copy(&self, bytes: BlobBytes<'_>, writer: &mut BlobWriter) {
        copy(
            bytes,
            writer.as_mut_slice(),
            self.options().copy_threads_max,
        );
    }

    /// The sealed blob `id`; code `ObjectNotExists` if this node has none.
    pub async fn get_blob(&self, id: ObjectId) -> Result<Blob> {
        let found = self.get_blobs(&[id]).await?.pop().flatten();
        found.ok_or_else(|| super::not_exists(format!("failed to get blob {id}")))
    }

    /// The sealed blobs `ids`, each `None` if this node has none. Code `ObjectNotSealed` if one is being filled.
    pub async fn get_blobs(&self, ids: &[ObjectId]) -> Result<Vec<Option<Blob>>> {
        self.find_blobs(ids, false).await
    }

    /// As `get_blobs`, but blobs that are being filled come as well. Over the Unix socket they change under the reader
    /// until they are sealed.
    pub async fn get_unsealed_blobs(&self, ids: &[ObjectId]) -> Result<Vec<Option<Blob>>> {
        self.find_blobs(ids, true).await
    }

    async fn find_blobs(&self, ids: &[ObjectId], unsafe_: bool) -> Result<Vec<Option<Blob>>> {
        let full = |id: &ObjectId| *id != ObjectId::EMPTY_BLOB;
        let wanted: Vec<ObjectId> = ids.iter().copied().filter(full).collect();
        let mut found = BTreeMap::new();
        // More at once would be refused.
        for part in wanted.chunks(BUFFERS_MAX) {
            found.extend(match self.is_ipc() {
                true => self.map_blobs(part.to_vec(), unsafe_).await?,
                false => {
                    let compress = self.options().compression;
                    self.receive_blobs(part.to_vec(), unsafe_, compress).await?
                }
            });
        }
        found.insert(ObjectId::EMPTY_BLOB, Blob::empty());
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn map_blobs(
        &self,
        ids: Vec<ObjectId>,
        unsafe_: bool,
    ) -> Result<BTreeMap<ObjectId, Blob>> {
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::GetBuffers { ids, unsafe_ };
        let pick = only!(Reply::GetBuffers { payloads, fds, .. } => (payloads, fds));
        let (payloads, fds) = call.ask(&request, pick).await?;
        call.receive_arenas(&fds, &payloads).await?;
        let mut held = Vec::with_capacity(payloads.len());
        for payload in payloads.iter().filter(|payload| payload.data_size > 0) {
            let (id, slice) = (payload.object_id, call.slice(payload));
            held.push((id, slice, self.hold(id, payload.data_size as u64)));
        }
        call.done();
        held.into_iter()
            .map(|(id, slice, hold)| Ok((id, Blob::shared(id, slice?, hold))))
            .collect()
    }

    /// Seals the blob `id`, also one that another connection created.
    pub async fn seal(&self, id: ObjectId) -> Result<()> {
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::Seal { object_id: id };
        call.ask(&request, only!(Reply::Seal => ())).await?;
        // Sealing holds.
        self.holds().release_if_unused(id);
        call.done();
        Ok(())
    }

    /// Deletes the blob `id`: it is gone at once for every connection that has no reference to it. A `Blob` or
    /// `BlobWriter` of it here keeps its bytes.
    pub async fn drop_blob(&self, id: ObjectId) -> Result<()> {
        self.ask(Request::DropBuffer { id }, only!(Reply::DropBuffer => ()))
            .await
    }

    /// Makes the unsealed blob `id` smaller. A writer that fills it should use [`BlobWriter::shrink`].
    pub async fn shrink_blob(&self, id: ObjectId, size: usize) -> Result<()> {
        let request = Request::ShrinkBuffer {
            id,
            size: size as u64,
        };
        self.ask(request, only!(Reply::ShrinkBuffer => ())).await
    }

    /// Takes a reference to each blob until `release`, so that its bytes outlast a delete without a `Blob` here.
    pub async fn retain(&self, ids: &[ObjectId]) -> Result<()> {
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::IncreaseReferenceCount { ids: ids.to_vec() };
        call.ask(&request, only!(Reply::IncreaseReferenceCount => ()))
            .await?;
        self.holds().retain(ids);
        call.done();
        Ok(())
    }

    /// Gives back what `retain` took. A `Blob` of that id here keeps its bytes until it is dropped. Refused by the node
    /// if this connection holds no such blob.
    pub async fn release(&self, id: ObjectId) -> Result<()> {
        let mut call = self.take(self.options().deadline).await?;
        if self.holds().release(id) {
            return Ok(());
        }
        let request = Request::Release { object_id: id };
        call.ask(&request, only!(Reply::Release => ())).await?;
        call.done();
        Ok(())
    }

    /// Whether somebody holds the blob `id`. True also for blobs that do not exist, as in vineyard 0.24.
    pub async fn is_in_use(&self, id: ObjectId) -> Result<bool> {
        let pick = only!(Reply::IsInUse { is_in_use } => is_in_use);
        self.ask(Request::IsInUse { id }, pick).await
    }
}

pub(super) fn check_size(request: &'static str, payload: &Payload, size: usize) -> Result<()> {
    match data_size(request, payload)? == size as u64 {
        true => Ok(()),
        false => {
            let reason = format!("{} bytes instead of {size}", payload.data_size);
            Err(Error::malformed(request, reason))
        }
    }
}

pub(super) fn check_count(request: &'static str, got: usize, wanted: usize) -> Result<()> {
    match got == wanted {
        true => Ok(()),
        false => Err(Error::malformed(
            request,
            format!("{got} blobs instead of {wanted}"),
        )),
    }
}
