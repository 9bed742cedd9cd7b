//! A mapped region from which slices are borrowed.
//!
//! Promise: a slice lies inside the region, keeps it mapped, and never aliases a writer of the same arena.
//!
//! Why this is sound. Rust demands that bytes behind a `&[u8]` do not change and that bytes behind a `&mut [u8]` are
//! nobody else's. Inside one arena the table of borrows sees to both. Between arenas, that is between the node and its
//! clients, the protocol does: sealed bytes never change, an unsealed blob has one process that fills it, and bytes are
//! reused only when no holder is left. A client that was given the writable mapping is trusted to keep to this, as
//! every user of shared memory is; a reader's mapping cannot be written at all.

use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

use vineyard_env::{Access, Region};

use crate::borrows::Borrows;
use crate::slice::{Slice, SliceMut};

/// Why a slice was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// It would leave the arena.
    #[error("{offset} + {len} lies outside an arena of {arena_bytes} bytes")]
    OutOfBounds {
        /// Where it would begin.
        offset: u64,
        /// How many bytes it would have.
        len: u64,
        /// How many the arena has.
        arena_bytes: u64,
    },
    /// Another slice has some of the bytes.
    #[error("{len} bytes at {offset} are borrowed by another slice")]
    Borrowed {
        /// Where it would begin.
        offset: u64,
        /// How many bytes it would have.
        len: u64,
    },
    /// The arena is mapped for reading.
    #[error("the arena is mapped for reading only")]
    ReadOnly,
}

/// A region and the table of what is borrowed from it. Make one per region and process, and clone that.
#[derive(Clone)]
pub struct Arena {
    mapped: Arc<Mapped>,
}

impl Arena {
    /// Lends slices of `region`, of which none is lent yet.
    pub fn new(region: Arc<dyn Region>) -> Self {
        Self {
            mapped: Arc::new(Mapped {
                region,
                borrows: Mutex::default(),
            }),
        }
    }

    /// Where the region is mapped in this process.
    pub fn address(&self) -> NonNull<u8> {
        self.mapped.region.address()
    }

    /// The region's length in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.mapped.region.len_bytes() as u64
    }

    /// What the mapping allows.
    pub fn access(&self) -> Access {
        self.mapped.region.access()
    }

    /// The mapping.
    pub fn region(&self) -> &Arc<dyn Region> {
        &self.mapped.region
    }

    /// Borrows `len` bytes at `offset` for reading. The caller vouches that no other process writes them: they belong
    /// to a sealed blob this process holds.
    pub fn slice(&self, offset: u64, len: u64) -> Result<Slice, SliceError> {
        let range = self.range(offset, len)?;
        if !range.is_empty() && !self.mapped.borrows().add_reader(range.clone()) {
            return Err(SliceError::Borrowed { offset, len });
        }
        Ok(Slice::new(self.mapped.clone(), range))
    }

    /// Borrows `len` bytes at `offset` for writing. The caller vouches that no other process uses them: they belong to
    /// an unsealed blob that this process fills.
    pub fn slice_mut(&self, offset: u64, len: u64) -> Result<SliceMut, SliceError> {
        if self.access() == Access::ReadOnly {
            return Err(SliceError::ReadOnly);
        }
        let range = self.range(offset, len)?;
        if !range.is_empty() && !self.mapped.borrows().add_writer(range.clone()) {
            return Err(SliceError::Borrowed { offset, len });
        }
        Ok(SliceMut::new(self.mapped.clone(), range))
    }

    /// Whether a slice of this arena covers any of `len` bytes at `offset`.
    pub fn is_borrowed(&self, offset: u64, len: u64) -> bool {
        self.range(offset, len)
            .is_ok_and(|range| !range.is_empty() && self.mapped.borrows().is_borrowed(&range))
    }

    /// Gives the whole pages inside the range back to the system; they read as zero afterwards. A range that a slice
    /// covers is refused (`ResourceBusy`): its bytes would change under the slice.
    pub fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let invalid = |refused| io::Error::new(io::ErrorKind::InvalidInput, refused);
        let range = self.range(offset, len).map_err(invalid)?;
        // Held until the pages are gone, so that no slice of them appears meanwhile.
        let borrows = self.mapped.borrows();
        if borrows.is_borrowed(&range) {
            let refused = SliceError::Borrowed { offset, len };
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, refused));
        }
        self.mapped.region.discard(range.start, range.len())
    }

    fn range(&self, offset: u64, len: u64) -> Result<Range<usize>, SliceError> {
        let arena_bytes = self.len_bytes();
        let refused = SliceError::OutOfBounds {
            offset,
            len,
            arena_bytes,
        };
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= arena_bytes)
            .ok_or(refused)?;
        // Both are at most the region's length, which is a usize.
        Ok(offset as usize..end as usize)
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("len_bytes", &self.len_bytes())
            .finish_non_exhaustive()
    }
}

/// What an arena and its slices share.
pub(crate) struct Mapped {
    region: Arc<dyn Region>,
    /// A lock because slices are dropped by the threads that moved their bytes.
    borrows: Mutex<Borrows>,
}

impl Mapped {
    pub(crate) fn borrows(&self) -> MutexGuard<'_, Borrows> {
        self.borrows
            .lock()
            .expect("no holder of this lock panics half way")
    }

    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.region.len_bytes());
        // SAFETY: offsets come from `Arena::range`, so the result is inside the region or one past its end.
        unsafe { self.region.address().add(offset) }
    }
}
