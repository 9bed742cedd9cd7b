//! The makers of `vineyard_env::Disk`: sled for the machine, memory for tests.

#[cfg(test)]
pub(crate) mod conformance;
mod folder;
mod memory;
pub(crate) mod sled;

pub use memory::MemoryDisk;
pub use sled::SledDisk;
