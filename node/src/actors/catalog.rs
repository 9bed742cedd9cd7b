//! Owns the `Catalog`: this node's transient metadata. Also follows the replicated state, so that blobs which nothing
//! refers to any more are freed here too, whoever deleted their object.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::Update;
use vineyard_raft::state::Event;
use vineyard_wire::{ObjectId, Status};

use super::owner::Asker;
use crate::catalog::Catalog as Metadata;
use crate::shared::Shared;

pub(crate) type Catalog = Asker<Metadata>;

/// Starts the owner of `catalog`.
pub(crate) fn start(catalog: Metadata, mailbox: usize) -> Catalog {
    Asker::start("catalog", mailbox, catalog)
}

/// Follows the replicated state until the node stops.
pub(crate) async fn follow(node: Rc<Shared>) {
    let mut changes = node.meta.subscribe();
    while let Some(update) = changes.next().await {
        let followed = match update {
            Update::Events { events, .. } => free_released(&node, released_by(&events)).await,
            Update::Reset { .. } => reconcile(&node).await,
        };
        if let Err(status) = followed {
            tracing::error!(%status, "cannot follow the cluster's metadata any more");
            return;
        }
        node.changed.notify_waiters();
    }
}

fn released_by(events: &[Event]) -> BTreeSet<ObjectId> {
    let mut released = BTreeSet::new();
    for event in events {
        if let Event::BlobsReleased(blobs) = event {
            released.extend(blobs);
        }
    }
    released
}

/// Frees the blobs in `released` that no transient object refers to.
pub(crate) async fn free_released(
    node: &Shared,
    released: BTreeSet<ObjectId>,
) -> Result<(), Status> {
    if released.is_empty() {
        return Ok(());
    }
    {
        let mut persisted = node.persisted_blobs.borrow_mut();
        for id in &released {
            persisted.remove(id);
        }
    }
    let state = node.meta.state();
    let free = node
        .catalog
        .ask(move |catalog| {
            let unreferred =
                |id: &ObjectId| !catalog.is_referred_to(*id) && state.blob(*id).is_none();
            released.into_iter().filter(unreferred).collect::<Vec<_>>()
        })
        .await?;
    let holder = node.own_holder;
    node.blobs
        .ask(move |store| {
            for id in free {
                store.delete(holder, id, false);
            }
        })
        .await
}

/// After a snapshot replaced the state: frees every blob that was part of a persistent object and no longer is.
async fn reconcile(node: &Shared) -> Result<(), Status> {
    let state = node.meta.state();
    let known = node.persisted_blobs.borrow().clone();
    let gone = known
        .into_iter()
        .filter(|id| state.blob(*id).is_none())
        .collect();
    free_released(node, gone).await
}
