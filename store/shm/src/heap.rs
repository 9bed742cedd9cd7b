//! Regions of one process, for the simulator: a private block that handles pass by reference.
//!
//! Promise: it behaves as a memfd does, without descriptors, and deterministically: what is resident depends on the
//! bytes alone, not on what the machine keeps in memory.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapMut, MmapRaw, UncheckedAdvice};
use vineyard_env::{Access, Memory, MemoryHandle, Region};

use crate::{PAGE_BYTES, check_length, check_shared, denied, whole_pages};

/// Makes regions out of this process's own memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapMemory;

impl Memory for HeapMemory {
    fn create(&self, _name: &str, len: usize) -> io::Result<Arc<dyn Region>> {
        check_length(len)?;
        // An anonymous mapping, so that a large arena that is hardly used costs a simulated node nothing.
        let block = Arc::new(MmapRaw::from(MmapMut::map_anon(len)?));
        Ok(Arc::new(HeapRegion {
            block,
            len,
            access: Access::ReadWrite,
        }))
    }

    fn open(
        &self,
        handle: &MemoryHandle,
        len: usize,
        access: Access,
    ) -> io::Result<Arc<dyn Region>> {
        let unsupported =
            || io::Error::new(io::ErrorKind::Unsupported, "not a block of this process");
        let MemoryHandle::Heap(block, shared) = handle else {
            return Err(unsupported());
        };
        let block = block
            .clone()
            .downcast::<MmapRaw>()
            .map_err(|_| unsupported())?;
        check_shared(len, block.len())?;
        if (*shared, access) == (Access::ReadOnly, Access::ReadWrite) {
            return Err(denied("mapping for writing"));
        }
        Ok(Arc::new(HeapRegion { block, len, access }))
    }
}

struct HeapRegion {
    block: Arc<MmapRaw>,
    len: usize,
    access: Access,
}

impl Region for HeapRegion {
    fn address(&self) -> NonNull<u8> {
        NonNull::new(self.block.as_mut_ptr()).expect("a mapping is never at address 0")
    }

    fn len_bytes(&self) -> usize {
        self.len
    }

    fn access(&self) -> Access {
        self.access
    }

    fn share(&self, access: Access) -> io::Result<MemoryHandle> {
        if (self.access, access) == (Access::ReadOnly, Access::ReadWrite) {
            return Err(denied("sharing for writing"));
        }
        Ok(MemoryHandle::Heap(self.block.clone(), access))
    }

    fn discard(&self, offset: usize, len: usize) -> io::Result<()> {
        if self.access == Access::ReadOnly {
            return Err(denied("discarding"));
        }
        let Some((first, bytes)) = whole_pages(offset, len, self.len)? else {
            return Ok(());
        };
        // SAFETY: the range lies inside this anonymous private mapping, which stays mapped; its pages read as zero from
        // now on. That is a write: the caller must own the range, exactly as with a memfd.
        unsafe {
            self.block
                .unchecked_advise_range(UncheckedAdvice::DontNeed, first, bytes)
        }
    }

    /// Counts the pages that hold anything but zeroes.
    fn resident_bytes(&self) -> io::Result<u64> {
        const WORDS: usize = PAGE_BYTES / size_of::<u64>();
        let words = self.block.as_mut_ptr().cast::<u64>();
        let pages = self.block.len() / PAGE_BYTES;
        let touched = (0..pages).filter(|page| {
            (0..WORDS).any(|word| {
                // SAFETY: the word lies inside the mapping and is aligned, because mappings are page aligned; it is
                // read atomically because someone may be writing it.
                let word = unsafe { AtomicU64::from_ptr(words.add(page * WORDS + word)) };
                word.load(Ordering::Relaxed) != 0
            })
        });
        Ok((touched.count() * PAGE_BYTES) as u64)
    }
}
