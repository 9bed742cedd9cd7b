//! What an operator sets for the whole cluster.
//!
//! Promise: every replica has the same settings after the same entry. What nobody has set is what this build takes.

use serde::{Deserialize, Serialize};

use super::{Event, State};
use crate::command::{Applied, Outcome};

/// The round trip that all times of the group are chosen for, where nothing else is set; the least that can be set.
pub const ROUND_TRIP_MS: u64 = 30;
/// The greatest that can be set: a dead leader is then replaced within half a minute or so.
pub const ROUND_TRIP_MS_MAX: u64 = 1000;
/// Metadata that the cluster keeps where nothing else is set, bytes; see `Refusal::MetadataFull`.
pub const METADATA_QUOTA_BYTES: u64 = 1 << 30;

/// In a command: what to set. In the state: what was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// The longest round trip between two nodes that is usual, milliseconds. All times of the group are in proportion.
    pub round_trip_ms: Option<u64>,
    /// Bytes of metadata that are kept at most.
    pub metadata_quota_bytes: Option<u64>,
}

impl Settings {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is set in `self`, and the rest of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            round_trip_ms: self.round_trip_ms.or(other.round_trip_ms),
            metadata_quota_bytes: self.metadata_quota_bytes.or(other.metadata_quota_bytes),
        }
    }
}

impl State {
    /// What was set; `None` is the default.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The round trip that the group's times are for, milliseconds.
    pub fn round_trip_ms(&self) -> u64 {
        self.settings.round_trip_ms.unwrap_or(ROUND_TRIP_MS)
    }

    /// Bytes of metadata that are kept at most.
    pub fn metadata_quota_bytes(&self) -> u64 {
        let set = self.settings.metadata_quota_bytes;
        set.unwrap_or(METADATA_QUOTA_BYTES)
    }

    pub(super) fn configure(
        &mut self,
        settings: Settings,
        if_unset: bool,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let settings = match if_unset {
            true => self.settings.or(settings),
            false => settings.or(self.settings),
        };
        if settings != self.settings {
            self.settings = settings;
            events.push(Event::SettingsChanged);
        }
        Ok(Applied::Done)
    }
}
