//! The numbers of this process's submits, from which request keys are made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_wire::{InstanceId, Trace};

use crate::command::RequestKey;
use crate::published::Published;

/// Numbers the requests of this process, and knows which have been answered.
#[derive(Default)]
pub(crate) struct Sequences(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    next: u64,
    open: BTreeSet<u64>,
}

impl Sequences {
    fn begin(&self, instance: InstanceId) -> RequestKey {
        let mut numbers = self.lock();
        numbers.next += 1;
        let sequence = numbers.next;
        numbers.open.insert(sequence);
        let answered_below = numbers.open.first().copied().unwrap_or(sequence);
        RequestKey {
            instance,
            sequence,
            answered_below,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request to the cluster, however often it is submitted: it takes effect at most once, and every later answer is
/// the first. Dropping it says that nobody will ask again; until then the cluster remembers what it answered.
pub struct Request {
    shared: Arc<Published>,
    key: RequestKey,
    trace: Option<Trace>,
}

impl Request {
    pub(crate) fn begin(shared: &Arc<Published>, instance: InstanceId) -> Self {
        Self {
            key: shared.sequences.begin(instance),
            shared: Arc::clone(shared),
            trace: None,
        }
    }

    /// The log lines about it, here and at the leader, have this trace.
    pub fn traced(self, trace: Option<Trace>) -> Self {
        let mut traced = self;
        traced.trace = trace;
        traced
    }

    pub(crate) fn trace(&self) -> Option<Trace> {
        self.trace
    }

    pub(crate) fn key(&self) -> RequestKey {
        self.key
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut numbers = self.shared.sequences.lock();
        numbers.open.remove(&self.key.sequence);
    }
}
