//! Owns the `Catalog`: this node's transient metadata. Also follows the replicated state, so that blobs which nothing
//! refers to any more are freed here too, whoever deleted their object.

use std::cell::{Cell, RefCell};
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
            Update::Events { events, .. } => follow_events(&node, &events).await,
            Update::Reset { .. } => reconcile(&node).await,
        };
        if let Err(status) = followed {
            tracing::error!(%status, "cannot follow the cluster's metadata any more");
            return;
        }
        node.changed.notify_waiters();
    }
}

async fn follow_events(node: &Shared, events: &[Event]) -> Result<(), Status> {
    let mut persisted = Vec::new();
    for event in events {
        if let Event::Persisted(ids) = event {
            persisted.extend(ids);
        }
    }
    if !persisted.is_empty() {
        // A persist whose answer came too late for its asker still took the objects from here.
        let state = node.meta.state();
        let end = move |catalog: &mut Metadata| catalog.end_persist(&state, &persisted);
        node.catalog.ask(end).await?;
    }
    free_released(node, released_by(events)).await
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
    if released.is_empty() || node.frees.postpone(&released) {
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
    let current = state.clone();
    node.catalog
        .ask(move |catalog| catalog.forget_persistent(&current))
        .await?;
    let known = node.persisted_blobs.borrow().clone();
    let gone = known
        .into_iter()
        .filter(|id| state.blob(*id).is_none())
        .collect();
    free_released(node, gone).await
}

/// Blobs that nothing refers to any more wait here while a delete of this node is on its way: the delete frees them
/// itself, because it knows whether their pages go too, and must say which they were.
#[derive(Default)]
pub(crate) struct Frees {
    deletes: Cell<u64>,
    waiting: RefCell<BTreeSet<ObjectId>>,
}

impl Frees {
    /// Keeps `released` for later, if a delete is on its way.
    fn postpone(&self, released: &BTreeSet<ObjectId>) -> bool {
        let postponed = self.deletes.get() > 0;
        if postponed {
            self.waiting.borrow_mut().extend(released);
        }
        postponed
    }
}

/// A delete on its way; dropping it frees what was postponed meanwhile.
pub(crate) struct DeleteOnItsWay(Rc<Shared>);

impl DeleteOnItsWay {
    pub(crate) fn begin(node: &Rc<Shared>) -> Self {
        node.frees.deletes.set(node.frees.deletes.get() + 1);
        Self(node.clone())
    }
}

impl Drop for DeleteOnItsWay {
    fn drop(&mut self) {
        let node = self.0.clone();
        node.frees.deletes.set(node.frees.deletes.get() - 1);
        if node.frees.deletes.get() == 0 {
            let released = node.frees.waiting.take();
            if released.is_empty() {
                return;
            }
            tokio::task::spawn_local(async move {
                if let Err(status) = free_released(&node, released).await {
                    tracing::debug!(%status, "the node stopped before these blobs were freed");
                }
            });
        }
    }
}
