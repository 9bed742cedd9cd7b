//! The numbers of this process's submits, from which request keys are made.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vineyard_wire::InstanceId;

use crate::command::RequestKey;

/// Numbers the submits of this process, and knows which have been answered.
#[derive(Default)]
pub(crate) struct Sequences(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    next: u64,
    open: BTreeSet<u64>,
}

impl Sequences {
    pub(crate) fn begin(&self, instance: InstanceId) -> Numbered<'_> {
        let mut numbers = self.lock();
        numbers.next += 1;
        let sequence = numbers.next;
        numbers.open.insert(sequence);
        let answered_below = numbers.open.first().copied().unwrap_or(sequence);
        Numbered {
            sequences: self,
            key: RequestKey {
                instance,
                sequence,
                answered_below,
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A submit that is being made; dropping it counts it as answered.
pub(crate) struct Numbered<'a> {
    sequences: &'a Sequences,
    key: RequestKey,
}

impl Numbered<'_> {
    pub(crate) fn key(&self) -> RequestKey {
        self.key
    }
}

impl Drop for Numbered<'_> {
    fn drop(&mut self) {
        self.sequences.lock().open.remove(&self.key.sequence);
    }
}
