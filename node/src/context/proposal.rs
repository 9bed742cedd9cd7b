//! A proposed persist, and its outcome even if the cluster does not answer in time.
//!
//! A submit that ends at its deadline may still take effect. The bytes and records that it refers to are kept unchanged
//! until the outcome is known, so that metadata never points at freed bytes.

use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::{Applied, Command, Condition, Refusal};
use vineyard_raft::state::State;
use vineyard_raft::state::objects::BlobRow;
use vineyard_raft::{Error as RaftError, Request};
use vineyard_wire::{ObjectId, Status};

use crate::context::{NodeContext, call};
use crate::local::{Carried, Local, Proposal};

/// The outcome of a submit; `None` if it is unknown: the cluster may still apply the command, or has applied it and
/// expired the request key.
pub(crate) fn known_outcome(
    submitted: Result<Applied, RaftError>,
) -> Option<Result<(), RaftError>> {
    match submitted {
        Ok(_) => Some(Ok(())),
        Err(RaftError::Refused(Refusal::Forgotten)) => None,
        Err(
            error @ (RaftError::Refused(_)
            | RaftError::TooLarge { .. }
            | RaftError::FeatureLevel { .. }
            | RaftError::NoRoom { .. }),
        ) => Some(Err(error)),
        Err(_) => None,
    }
}

/// A name for an object.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) name: String,
    pub(crate) id: ObjectId,
}

/// A proposed persist. Each retry carries the same request key, because after a persist took effect, a later delete may
/// have undone it, and a retry must not apply the persist again.
pub(crate) struct PendingProposal {
    node: Rc<NodeContext>,
    request: Request,
    command: Arc<Command>,
}

impl PendingProposal {
    /// With `naming`, the name is part of the same entry; the cluster must know how to `Publish`.
    pub(crate) fn begin(
        node: &Rc<NodeContext>,
        proposal: Proposal,
        naming: Option<Naming>,
    ) -> Self {
        let Proposal { records, blobs } = proposal;
        let command = match naming {
            None => Command::Persist { records, blobs },
            Some(Naming { name, id }) => Command::Publish {
                records,
                blobs,
                name,
                id,
                condition: Condition::Always,
            },
        };
        Self {
            node: node.clone(),
            request: node.meta.request(node.instance).traced(call::trace()),
            command: Arc::new(command),
        }
    }

    pub(crate) async fn submit(&self) -> Result<Applied, RaftError> {
        let deadline = self.node.stretch(self.node.config.limits.metadata_deadline);
        let left = self.node.boot.left_of(deadline).await?;
        let meta = &self.node.meta;
        let submitted = meta.submit_as(&self.request, self.command.clone(), left);
        call::waiting_for("the cluster to agree", submitted).await
    }

    /// Submits a persist that has begun, and ends it in the ledger: now, or once its outcome is known.
    pub(crate) async fn see_through(self, carried: Carried) -> Result<(), RaftError> {
        let submitted = self.submit().await;
        match known_outcome(submitted.clone()) {
            Some(outcome) => {
                let ended = end_persist(&self.node, carried, outcome.is_ok()).await;
                ended.map_err(|_| RaftError::Stopped)?;
            }
            None => drop(tokio::task::spawn_local(end_once_known(self, carried))),
        }
        submitted.map(drop)
    }

    /// Retries until the outcome is known; `None` if this node stops first.
    pub(crate) async fn keep_asking(self) -> Option<Result<(), RaftError>> {
        loop {
            tokio::time::sleep(self.node.config.limits.join_retry).await;
            let submitted = self.submit().await;
            match submitted {
                Err(RaftError::Stopped | RaftError::Disk(_) | RaftError::Newer { .. }) => {
                    return None;
                }
                // Said of this attempt alone: an earlier one may be in the log.
                Err(RaftError::FeatureLevel { .. } | RaftError::NoRoom { .. }) => {}
                Err(forgotten @ RaftError::Refused(Refusal::Forgotten)) => {
                    return Some(self.took_effect().then_some(()).ok_or(forgotten));
                }
                submitted => {
                    if let Some(outcome) = known_outcome(submitted) {
                        return Some(outcome);
                    }
                }
            }
        }
    }

    /// Whether the cluster's metadata has any part of the persist. If it has none, the persist never took effect, or a
    /// delete has removed all of it.
    fn took_effect(&self) -> bool {
        let (Command::Persist { records, blobs } | Command::Publish { records, blobs, .. }) =
            self.command.as_ref()
        else {
            unreachable!("`begin` makes a persist")
        };
        let (me, state) = (self.node.instance, self.node.meta.state());
        let is_here = |row: &BlobRow| {
            let known = state.blob(row.id);
            row.locations.contains(&me) && known.is_some_and(|known| known.locations.contains(&me))
        };
        records.iter().any(|record| state.contains(record.id)) || blobs.iter().any(is_here)
    }
}

/// Ends a persist whose outcome was unknown when the caller was answered.
async fn end_once_known(proposal: PendingProposal, carried: Carried) {
    let node = proposal.node.clone();
    if let Some(outcome) = proposal.keep_asking().await
        && let Err(status) = end_persist(&node, carried, outcome.is_ok()).await
    {
        tracing::debug!(%status, "the node stopped before the outcome of a persist was known");
    }
}

async fn end_persist(node: &NodeContext, carried: Carried, applied: bool) -> Result<(), Status> {
    let end = move |local: &mut Local, state: &State| local.end_persist(state, &carried, applied);
    node.local.ask(end).await
}
