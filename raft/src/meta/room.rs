//! Room for commands, counted in bytes: whoever has none waits outside, in order.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module; clones are the same room.
#[derive(Clone)]
pub(crate) struct Room {
    turns: Arc<Semaphore>,
    all: u32,
}

/// What a turn is counted in.
const UNIT_BYTES: usize = 1024;

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX);
        Self {
            turns: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Returns when there is room. One that is larger than all of it waits until it is alone.
    pub(crate) async fn turn(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = 1 + bytes / UNIT_BYTES;
        let units = u32::try_from(units).map_or(self.all, |units| units.min(self.all));
        let turn = self.turns.clone().acquire_many_owned(units).await;
        turn.expect("the semaphore is never closed")
    }
}
