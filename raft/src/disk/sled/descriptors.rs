//! The disk's own descriptors: what a lack of them looks like, and the few that are kept for sled.
//!
//! sled opens a file for each large page, in the middle of a write, and does not get over it when it cannot: the buffer
//! that it was writing stays claimed, and every later write and flush waits for it. So the disk holds some descriptors
//! while it is idle and closes them just before sled works. A lack of descriptors passes; it is no dead disk.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::patience::{For, patiently};

/// More than sled and our own syncs open at the same time, so that a thread that takes one meanwhile does no harm.
const SPARES: usize = 4;

/// Whether the process (EMFILE) or the machine (ENFILE) had no descriptor left.
pub(super) fn are_lacking(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Takes one descriptor. Tests make it fail.
pub(super) type Take = Box<dyn FnMut() -> io::Result<File> + Send>;

/// An open file of its own, not a copy of a descriptor: the machine counts those.
pub(super) fn take() -> io::Result<File> {
    File::open("/dev/null")
}

/// Descriptors in reserve, and the patience of a thread that lacks them.
pub(super) struct Spares {
    take: Take,
    held: Vec<File>,
    /// The disk is being closed: nobody waits for it much longer.
    closing: Arc<AtomicBool>,
}

impl Spares {
    pub(super) fn new(take: Take, closing: Arc<AtomicBool>) -> Self {
        Self {
            take,
            held: Vec::new(),
            closing,
        }
    }

    /// Returns when the reserve is complete.
    ///
    /// # Errors
    /// The lack of descriptors, once the disk is being closed; anything else that the machine says.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        let closing = self.closing.clone();
        patiently(For::Descriptors, &closing, || self.try_fill())
    }

    /// Takes what it can get now. The next `fill` says what was missing.
    pub(super) fn top_up(&mut self) {
        self.try_fill().ok();
    }

    fn try_fill(&mut self) -> io::Result<()> {
        while self.held.len() < SPARES {
            self.held.push((self.take)()?);
        }
        Ok(())
    }

    /// Closes the reserve for the time of `work`.
    pub(super) fn lend(&mut self) {
        self.held.clear();
    }

    /// Does `work` again for as long as it lacks what it `waits` for. It must be ours, and such that it may be done
    /// again.
    pub(super) fn wait_out<T>(
        &self,
        waits: For,
        work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        patiently(waits, &self.closing, work)
    }
}
