//! Shared memory: regions that two processes see at once, and slices of them that Rust can borrow.
//!
//! Promise: whatever safe code does with these types, it cannot touch unmapped memory, write through a read-only
//! mapping, or hold a writable slice that overlaps another slice of the same [`Arena`]. This is the only crate of the
//! store, the node and the client that uses `unsafe`.
//! It must never know what lies in the bytes: no blobs, no ids, no protocol.
//!
//! Two makers of regions pass one conformance suite: [`MemfdMemory`] for the machine, [`HeapMemory`] for the simulator.

// Mapped memory can only be reached through raw pointers; every use argues its case in a SAFETY comment.
#![allow(unsafe_code)]
#![warn(missing_docs)]

mod arena;
mod borrows;
mod heap;
mod memfd;
mod slice;

pub use arena::{Arena, SliceError};
pub use heap::HeapMemory;
pub use memfd::MemfdMemory;
pub use slice::{Slice, SliceMut};

use std::io;

/// Regions are multiples of this, and memory is given back in units of it.
pub const PAGE_BYTES: usize = 4096;

/// Refuses lengths that cannot be mapped: zero, or not whole pages.
fn check_length(len: usize) -> io::Result<()> {
    if len == 0 || !len.is_multiple_of(PAGE_BYTES) {
        let text =
            format!("a region of {len} bytes is not a positive number of {PAGE_BYTES}-byte pages");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// Refuses to map more than was shared.
fn check_shared(wanted: usize, shared: usize) -> io::Result<()> {
    if wanted == 0 || wanted > shared {
        let text = format!("cannot map {wanted} bytes of a region of {shared}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// The whole pages inside `offset..offset + len`, as offset and length; `None` if there are none.
fn whole_pages(offset: usize, len: usize, region: usize) -> io::Result<Option<(usize, usize)>> {
    let end = offset
        .checked_add(len)
        .filter(|end| *end <= region)
        .ok_or_else(|| {
            let text = format!("{offset} + {len} lies outside a region of {region} bytes");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
    let first = offset.next_multiple_of(PAGE_BYTES);
    let last = end - end % PAGE_BYTES;
    Ok((first < last).then(|| (first, last - first)))
}

fn denied(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{what} through a read-only handle"),
    )
}
