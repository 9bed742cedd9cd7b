//! Wall clocks that agree only roughly, as real ones do. It never learns what the stamps are used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;
use vineyard_env::Clock;

/// 2026-01-01, the day every simulation begins, in milliseconds since the Unix epoch.
const EPOCH_UNIX_MS: i64 = 1_767_225_600_000;

/// Simulated time plus a skew that is the machine's own and may jump. Clones are the same clock.
#[derive(Clone)]
pub struct SimClock {
    start: Instant,
    skew_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock that shows the simulation's first day at `start`, give or take `skew_ms`.
    pub fn new(start: Instant, skew_ms: i64) -> Self {
        Self {
            start,
            skew_ms: Arc::new(AtomicI64::new(skew_ms)),
        }
    }

    /// Sets the clock forward or back.
    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn unix_ms(&self) -> u64 {
        let elapsed = Instant::now().duration_since(self.start).as_millis() as i64;
        (EPOCH_UNIX_MS + self.skew_ms.load(Ordering::Relaxed) + elapsed) as u64
    }
}
