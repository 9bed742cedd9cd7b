//! What is kept back on the file system of the disk, so that raft's own records always fit.

use std::fmt;

use serde::{Deserialize, Serialize};
use vineyard_env::DiskRoom;

use crate::disk::{SEGMENT_BYTES, SLED_BYTES};

/// Kept back at most, but for a large snapshot, bytes.
const KEPT_MAX: u64 = 64 << 20;
/// The part of a small file system that is kept back.
const KEPT_DIVISOR: u64 = 4;

/// Too little room: commands that make the state larger are refused until there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub free_bytes: u64,
    pub kept_bytes: u64,
}

impl Shortage {
    /// Whether there is less room than is kept back. Another snapshot always has to fit while the last one, of
    /// `snapshot_bytes`, is there, and beside it a segment of the log and what sled writes.
    pub(crate) fn of(room: DiskRoom, snapshot_bytes: u64) -> Option<Self> {
        let share = room.total_bytes / KEPT_DIVISOR;
        let needed = snapshot_bytes.saturating_add(SEGMENT_BYTES + SLED_BYTES);
        let kept_bytes = KEPT_MAX.min(share).max(needed);
        let free_bytes = room.free_bytes;
        (free_bytes < kept_bytes).then_some(Self {
            free_bytes,
            kept_bytes,
        })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB free, {} MiB kept back on the file system of the data directory; free some, nothing else is needed",
            self.free_bytes >> 20,
            self.kept_bytes.div_ceil(1 << 20),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortage(free_mib: u64, total_mib: u64, snapshot_mib: u64) -> Option<u64> {
        let room = DiskRoom {
            free_bytes: free_mib << 20,
            total_bytes: total_mib << 20,
        };
        Shortage::of(room, snapshot_mib << 20).map(|shortage| shortage.kept_bytes >> 20)
    }

    #[test]
    fn a_quarter_is_kept_at_most_64_mib_and_room_for_a_snapshot_at_least() {
        for (free, total, snapshot, expected) in [
            (64, 1000, 0, None),
            (63, 1000, 0, Some(64)),
            (8, 32, 0, None),
            (7, 32, 0, Some(8)),
            (6, 16, 0, None),
            (5, 16, 0, Some(6)),
            (105, 1000, 100, Some(106)),
            (106, 1000, 100, None),
        ] {
            assert_eq!(shortage(free, total, snapshot), expected, "{free} {total}");
        }
    }

    #[test]
    fn it_is_said_with_figures_and_what_to_do() {
        let shortage = Shortage {
            free_bytes: 12 << 20,
            kept_bytes: 64 << 20,
        };
        assert_eq!(
            shortage.to_string(),
            "12 MiB free, 64 MiB kept back on the file system of the data directory; free some, nothing else is needed"
        );
    }
}
