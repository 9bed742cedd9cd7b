//! Questions of verbs to the cluster, for what only a quorum knows or decides, and to the owner of what is local,
//! retried while something pending for the same ids blocks them.
//!
//! It must never know what a verb does with the answer.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use vineyard_raft::command::{Applied, Command};
use vineyard_raft::state::State;
use vineyard_wire::{ObjectId, Status};

use crate::boot::registration;
use crate::context::{NodeContext, call};
use crate::failure;
use crate::local::{Attempt, Local, Waiter};

/// Waits until this node has applied what the cluster acknowledged before, if the cluster answers in time.
pub(super) async fn catch_up(node: &Rc<NodeContext>) {
    let deadline = node.stretch(node.config.limits.sync_deadline);
    let caught_up = call::waiting_for("a quorum to confirm", node.meta.confirm(deadline));
    if let Err(error) = caught_up.await {
        tracing::debug!(%error, "a client asked to catch up with a cluster that does not answer");
    }
}

/// Asks the owner of what is local, and retries until nothing pending blocks the turn.
pub(super) async fn unblocked<R, T>(
    node: &Rc<NodeContext>,
    mut turn: impl FnMut() -> T,
) -> Result<R, Status>
where
    R: Send + 'static,
    T: FnOnce(&mut Local, &State) -> Attempt<R> + Send + 'static,
{
    let patience = Patience::begin(node);
    loop {
        // Not under the deadline: a turn that has begun must not be dropped.
        match node.local.ask(turn()).await? {
            Ok(result) => return Ok(result),
            Err(waiter) => patience.wait(waiter).await?,
        }
    }
}

/// How long a request waits for what is pending for the ids that it names.
pub(super) struct Patience {
    deadline: Duration,
    until: Instant,
}

impl Patience {
    pub(super) fn begin(node: &NodeContext) -> Self {
        let deadline = call::patience(node.stretch(node.config.limits.metadata_deadline));
        let until = Instant::now() + deadline;
        Self { deadline, until }
    }

    pub(super) async fn wait(&self, waiter: Waiter) -> Result<(), Status> {
        let late = |_| failure::deadline("a persist or delete of the same object", self.deadline);
        let woken = timeout_at(self.until, waiter.woken());
        let what = "a persist or delete of the same object";
        call::waiting_for(what, woken).await.map_err(late)
    }
}

/// Whether `id` is a transient object or a blob of this node.
pub(super) async fn is_here(node: &Rc<NodeContext>, id: ObjectId) -> Result<bool, Status> {
    node.local.ask(move |local, _| local.is_here(id)).await
}

/// Whether the object exists; a "no" is confirmed by the quorum.
pub(super) async fn is_known(node: &Rc<NodeContext>, id: ObjectId) -> Result<bool, Status> {
    let is_known = move |local: &mut Local, state: &State| local.catalog.contains(state, id);
    if node.local.ask(is_known).await? {
        return Ok(true);
    }
    confirm(node).await?;
    Ok(node.meta.state().contains(id))
}

/// When this returns, the state that this node reads has everything that was acknowledged before the call.
pub(super) async fn confirm(node: &Rc<NodeContext>) -> Result<(), Status> {
    let deadline = call::patience(node.stretch(node.config.limits.metadata_deadline));
    call::waiting_for("a quorum to confirm", node.meta.confirm(deadline))
        .await
        .map_err(failure::from_raft)
}

/// Submits `command`. When this returns, this node has applied it.
pub(super) async fn submit(node: &Rc<NodeContext>, command: Command) -> Result<Applied, Status> {
    let submitted = registration::submit(node, command).await;
    submitted.map_err(failure::from_raft)
}
