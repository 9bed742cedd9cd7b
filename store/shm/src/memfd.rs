//! Regions of the machine: a sealed memfd, mapped and passed by descriptor.
//!
//! Promise: the file never shrinks or grows once it is shared, so a mapping of it cannot fault; a read-only share is a
//! separate open file that cannot be mapped for writing.

#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reopens its own descriptor"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::ftruncate;
use vineyard_env::{Access, Memory, MemoryHandle, Region};

use crate::{check_length, check_shared, denied, whole_pages};

/// Makes regions out of memfds. `/proc/*/maps` shows them as `/memfd:vineyard-bulk-NAME (deleted)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemfdMemory;

impl Memory for MemfdMemory {
    fn create(&self, name: &str, len: usize) -> io::Result<Arc<dyn Region>> {
        check_length(len)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(format!("vineyard-bulk-{name}").as_str(), flags)?;
        // A memfd is born with mode 0777, which would let any holder of a read-only descriptor reopen it for writing.
        fchmod(&fd, Mode::S_IRUSR)?;
        let size = i64::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        ftruncate(&fd, size)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Arc::new(MemfdRegion::map(
            Arc::new(fd),
            len,
            Access::ReadWrite,
        )?))
    }

    fn open(
        &self,
        handle: &MemoryHandle,
        len: usize,
        access: Access,
    ) -> io::Result<Arc<dyn Region>> {
        let MemoryHandle::Fd(fd) = handle else {
            let text = "only a file descriptor can be mapped";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        };
        check_shared(len, usize::try_from(fstat(fd)?.st_size).unwrap_or(0))?;
        Ok(Arc::new(MemfdRegion::map(fd.clone(), len, access)?))
    }
}

struct MemfdRegion {
    map: MmapRaw,
    access: Access,
    /// The descriptor this region was mapped from; `access` may be less than it allows, never more.
    fd: Arc<OwnedFd>,
    /// The read-only reopen, made when first shared. One descriptor number per access for the life of the region:
    /// clients key their mappings by it.
    read_only: OnceLock<Arc<OwnedFd>>,
}

impl MemfdRegion {
    fn map(fd: Arc<OwnedFd>, len: usize, access: Access) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = match access {
            Access::ReadOnly => options.map_raw_read_only(fd.as_raw_fd()),
            Access::ReadWrite => options.map_raw(fd.as_raw_fd()),
        };
        let map = map.map_err(|error| unmapped(len, error))?;
        Ok(Self {
            map,
            access,
            fd,
            read_only: OnceLock::new(),
        })
    }

    fn reopen(&self) -> io::Result<Arc<OwnedFd>> {
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let file: File = OpenOptions::new().read(true).open(path)?;
        Ok(Arc::new(file.into()))
    }
}

/// The error for a mapping of `len` bytes that could not be made. Where the address space was too small, it says so,
/// and how large the process may be.
fn unmapped(len: usize, error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(Errno::ENOMEM as i32) {
        return error;
    }
    let limit = getrlimit(Resource::RLIMIT_AS).map_or(RLIM_INFINITY, |(soft, _)| soft);
    let limited = match limit {
        RLIM_INFINITY => {
            "(ulimit -v is unlimited; see vm.max_map_count and vm.overcommit_memory)".to_owned()
        }
        bytes => format!("(ulimit -v {})", bytes / 1024),
    };
    let text = format!(
        "the arena of {len} bytes does not fit into the address space of this process {limited}; it is mapped once to \
         read and once to write"
    );
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

impl Region for MemfdRegion {
    fn address(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_mut_ptr()).expect("a mapping is never at address 0")
    }

    fn len_bytes(&self) -> usize {
        self.map.len()
    }

    fn access(&self) -> Access {
        self.access
    }

    fn share(&self, access: Access) -> io::Result<MemoryHandle> {
        let fd = match (self.access, access) {
            (Access::ReadOnly, Access::ReadWrite) => return Err(denied("sharing for writing")),
            (_, Access::ReadWrite) => self.fd.clone(),
            (_, Access::ReadOnly) => match self.read_only.get() {
                Some(fd) => fd.clone(),
                None => {
                    let fd = self.reopen()?;
                    self.read_only.get_or_init(|| fd).clone()
                }
            },
        };
        Ok(MemoryHandle::Fd(fd))
    }

    fn discard(&self, offset: usize, len: usize) -> io::Result<()> {
        if self.access == Access::ReadOnly {
            return Err(denied("discarding"));
        }
        let Some((first, bytes)) = whole_pages(offset, len, self.map.len())? else {
            return Ok(());
        };
        let position = |bytes: usize| i64::try_from(bytes).expect("a mapping is below 2^63 bytes");
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(&self.fd, mode, position(first), position(bytes))?)
    }

    fn resident_bytes(&self) -> io::Result<u64> {
        let blocks = u64::try_from(fstat(&self.fd)?.st_blocks).unwrap_or(0);
        Ok(blocks * 512)
    }
}
