//! Bytes of a put that lie in pieces, or with gaps between them, and are copied to their place once.
//!
//! Promise: what is put is never joined in this process. It must never know why the bytes lie as they do.

use std::fmt;

/// Bytes that are copied when they are needed, part by part, by several threads at a time.
pub trait BlobSource: Sync {
    /// How many bytes there are. Always the same.
    fn size(&self) -> usize;

    /// Fills `target` with the bytes from `offset` on; as many are there.
    fn read_at(&self, offset: usize, target: &mut [u8]);
}

/// The bytes of one blob of a put.
#[derive(Clone, Copy)]
pub(crate) enum BlobBytes<'a> {
    Slice(&'a [u8]),
    Source(&'a dyn BlobSource),
}

impl BlobBytes<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Slice(bytes) => bytes.len(),
            Self::Source(source) => source.size(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` with the bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: usize, target: &mut [u8]) {
        match self {
            Self::Slice(bytes) => target.copy_from_slice(&bytes[offset..offset + target.len()]),
            Self::Source(source) => source.read_at(offset, target),
        }
    }
}

/// All of `blobs`, one after the other.
pub(crate) fn joined(blobs: &[BlobBytes<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; blobs.iter().map(BlobBytes::len).sum()];
    let mut rest = bytes.as_mut_slice();
    for blob in blobs {
        let (target, after) = rest.split_at_mut(blob.len());
        blob.read_at(0, target);
        rest = after;
    }
    bytes
}

impl fmt::Debug for BlobBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobBytes({} bytes)", self.len())
    }
}
