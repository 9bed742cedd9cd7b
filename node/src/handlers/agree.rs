//! What verbs ask before they answer: the cluster, for what only a quorum knows or decides, and the catalog, once nothing
//! that is on its way hinders them.
//!
//! It must never know what a verb does with the answer.

use std::rc::Rc;

use tokio::time::{Instant, timeout_at};
use vineyard_raft::command::{Applied, Command};
use vineyard_wire::{ObjectId, Status};

use crate::boot::registration;
use crate::context::NodeContext;
use crate::failure;
use crate::local::catalog::Catalog;

/// Catches up with what the cluster acknowledged before, if it answers in time.
pub(super) async fn catch_up(node: &Rc<NodeContext>) {
    let deadline = node.config.limits.sync_deadline;
    if let Err(error) = node.meta.confirm(deadline).await {
        tracing::debug!(%error, "a client asked to catch up with a cluster that does not answer");
    }
}

/// Asks the catalog again and again until the turn is not hindered by a persist or delete that is on its way (`None`).
pub(super) async fn settled<R, T>(
    node: &Rc<NodeContext>,
    mut turn: impl FnMut() -> T,
) -> Result<R, Status>
where
    R: Send + 'static,
    T: FnOnce(&mut Catalog) -> Option<R> + Send + 'static,
{
    let deadline = node.config.limits.metadata_deadline;
    let until = Instant::now() + deadline;
    loop {
        let changed = node.changed.notified();
        // Not under the deadline: a turn that was taken is never given up.
        if let Some(result) = node.catalog.ask(turn()).await? {
            return Ok(result);
        }
        let late = |_| failure::deadline("a persist or delete of the same object", deadline);
        timeout_at(until, changed).await.map_err(late)?;
    }
}

/// Whether `id` is a transient object or a blob of this node.
pub(super) async fn is_here(node: &Rc<NodeContext>, id: ObjectId) -> Result<bool, Status> {
    match id.is_blob() {
        true => node.blobs.ask(move |store| store.exists(id)).await,
        false => {
            node.catalog
                .ask(move |catalog| catalog.is_transient(id))
                .await
        }
    }
}

/// Whether the object exists; a "no" is confirmed by the quorum.
pub(super) async fn is_known(node: &Rc<NodeContext>, id: ObjectId) -> Result<bool, Status> {
    let state = node.meta.state();
    if node
        .catalog
        .ask(move |catalog| catalog.contains(&state, id))
        .await?
    {
        return Ok(true);
    }
    confirm(node).await?;
    Ok(node.meta.state().contains(id))
}

/// The state this node reads from now on holds everything acknowledged before this call.
pub(super) async fn confirm(node: &Rc<NodeContext>) -> Result<(), Status> {
    let deadline = node.config.limits.metadata_deadline;
    node.meta
        .confirm(deadline)
        .await
        .map_err(failure::from_raft)
}

/// Asks the cluster to agree on `command`; this node has applied it when the answer comes.
pub(super) async fn submit(node: &Rc<NodeContext>, command: Command) -> Result<Applied, Status> {
    let submitted = registration::submit(node, command).await;
    submitted.map_err(failure::from_raft)
}
