//! A time by the clock of the node whose task runs; see `pace`.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use tokio::time::Instant;

use super::with_pace;

/// Two of them compare only if they are of one node, as openraft's always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PacedInstant(Instant);

impl PacedInstant {
    /// The same time by every other clock.
    pub(crate) fn real(self) -> Instant {
        with_pace(|pace| pace.real(self.0)).unwrap_or(self.0)
    }
}

impl openraft::Instant for PacedInstant {
    fn now() -> Self {
        Self(with_pace(crate::options::Pace::now).unwrap_or_else(Instant::now))
    }
}

impl Add<Duration> for PacedInstant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl AddAssign<Duration> for PacedInstant {
    fn add_assign(&mut self, time: Duration) {
        self.0 += time;
    }
}

impl Sub<Duration> for PacedInstant {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0 - time)
    }
}

impl SubAssign<Duration> for PacedInstant {
    fn sub_assign(&mut self, time: Duration) {
        self.0 -= time;
    }
}

impl Sub for PacedInstant {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        self.0.saturating_duration_since(other.0)
    }
}
