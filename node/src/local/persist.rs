//! The begin and the end of a persist. What it carries does not change in between, because the cluster may apply it at
//! any time, also after the caller's deadline.

use std::collections::BTreeSet;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{BlobRow, Lost, Record};
use vineyard_wire::{ObjectId, Status};

use super::catalog::PersistPlan;
use super::pending::Asked;
use super::{Attempt, Local, no_such_blob, not_sealed};
use crate::failure;

/// The content of the log entry of a persist.
#[derive(Debug, Default)]
pub(crate) struct Proposal {
    pub(crate) records: Vec<Record>,
    pub(crate) blobs: Vec<BlobRow>,
}

/// A persist that has begun. Its owner must end it with `Local::end_persist`.
#[derive(Debug, Default)]
pub(crate) struct Persisting {
    pub(crate) proposal: Proposal,
    pub(crate) carried: Carried,
}

/// The objects and blobs for which a persist is pending in the ledger.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    records: Vec<ObjectId>,
    blobs: Vec<ObjectId>,
}

impl Persisting {
    /// Whether all of it is persistent already.
    pub(crate) fn is_empty(&self) -> bool {
        self.proposal.records.is_empty()
    }
}

impl Local {
    /// Begins to persist everything transient at and below `ids`.
    pub(crate) fn begin_persist(
        &mut self,
        state: &State,
        ids: &[ObjectId],
    ) -> Attempt<Result<Persisting, Status>> {
        let plan = match self.catalog.persist_plan(state, ids) {
            Ok(plan) => plan,
            Err(status) => return Ok(Err(status)),
        };
        let records: Vec<_> = plan.records.iter().map(|record| record.id).collect();
        let asked = records.iter().chain(plan.blobs.keys());
        if let Err(status) = self.check(Asked::Persist, asked)? {
            return Ok(Err(status));
        }
        let rows = match self.blob_rows(state, &plan) {
            Ok(rows) => rows,
            Err(status) => return Ok(Err(status)),
        };
        let blobs: Vec<_> = plan.blobs.keys().copied().collect();
        self.pending.begin_persist(records.iter().chain(&blobs));
        Ok(Ok(Persisting {
            proposal: Proposal {
                records: plan.records,
                blobs: rows,
            },
            carried: Carried { records, blobs },
        }))
    }

    /// Ends a persist: the cluster has `applied` it, or never will.
    pub(crate) fn end_persist(&mut self, state: &State, carried: &Carried, applied: bool) {
        let Carried { records, blobs } = carried;
        for id in records {
            if applied || state.contains(*id) {
                self.catalog.remove(*id);
            }
        }
        self.pending.end_persist(records.iter().chain(blobs));
        self.end_blobs(state, blobs);
        self.waiters.wake(records.iter().chain(blobs));
    }

    /// Notes which of `blobs` are persistent, and frees those that nothing refers to any more.
    pub(super) fn end_blobs(&mut self, state: &State, blobs: &[ObjectId]) {
        let ours = blobs.iter().copied().filter(|id| self.store.exists(*id));
        let (kept, released): (BTreeSet<_>, BTreeSet<_>) =
            ours.partition(|id| state.blob(*id).is_some());
        self.pending.note_persisted(&kept);
        self.free_released(state, released);
    }

    /// The rows of the plan's blobs. A blob of this node must be here and sealed.
    fn blob_rows(&self, state: &State, plan: &PersistPlan) -> Result<Vec<BlobRow>, Status> {
        let me = self.catalog.me();
        let mut rows = Vec::with_capacity(plan.blobs.len());
        for (id, holders) in &plan.blobs {
            if !holders.contains(&me) {
                // A blob of another instance, which has made the row when it persisted its own part.
                let row = state.blob(*id).cloned();
                rows.push(row.ok_or_else(|| {
                    Status::not_exists(format!("the cluster does not know the blob {id}"))
                })?);
                continue;
            }
            let blob = self.store.info(*id).ok_or_else(|| no_such_blob(*id))?;
            // The cluster applied a delete that names the blob after that delete's deadline had passed here.
            if let Some(instance) = state.blob(*id).and_then(|row| row.lost.instance()) {
                return Err(failure::lost(state, *id, instance));
            }
            if !blob.sealed {
                return Err(not_sealed(*id));
            }
            rows.push(BlobRow {
                id: *id,
                size: blob.size,
                checksum: None,
                locations: BTreeSet::from([me]),
                lost: Lost::No,
            });
        }
        Ok(rows)
    }
}
