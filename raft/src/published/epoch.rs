//! Which epoch of its cluster this node belongs to.
//!
//! Promise: it rises only when the cluster is recovered from this node, once that is durable. Nodes of different epochs
//! are of different clusters, whatever their disks say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct Epoch(Arc<AtomicU64>);

impl Epoch {
    pub fn new(epoch: u64) -> Self {
        Self(Arc::new(AtomicU64::new(epoch)))
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::SeqCst);
    }
}
