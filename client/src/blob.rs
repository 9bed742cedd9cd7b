//! A blob's bytes: sealed ones to read, and fresh ones to fill.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use vineyard_shm::{Slice, SliceError, SliceMut};
use vineyard_wire::ObjectId;

use crate::client::Hold;
use crate::{Client, Result};

/// A sealed blob. Over the Unix socket its bytes are the node's own memory, over TCP a copy.
///
/// The memory stays mapped while the blob lives, the connection stays open, and the node keeps the bytes, also after
/// a delete, until the last `Blob` of its id on this connection is dropped. The node hears of that with the client's
/// next request, or at once if it is much. After the node is gone the memory stays readable.
#[derive(Clone)]
pub struct Blob {
    id: ObjectId,
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    // In this order: the slice ends before the node hears of it.
    Shared { slice: Slice, _hold: Hold },
    Owned(Arc<Vec<u8>>),
}

impl Blob {
    pub(crate) fn shared(id: ObjectId, slice: Slice, hold: Hold) -> Self {
        Self {
            id,
            bytes: Bytes::Shared { slice, _hold: hold },
        }
    }

    pub(crate) fn owned(id: ObjectId, bytes: Vec<u8>) -> Self {
        Self {
            id,
            bytes: Bytes::Owned(Arc::new(bytes)),
        }
    }

    /// The blob of size 0, which exists on every instance.
    pub fn empty() -> Self {
        Self::owned(ObjectId::EMPTY_BLOB, Vec::new())
    }

    /// The blob's id.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.deref().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Shared { slice, .. } => slice,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.id, self.len())
    }
}

/// A blob that is being filled. Over the Unix socket it is the node's memory, filled in place; over TCP the bytes are
/// kept here and sent by `seal`. Dropped without `seal` or `abort` its memory goes back to the node with the next
/// request.
pub struct BlobWriter {
    fill: Fill,
}

enum Fill {
    Shared {
        id: ObjectId,
        slice: SliceMut,
        hold: Hold,
    },
    Buffered {
        bytes: Vec<u8>,
        client: Client,
        /// Of an empty chunk of a stream: its drop tells the node.
        hold: Option<Hold>,
    },
}

impl BlobWriter {
    pub(crate) fn shared(hold: Hold, id: ObjectId, slice: SliceMut) -> Self {
        Self {
            fill: Fill::Shared { id, slice, hold },
        }
    }

    pub(crate) fn buffered(client: Client, bytes: Vec<u8>) -> Self {
        Self {
            fill: Fill::Buffered {
                bytes,
                client,
                hold: None,
            },
        }
    }

    /// A chunk without bytes, which the node has given out.
    pub(crate) fn empty(hold: Hold) -> Self {
        Self {
            fill: Fill::Buffered {
                bytes: Vec::new(),
                client: hold.client().clone(),
                hold: Some(hold),
            },
        }
    }

    /// The blob's id. `None` over TCP, where the node gives it at `seal`.
    pub fn id(&self) -> Option<ObjectId> {
        match &self.fill {
            Fill::Shared { id, .. } => Some(*id),
            Fill::Buffered { bytes, .. } => bytes.is_empty().then_some(ObjectId::EMPTY_BLOB),
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match &self.fill {
            Fill::Shared { slice, .. } => slice.len(),
            Fill::Buffered { bytes, .. } => bytes.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was written so far. Fresh memory is not zeroed over the Unix socket.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.fill {
            Fill::Shared { slice, .. } => slice,
            Fill::Buffered { bytes, .. } => bytes,
        }
    }

    /// Gives the bytes past `size` back. Refused (`Mapping`) if there are fewer.
    pub async fn shrink(mut self, size: usize) -> Result<Self> {
        let (offset, len, arena_bytes) = (0, size as u64, self.len() as u64);
        if size > self.len() {
            return Err(SliceError::OutOfBounds {
                offset,
                len,
                arena_bytes,
            }
            .into());
        }
        self.fill = match self.fill {
            Fill::Shared { id, slice, hold } => {
                let (slice, rest) = slice.split_at(size);
                drop(rest);
                // Made at once: whatever happens, the slice ends before the hold.
                let fill = Fill::Shared { id, slice, hold };
                if let Fill::Shared { hold, .. } = &fill {
                    hold.client().shrink_blob(id, size).await?;
                }
                fill
            }
            Fill::Buffered {
                mut bytes,
                client,
                hold,
            } => {
                bytes.truncate(size);
                Fill::Buffered {
                    bytes,
                    client,
                    hold,
                }
            }
        };
        Ok(self)
    }

    /// Makes the bytes immutable and visible to others.
    pub async fn seal(self) -> Result<Blob> {
        match self.fill {
            Fill::Shared { id, slice, hold } => {
                let blob = Blob::shared(id, slice.freeze(), hold.clone());
                hold.client().seal(id).await?;
                Ok(blob)
            }
            Fill::Buffered { bytes, client, .. } => {
                let id = client.send_blob(&bytes).await?;
                Ok(Blob::owned(id, bytes))
            }
        }
    }

    /// Makes it a chunk of the stream `stream`, readable at once. The memory is its own until then.
    pub(crate) async fn push_to(self, link: &Client, stream: ObjectId) -> Result<()> {
        match self.fill {
            Fill::Shared { id, slice, hold } => {
                drop(slice);
                let pushed = crate::stream::push(link, stream, id, true, None).await;
                drop(hold);
                pushed
            }
            Fill::Buffered {
                bytes,
                client,
                hold,
            } => {
                let id = match bytes.is_empty() {
                    true => ObjectId::EMPTY_BLOB,
                    false => client.send_blob(&bytes).await?,
                };
                let pushed = crate::stream::push(link, stream, id, false, None).await;
                drop(hold);
                if pushed.is_err() && !bytes.is_empty() {
                    // The first error matters; nobody else knows the blob.
                    client.drop_blob(id).await.ok();
                }
                pushed
            }
        }
    }

    /// Gives the memory back.
    pub async fn abort(self) -> Result<()> {
        match self.fill {
            Fill::Shared { id, slice, hold } => {
                drop(slice);
                hold.client().drop_blob(id).await
            }
            Fill::Buffered { .. } => Ok(()),
        }
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({:?}, {} bytes)", self.id(), self.len())
    }
}
