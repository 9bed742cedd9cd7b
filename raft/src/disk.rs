//! The makers of `vineyard_env::Disk`: sled for the machine, memory for tests.

#[cfg(test)]
pub(crate) mod conformance;
mod folder;
mod memory;
pub(crate) mod sled;

pub use memory::MemoryDisk;
pub use sled::SledDisk;

/// The size of a segment of the log, if no group is larger.
pub(crate) const SEGMENT_BYTES: u64 = 4 << 20;
/// More than sled writes of a group, or to flush.
pub(crate) const SLED_BYTES: u64 = 2 << 20;
