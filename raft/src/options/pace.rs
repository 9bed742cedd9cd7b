//! How fast the group's time passes: the slower the network, the slower.
//!
//! Promise: every election time, heartbeat and patience of the group is in proportion to the round trip that the
//! cluster is set to, also when the setting changes while the group runs. openraft takes its times once, when it
//! starts. So its numbers stay what they are, and its clock goes slower: at twice the usual round trip, twice as slow.
//! What this crate waits for itself is stretched by the same factor. Nothing that must be right depends on any clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::state::{ROUND_TRIP_MS, ROUND_TRIP_MS_MAX};

/// The clock of one node's part of the group.
#[derive(Debug)]
pub struct Pace {
    running: Mutex<Running>,
    changed: Notify,
}

/// Since when the clock has gone at this pace.
#[derive(Clone, Copy, Debug)]
struct Running {
    /// By every other clock.
    real: Instant,
    /// By this one.
    slow: Instant,
    round_trip_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(ROUND_TRIP_MS)
    }
}

impl Pace {
    /// Until the cluster's state is known.
    pub fn new(round_trip_ms: u64) -> Self {
        let now = Instant::now();
        let running = Running {
            real: now,
            slow: now,
            round_trip_ms: clamped(round_trip_ms),
        };
        Self {
            running: Mutex::new(running),
            changed: Notify::new(),
        }
    }

    /// Goes on from here at the pace for this round trip.
    pub(crate) fn set(&self, round_trip_ms: u64) {
        let round_trip_ms = clamped(round_trip_ms);
        let mut running = self.lock();
        if running.round_trip_ms != round_trip_ms {
            let real = Instant::now();
            let slow = running.slow_at(real);
            *running = Running {
                real,
                slow,
                round_trip_ms,
            };
            self.changed.notify_one();
        }
    }

    /// Returns when the pace has changed; a change that nobody waited for counts. For one task.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The time by this clock.
    pub(crate) fn now(&self) -> Instant {
        self.lock().slow_at(Instant::now())
    }

    /// When this clock shows `slow`, or has shown it, at the present pace.
    pub(crate) fn real(&self, slow: Instant) -> Instant {
        let running = *self.lock();
        match slow.checked_duration_since(running.slow) {
            Some(after) => running.real + running.stretch(after),
            None => {
                let before = running.stretch(running.slow.duration_since(slow));
                running.real.checked_sub(before).unwrap_or(slow)
            }
        }
    }

    /// How long this clock takes for `time`.
    pub fn stretch(&self, time: Duration) -> Duration {
        self.lock().stretch(time)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn slow_at(&self, real: Instant) -> Instant {
        let passed = real.saturating_duration_since(self.real).as_nanos();
        let nanos = passed * u128::from(ROUND_TRIP_MS) / u128::from(self.round_trip_ms);
        self.slow + nanoseconds(nanos)
    }

    /// Rounded up: who waits for a time by this clock never wakes before it.
    fn stretch(&self, time: Duration) -> Duration {
        let nanos = time
            .as_nanos()
            .saturating_mul(u128::from(self.round_trip_ms));
        match time == Duration::MAX {
            true => time,
            false => nanoseconds(nanos.div_ceil(u128::from(ROUND_TRIP_MS))),
        }
    }
}

fn clamped(round_trip_ms: u64) -> u64 {
    round_trip_ms.clamp(ROUND_TRIP_MS, ROUND_TRIP_MS_MAX)
}

fn nanoseconds(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_longer_round_trip_slows_the_clock_from_then_on() {
        let pace = Pace::default();
        let begun = pace.now();
        tokio::time::advance(SECOND).await;
        assert_eq!(
            pace.now(),
            begun + SECOND,
            "by default it goes as any other"
        );
        assert_eq!(pace.stretch(SECOND), SECOND);
        pace.set(6 * ROUND_TRIP_MS);
        assert_eq!(pace.now(), begun + SECOND, "it never jumps");
        assert_eq!(pace.stretch(SECOND), 6 * SECOND);
        tokio::time::advance(6 * SECOND).await;
        assert_eq!(pace.now(), begun + 2 * SECOND);
        assert_eq!(pace.real(begun + 3 * SECOND), Instant::now() + 6 * SECOND);
        pace.set(ROUND_TRIP_MS);
        tokio::time::advance(SECOND).await;
        assert_eq!(pace.now(), begun + 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_finds_the_clock_where_it_slept_to() {
        let pace = Pace::default();
        pace.set(333);
        let at = pace.now() + Duration::from_micros(12_345);
        tokio::time::sleep_until(pace.real(at)).await;
        assert!(pace.now() >= at);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_set_changes_nothing_it_should_not() {
        let pace = Pace::default();
        pace.set(0);
        assert_eq!(pace.stretch(SECOND), SECOND);
        pace.set(u64::MAX);
        let most = SECOND * ROUND_TRIP_MS_MAX as u32 / ROUND_TRIP_MS as u32;
        assert!(pace.stretch(SECOND) - most < Duration::from_millis(1));
        assert_eq!(pace.stretch(Duration::MAX), Duration::MAX);
    }
}
