//! Blobs over TCP: their bytes travel on the connection, between frames.

use std::collections::BTreeMap;

use vineyard_wire::{ObjectId, Reply, Request};

use super::blobs::check_count;
use super::{Client, only};
use crate::connection::data_size;
use crate::source::BlobBytes;
use crate::{Blob, Result};

impl Client {
    /// Sends one blob over TCP.
    pub(crate) async fn send_blob(&self, bytes: &[u8]) -> Result<ObjectId> {
        Ok(self.send_blobs(&[BlobBytes::Slice(bytes)]).await?[0])
    }

    /// Sends each of `blobs`; empty ones need no sending.
    pub(super) async fn send_blobs(&self, blobs: &[BlobBytes<'_>]) -> Result<Vec<ObjectId>> {
        if self.may_come_along(blobs) {
            return self.put_inline(blobs).await;
        }
        let full: Vec<BlobBytes<'_>> = blobs
            .iter()
            .copied()
            .filter(|bytes| !bytes.is_empty())
            .collect();
        let sent = match *full {
            [] => Vec::new(),
            _ => self.send_full(&full).await?,
        };
        let mut sent = sent.into_iter();
        Ok(blobs
            .iter()
            .filter_map(|b| {
                if b.is_empty() {
                    Some(ObjectId::EMPTY_BLOB)
                } else {
                    sent.next()
                }
            })
            .collect())
    }

    /// Go-ahead, bytes, done: the reply comes twice.
    async fn send_full(&self, blobs: &[BlobBytes<'_>]) -> Result<Vec<ObjectId>> {
        let compress = self.options().compression;
        let sizes: Vec<u64> = blobs.iter().map(|bytes| bytes.len() as u64).collect();
        let after = self.options().transfer_deadline(sizes.iter().sum());
        let mut call = self.begin(self.options().deadline).await?;
        let request = match *sizes {
            [size] => Request::CreateRemoteBuffer { size, compress },
            _ => Request::CreateRemoteBuffers { sizes, compress },
        };
        call.ask(&request, created_ids).await?;
        call.extend(after);
        call.send_blobs(blobs, compress).await?;
        let ids = call.reply(created_ids).await?;
        check_count("create_remote_buffers_request", ids.len(), blobs.len())?;
        call.done();
        Ok(ids)
    }

    /// The bytes of those of `ids` that the node has.
    pub(super) async fn receive_blobs(
        &self,
        ids: Vec<ObjectId>,
        unsafe_: bool,
        compress: bool,
    ) -> Result<BTreeMap<ObjectId, Blob>> {
        let mut call = self.begin(self.options().deadline).await?;
        let request = Request::GetRemoteBuffers {
            ids,
            unsafe_,
            compress,
        };
        let pick = only!(Reply::GetBuffers { payloads, .. } => payloads);
        let payloads = call.ask(&request, pick).await?;
        let mut total = 0_u64;
        for payload in &payloads {
            total = total.saturating_add(data_size("get_remote_buffers_request", payload)?);
        }
        call.extend(self.options().transfer_deadline(total));
        let blobs = call.receive_blobs(&payloads, compress).await?;
        call.done();
        Ok(blobs
            .into_iter()
            .map(|(id, bytes)| (id, Blob::owned(id, bytes)))
            .collect())
    }
}

fn created_ids(reply: Reply) -> Result<Vec<ObjectId>, Reply> {
    match reply {
        Reply::CreateBuffer { id, .. } => Ok(vec![id]),
        Reply::CreateBuffers { ids, .. } => Ok(ids),
        other => Err(other),
    }
}
