//! Transient objects of a node that is drained with all it has: they are persisted, because what only this node knows
//! nobody could move or find. What belongs to a stream ends with the stream.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::state::State;
use vineyard_wire::{ObjectId, Status};

use super::plan::Moving;
use crate::context::NodeContext;
use crate::context::proposal::PendingProposal;
use crate::failure;
use crate::local::{Local, Persisting};

/// So many objects are persisted by one entry of the log.
const AT_ONCE: usize = 64;

/// The blobs below transient objects that will be persisted.
pub(super) async fn blobs(node: &Rc<NodeContext>) -> Result<Vec<Moving>, Status> {
    let find = |local: &mut Local, state: &State| {
        let ids = persistable(local);
        let mut found = BTreeSet::new();
        for id in ids {
            // What cannot be persisted is not moved either.
            if let Ok(plan) = local.catalog.persist_plan(state, &[id]) {
                found.extend(plan.blobs.into_keys());
            }
        }
        let here = found.into_iter().filter(|id| state.blob(*id).is_none());
        let here = here.filter_map(|id| local.store.info(id));
        here.map(|blob| Moving {
            blob: blob.id,
            bytes: blob.size,
        })
        .collect()
    };
    node.local.ask(find).await
}

/// Persists them. Returns how many objects became persistent.
pub(super) async fn persist(node: &Rc<NodeContext>) -> Result<u64, Status> {
    let ids = node.local.ask(|local, _| persistable(local)).await?;
    let mut persisted = 0;
    for some in ids.chunks(AT_ONCE) {
        match begin(node, some.to_vec()).await? {
            Some(persisting) => persisted += propose(node, persisting).await?,
            None => {
                for id in some {
                    // One that is being written, or whose bytes were deleted, stays transient.
                    if let Some(persisting) = begin(node, vec![*id]).await? {
                        persisted += propose(node, persisting).await?;
                    }
                }
            }
        }
    }
    Ok(persisted)
}

fn persistable(local: &Local) -> Vec<ObjectId> {
    let of_streams = local.streams.everything();
    let mut ids = local.catalog.transients();
    ids.retain(|id| !of_streams.contains(id));
    ids
}

/// `None` if something is pending for one of `ids`, or one cannot be persisted.
async fn begin(node: &Rc<NodeContext>, ids: Vec<ObjectId>) -> Result<Option<Persisting>, Status> {
    let turn = move |local: &mut Local, state: &State| match local.begin_persist(state, &ids) {
        Ok(Ok(persisting)) => Some(persisting),
        Ok(Err(_)) | Err(_) => None,
    };
    node.local.ask(turn).await
}

async fn propose(node: &Rc<NodeContext>, persisting: Persisting) -> Result<u64, Status> {
    if persisting.is_empty() {
        return Ok(0);
    }
    let Persisting { proposal, carried } = persisting;
    let objects = proposal.records.len() as u64;
    let proposal = PendingProposal::begin(node, proposal, None);
    let persisted = proposal.see_through(carried).await;
    persisted.map_err(failure::from_raft)?;
    Ok(objects)
}
