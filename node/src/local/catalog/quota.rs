//! How much metadata of transient objects a node keeps.
//!
//! Promise: what is counted is exactly what is there. What would take more than the quota is refused, and changes
//! nothing; what frees some, or makes an object persistent, never is.

use vineyard_raft::state::cost;
use vineyard_raft::state::objects::Record;
use vineyard_wire::{Code, Status};

/// Bytes, as `vineyard_raft::state::cost` counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

impl Quota {
    pub(super) fn new(limit: u64) -> Self {
        Self { used: 0, limit }
    }

    /// Refuses `wanted` bytes more if they do not fit.
    pub(super) fn check(self, wanted: u64) -> Result<(), Status> {
        let Self { used, limit } = self;
        if wanted == 0 || used.saturating_add(wanted) <= limit {
            return Ok(());
        }
        Err(Status::new(
            Code::NotEnoughMemory,
            format!(
                "the metadata of this node's transient objects is full: {used} of {limit} bytes are used, and this takes \
                 {wanted} more; delete what is not needed, persist it, or start the node with a larger --transient-quota"
            ),
        ))
    }

    pub(super) fn take(&mut self, record: &Record) {
        self.used += cost::of_record(record);
    }

    pub(super) fn give(&mut self, record: &Record) {
        self.used -= cost::of_record(record);
    }
}
