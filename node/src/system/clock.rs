//! The machine's wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct SystemClock;

impl vineyard_env::Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.as_millis() as u64
    }
}
