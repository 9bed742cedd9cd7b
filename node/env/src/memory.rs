//! Shared memory as something that can be created, passed to another process and mapped there.
//!
//! The makers live in `store/shm`: a memfd for the machine, a heap block for the simulator.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// What travels from the node to a client so that both see the same bytes.
#[derive(Clone)]
pub enum MemoryHandle {
    /// A file descriptor, passed by `SCM_RIGHTS`.
    Fd(Arc<OwnedFd>),
    /// A block of this process, passed by reference in the simulator.
    Heap(Arc<dyn Any + Send + Sync>, Access),
}

pub trait Memory: Send + Sync {
    /// A new zeroed region of `len` bytes (a multiple of the page size), mapped for reading and writing.
    fn create(&self, name: &str, len: usize) -> io::Result<Arc<dyn Region>>;

    /// Maps the first `len` bytes of what another process shared. Asking for more access than the handle carries is
    /// `PermissionDenied`; asking for more bytes than it has is `InvalidInput`.
    fn open(
        &self,
        handle: &MemoryHandle,
        len: usize,
        access: Access,
    ) -> io::Result<Arc<dyn Region>>;
}

/// A mapped region. It stays mapped until the last `Arc` goes.
pub trait Region: Send + Sync {
    /// Where it is mapped in this process.
    fn address(&self) -> NonNull<u8>;

    /// Its length in bytes.
    fn len_bytes(&self) -> usize;

    /// What this mapping allows.
    fn access(&self) -> Access;

    /// A handle that others may map with at most `access`.
    fn share(&self, access: Access) -> io::Result<MemoryHandle>;

    /// Gives the whole pages inside `offset..offset + len` back to the system; they read as zero afterwards.
    fn discard(&self, offset: usize, len: usize) -> io::Result<()>;

    /// Bytes of the region that occupy memory now.
    fn resident_bytes(&self) -> io::Result<u64>;
}
