//! Owns the `Catalog`: this node's transient metadata. Also follows the replicated state, so that blobs which nothing
//! refers to any more are freed here too, whoever deleted their object.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use vineyard_raft::Update;
use vineyard_raft::state::Event;
use vineyard_store::{HolderId, Store};
use vineyard_wire::{ObjectId, Status};

use super::owner::Handle;
use crate::boot::registration;
use crate::context::NodeContext;
use crate::local::catalog::Catalog as Metadata;

pub(crate) type Catalog = Handle<Metadata>;

/// Starts the owner of `catalog`.
pub(crate) fn start(catalog: Metadata, mailbox: usize) -> Catalog {
    Handle::start("catalog", mailbox, catalog)
}

/// Follows the replicated state until the node stops.
pub(crate) async fn follow(node: Rc<NodeContext>) {
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
        registration::heed_successor(&node);
    }
}

async fn follow_events(node: &NodeContext, events: &[Event]) -> Result<(), Status> {
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
    node: &NodeContext,
    released: BTreeSet<ObjectId>,
) -> Result<(), Status> {
    if released.is_empty() || node.frees.postpone(&released) {
        return Ok(());
    }
    free_now(node, released).await
}

async fn free_now(node: &NodeContext, released: BTreeSet<ObjectId>) -> Result<(), Status> {
    {
        let mut persisted = node.persisted_blobs.borrow_mut();
        for id in &released {
            persisted.remove(id);
        }
    }
    let state = node.meta.state();
    let unreferred = move |catalog: &mut Metadata| catalog.doom_unreferred(&state, released);
    let doomed = node.catalog.ask(unreferred).await?;
    free(node, node.own_holder, doomed, false).await?;
    Ok(())
}

/// Deletes what the catalog has doomed, in the name of `by`, and says which of it was here.
pub(crate) async fn free(
    node: &NodeContext,
    by: HolderId,
    doomed: Vec<ObjectId>,
    trim: bool,
) -> Result<Vec<ObjectId>, Status> {
    if doomed.is_empty() {
        return Ok(doomed);
    }
    let delete = move |store: &mut Store| {
        let goes = |id: &ObjectId| store.delete(by, *id, trim);
        let deleted: Vec<_> = doomed.iter().copied().filter(goes).collect();
        (doomed, deleted)
    };
    let (doomed, deleted) = node.blobs.ask(delete).await?;
    node.catalog
        .ask(move |catalog| catalog.undoom(&doomed))
        .await?;
    Ok(deleted)
}

/// After a snapshot replaced the state: frees every blob that was part of a persistent object and no longer is.
async fn reconcile(node: &NodeContext) -> Result<(), Status> {
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

/// Blobs that nothing refers to any more wait here for the deletes of this node that are on their way: the one that
/// caused it frees them itself, because it knows whether their pages go too, and must say which they were. Deletes that
/// begin later are not waited for, or a steady stream of them would keep everything.
#[derive(Default)]
pub(crate) struct Frees {
    /// Deletes are numbered as they begin.
    begun: Cell<u64>,
    on_their_way: RefCell<BTreeSet<u64>>,
    /// What was released while the deletes below a number had begun, those that are older first.
    waiting: RefCell<VecDeque<(u64, BTreeSet<ObjectId>)>>,
}

impl Frees {
    /// Keeps `released` for later, if a delete is on its way.
    fn postpone(&self, released: &BTreeSet<ObjectId>) -> bool {
        let postponed = !self.on_their_way.borrow().is_empty();
        if postponed {
            let waits = (self.begun.get(), released.clone());
            self.waiting.borrow_mut().push_back(waits);
        }
        postponed
    }

    /// Takes out what waits for no delete any more.
    fn due(&self) -> BTreeSet<ObjectId> {
        let oldest = self.on_their_way.borrow().first().copied();
        let is_due = |(below, _): &mut (u64, _)| oldest.is_none_or(|oldest| *below <= oldest);
        let mut waiting = self.waiting.borrow_mut();
        let mut due = BTreeSet::new();
        while let Some((_, released)) = waiting.pop_front_if(is_due) {
            due.extend(released);
        }
        due
    }
}

/// A delete on its way; dropping it frees what was postponed for it.
pub(crate) struct DeleteOnItsWay {
    node: Rc<NodeContext>,
    number: u64,
}

impl DeleteOnItsWay {
    pub(crate) fn begin(node: &Rc<NodeContext>) -> Self {
        let number = node.frees.begun.get();
        node.frees.begun.set(number + 1);
        node.frees.on_their_way.borrow_mut().insert(number);
        let node = node.clone();
        Self { node, number }
    }
}

impl Drop for DeleteOnItsWay {
    fn drop(&mut self) {
        let node = self.node.clone();
        node.frees.on_their_way.borrow_mut().remove(&self.number);
        let released = node.frees.due();
        if released.is_empty() {
            return;
        }
        tokio::task::spawn_local(async move {
            if let Err(status) = free_now(&node, released).await {
                tracing::debug!(%status, "the node stopped before these blobs were freed");
            }
        });
    }
}

#[cfg(test)]
mod tests;
