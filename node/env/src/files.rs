//! Whole files beside the disk's queue, each under a number.
//!
//! Promise: a file appears whole or not at all, and `done` is called with `Ok` only after it would survive a power
//! loss. A file that cannot be written changes nothing else: neither the queue nor other files.

use std::io;
use std::sync::Arc;

use crate::disk::Done;

pub trait Files: Send + Sync {
    /// The numbers of those that are there, lowest first.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// The bytes of a file; `NotFound` if it is not there.
    fn read(&self, number: u64) -> io::Result<Vec<u8>>;

    /// Begins to write a file, in place of one of the same number; returns at once. Files are written and removed in
    /// the order in which that was asked for.
    fn write(&self, number: u64, bytes: Arc<Vec<u8>>, done: Done);

    /// Removes a file, if it is there; returns at once. After a crash it may be there again.
    fn remove(&self, number: u64);

    /// What an operator finds a file under.
    fn name(&self, number: u64) -> String;
}

/// There are none, and none can be written.
pub struct NoFiles;

impl Files for NoFiles {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(Vec::new())
    }

    fn read(&self, _: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&self, _: u64, _: Arc<Vec<u8>>, done: Done) {
        done(Err(io::ErrorKind::Unsupported.into()));
    }

    fn remove(&self, _: u64) {}

    fn name(&self, number: u64) -> String {
        number.to_string()
    }
}
