//! At most once: what recent requests were answered, so that a retry gets the first outcome.
//!
//! Promise: within a window a request key has one outcome for ever. What falls out of the window is refused, never
//! applied a second time.

use std::sync::Arc;

use imbl::OrdMap;
use vineyard_wire::InstanceId;

use crate::command::{Outcome, Refusal, RequestKey};

/// Outcomes kept per instance even if it never says what was answered. Far above what one node has in flight.
const OUTCOMES_MAX: usize = 1 << 16;

/// What one instance has asked.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Window {
    /// Sequences below are forgotten.
    pub(crate) from: u64,
    pub(crate) outcomes: OrdMap<u64, Arc<Outcome>>,
}

impl Window {
    fn forget_below(&mut self, from: u64) {
        while let Some(&(sequence, _)) = self.outcomes.get_min().filter(|(s, _)| *s < from) {
            self.outcomes.remove(&sequence);
        }
        self.from = self.from.max(from);
    }
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Dedup {
    /// By reference: a change of one copies no other.
    pub(crate) windows: OrdMap<InstanceId, Arc<Window>>,
}

impl Dedup {
    /// The answer already given to `key`, or the refusal to answer it at all; `None` if the request is new.
    pub(super) fn answered(&self, key: RequestKey) -> Option<Outcome> {
        let window = self.windows.get(&key.instance);
        if let Some(outcome) = window.and_then(|window| window.outcomes.get(&key.sequence)) {
            return Some(outcome.as_ref().clone());
        }
        let from = window
            .map_or(0, |window| window.from)
            .max(key.answered_below);
        (key.sequence < from).then_some(Err(Refusal::Forgotten))
    }

    pub(crate) fn record(&mut self, key: RequestKey, outcome: &Outcome) {
        let window = Arc::make_mut(self.windows.entry(key.instance).or_default());
        window.forget_below(key.answered_below);
        window
            .outcomes
            .insert(key.sequence, Arc::new(outcome.clone()));
        while window.outcomes.len() > OUTCOMES_MAX {
            let oldest = window
                .outcomes
                .get_min()
                .map_or(0, |&(sequence, _)| sequence);
            window.forget_below(oldest + 1);
        }
    }

    /// Forgets an instance that has been replaced: its requests are refused from now on.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.windows.remove(&instance);
    }

    /// Outcomes kept, over all instances.
    pub(super) fn len(&self) -> usize {
        self.windows
            .values()
            .map(|window| window.outcomes.len())
            .sum()
    }
}
