//! The last rotation of the cluster's token.
//!
//! Promise: of two tokens that are valid at the same time, each leads to the other. So at most two are, and a node that
//! knows one of them knows both. The state itself has no secret.

use super::{Event, State};
use crate::command::{Applied, Hidden, Outcome, Refusal};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotation {
    pub hidden: Hidden,
    /// The old secret is valid until then, milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
}

impl State {
    /// The last rotation of the token, if there was one.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    pub(super) fn rotate_token(
        &mut self,
        rotation: Rotation,
        after_unix_ms: u64,
        now_unix_ms: u64,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let until_unix_ms = self.rotation.map_or(0, |last| last.until_unix_ms);
        if now_unix_ms < until_unix_ms || after_unix_ms != until_unix_ms {
            return Err(Refusal::Rotating { until_unix_ms });
        }
        self.rotation = Some(rotation);
        events.push(Event::TokenRotated);
        Ok(Applied::Done)
    }
}
