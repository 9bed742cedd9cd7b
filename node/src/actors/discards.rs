//! Deletes the objects that streams are done with, where one turn cannot: something is pending for the object, or the
//! cluster has to agree.
//!
//! It must never know a stream.

use std::rc::Rc;

use vineyard_raft::command::Command;
use vineyard_raft::state::State;
use vineyard_wire::{ObjectId, Status};

use crate::boot::registration;
use crate::context::NodeContext;
use crate::failure;
use crate::local::Local;

/// Deletes what is added, until the node stops.
pub(crate) async fn discard(node: Rc<NodeContext>) {
    let asked = node.local.ask(|local, _| local.discards.added());
    let Ok(added) = asked.await else { return };
    loop {
        added.notified().await;
        let Ok(ids) = node.local.ask(|local, _| local.discards.take()).await else {
            return;
        };
        for id in ids {
            if let Err(status) = delete(&node, id).await {
                tracing::warn!(%id, %status, "an object of a stream was not deleted");
            }
        }
    }
}

async fn delete(node: &Rc<NodeContext>, id: ObjectId) -> Result<(), Status> {
    loop {
        let here = move |local: &mut Local, state: &State| local.discard_here(state, id);
        match node.local.ask(here).await? {
            Ok(()) => break,
            Err(waiter) => waiter.woken().await,
        }
    }
    if !node.meta.state().contains(id) {
        return Ok(());
    }
    let command = Command::Delete {
        ids: vec![id],
        force: false,
        deep: true,
    };
    let submitted = registration::submit(node, command).await;
    submitted.map(drop).map_err(failure::from_raft)
}
