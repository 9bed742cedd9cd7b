//! A semaphore whose permits are bytes of commands, given in the order of asking.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module; clones share the permits.
#[derive(Clone)]
pub(crate) struct ByteSemaphore {
    units: Arc<Semaphore>,
    all: u32,
}

/// What a permit is counted in.
const UNIT_BYTES: usize = 1024;

impl ByteSemaphore {
    pub(crate) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX);
        Self {
            units: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Returns when so many bytes are free. A command that is larger than all of them waits until they all are.
    pub(crate) async fn acquire(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = 1 + bytes / UNIT_BYTES;
        let units = u32::try_from(units).map_or(self.all, |units| units.min(self.all));
        let permit = self.units.clone().acquire_many_owned(units).await;
        permit.expect("the semaphore is never closed")
    }
}
