//! `persist` and `migrate`: making objects known to the cluster, and bringing them here.

use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::agree::{confirm, is_here, is_known, unblocked};
use super::metadata::is_unknown;
use super::to_its_end;
use crate::actors::proposal::{PendingProposal, decided};
use crate::context::NodeContext;
use crate::failure;
use crate::local::catalog::unknown_subtree;
use crate::local::{Carried, Local, Persisting};

pub(super) async fn persist(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    persist_all(node, vec![id]).await?;
    Ok(Reply::Persist)
}

pub(super) async fn persist_many(
    node: &Rc<NodeContext>,
    ids: Vec<ObjectId>,
) -> Result<Reply, Status> {
    persist_all(node, ids).await?;
    Ok(Reply::PersistMany)
}

/// One log entry for all of `ids` and everything transient below them: all or nothing. A persist that has begun goes on
/// when the session ends.
pub(super) async fn persist_all(node: &Rc<NodeContext>, ids: Vec<ObjectId>) -> Result<(), Status> {
    if ids.iter().any(|id| id.is_blob()) {
        let message = "!IsBlob(id): The blobs cannot be persisted";
        return Err(Status::new(Code::AssertionFailed, message));
    }
    let ids: Arc<[ObjectId]> = ids.into();
    to_its_end("the persist", carry_out(node.clone(), ids)).await
}

async fn carry_out(node: Rc<NodeContext>, ids: Arc<[ObjectId]>) -> Result<(), Status> {
    let begin = || {
        let ids = ids.clone();
        move |local: &mut Local, state: &State| local.begin_persist(state, &ids)
    };
    let mut begun = unblocked(&node, begin).await?;
    if is_unknown(&begun) {
        confirm(&node).await?;
        begun = unblocked(&node, begin).await?;
    }
    propose(node, begun?).await
}

/// Asks the cluster for a persist that has begun. While the cluster may still decide, what it carries stays as it is, also
/// after the deadline.
async fn propose(node: Rc<NodeContext>, persisting: Persisting) -> Result<(), Status> {
    if persisting.is_empty() {
        return Ok(());
    }
    let Persisting { proposal, carried } = persisting;
    let proposal = PendingProposal::begin(&node, proposal);
    let submitted = proposal.submit().await;
    match decided(submitted.clone()) {
        Some(outcome) => end(&node, carried, outcome.is_ok()).await?,
        None => drop(tokio::task::spawn_local(settle(node, proposal, carried))),
    }
    submitted.map(drop).map_err(failure::from_raft)
}

/// Ends a persist whose outcome the caller was not told.
async fn settle(node: Rc<NodeContext>, proposal: PendingProposal, carried: Carried) {
    if let Some(outcome) = proposal.keep_asking().await
        && let Err(status) = end(&node, carried, outcome.is_ok()).await
    {
        tracing::debug!(%status, "the node stopped before a persist was settled");
    }
}

async fn end(node: &NodeContext, carried: Carried, applied: bool) -> Result<(), Status> {
    let end = move |local: &mut Local, state: &State| local.end_persist(state, &carried, applied);
    node.local.ask(end).await
}

/// Persists what `put_object` has made, whose persist has begun in the same turn.
pub(super) async fn persist_begun(
    node: &Rc<NodeContext>,
    persisting: Persisting,
) -> Result<(), Status> {
    to_its_end("the persist", propose(node.clone(), persisting)).await
}

pub(super) async fn if_persist(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    if id.is_blob() {
        return Ok(Reply::IfPersist { persist: false });
    }
    if !is_known(node, id).await? {
        return Err(unknown_subtree(id));
    }
    Ok(Reply::IfPersist {
        persist: node.meta.state().contains(id),
    })
}

pub(super) async fn migrate_object(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    if is_here(node, id).await? {
        return Ok(Reply::MigrateObject { object_id: id });
    }
    confirm(node).await?;
    let object_id = crate::actors::migrator::migrate(node, id).await?;
    Ok(Reply::MigrateObject { object_id })
}
