//! What the writer waits out, because it passes: a lack of descriptors, and a lack of room.
//!
//! A write of ours that had no room is done again, all of it, in the same place. sled does not get over one, so there
//! is room for what it may write before it is given anything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use vineyard_env::DiskRoom;

use super::descriptors;
use crate::disk::SLED_BYTES;

/// Between two looks whether there is enough again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tells how much room there is. Tests fill the disk.
pub(crate) type Measure = Arc<dyn Fn() -> io::Result<Option<DiskRoom>> + Send + Sync>;

/// The room on the file system of `path`; `None` if that does not say how large it is.
pub(super) fn measure(path: &Path) -> io::Result<Option<DiskRoom>> {
    let found = statvfs(path)?;
    let bytes = |blocks| found.fragment_size().saturating_mul(blocks);
    let room = DiskRoom {
        free_bytes: bytes(found.blocks_available()),
        total_bytes: bytes(found.blocks()),
    };
    Ok(said(room))
}

/// Some file systems have no size, as ramfs, and say 0.
fn said(room: DiskRoom) -> Option<DiskRoom> {
    (room.total_bytes > 0).then_some(room)
}

/// Says that there is no room for `bytes` more and what sled may write. If nobody knows, the write itself will say.
pub(crate) fn check(measure: &Measure, bytes: u64) -> io::Result<()> {
    match measure() {
        Ok(Some(room)) if room.free_bytes < bytes.saturating_add(SLED_BYTES) => {
            Err(io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    }
}

/// What may come back, and is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Descriptors,
    /// Only work that writes all of it again may: after a sync that had no room, nobody knows what was lost.
    DescriptorsAndRoom,
}

impl For {
    /// What is lacking, if it is waited for.
    fn lacking(self, error: &io::Error) -> Option<&'static str> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (self == Self::DescriptorsAndRoom).then_some("room")
            }
            _ => descriptors::are_lacking(error).then_some("a descriptor"),
        }
    }
}

/// Whether it is a lack that is waited out when all is written again.
pub(super) fn passes(error: &io::Error) -> bool {
    For::DescriptorsAndRoom.lacking(error).is_some()
}

/// Does `work` again for as long as it lacks what is waited for, unless the disk is being closed.
pub(super) fn patiently<T>(
    waits: For,
    closing: &AtomicBool,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut waited_for = None;
    loop {
        let done = work();
        let lacks = done.as_ref().err().and_then(|error| waits.lacking(error));
        match (lacks, &done) {
            (Some(lacks), Err(error)) if !closing.load(Ordering::SeqCst) => {
                if waited_for.replace(lacks) != Some(lacks) {
                    tracing::warn!(%error, "the disk waits for {lacks}");
                }
                std::thread::sleep(LOOK_EVERY);
            }
            _ => {
                if let (Some(lacked), Ok(_)) = (waited_for, &done) {
                    tracing::info!("the disk has {lacked} again");
                }
                return done;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_a_size_bounds_nothing() {
        let room = |total_bytes| DiskRoom {
            free_bytes: 0,
            total_bytes,
        };
        assert_eq!(said(room(0)), None);
        assert_eq!(said(room(1)), Some(room(1)));
        let unbounded: Measure = Arc::new(|| Ok(None));
        check(&unbounded, u64::MAX).unwrap();
    }
}
