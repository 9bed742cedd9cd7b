//! What the cluster decided about a persist, also when the answer does not come in time.
//!
//! A submit that ends at its deadline may still take effect. What it needs (bytes, records that must not change) stays until
//! the cluster has decided: metadata must never point at what was thrown away meanwhile.

use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::{Applied, Command, Condition, Refusal};
use vineyard_raft::state::objects::BlobRow;
use vineyard_raft::{Error as RaftError, Request};
use vineyard_wire::ObjectId;

use crate::context::{NodeContext, call};
use crate::local::Proposal;

/// What the cluster decided; `None` if it may decide later, or did and has forgotten.
pub(crate) fn known_outcome(
    submitted: Result<Applied, RaftError>,
) -> Option<Result<(), RaftError>> {
    match submitted {
        Ok(_) => Some(Ok(())),
        Err(RaftError::Refused(Refusal::Forgotten)) => None,
        Err(
            error @ (RaftError::Refused(_)
            | RaftError::TooLarge { .. }
            | RaftError::FeatureLevel { .. }),
        ) => Some(Err(error)),
        Err(_) => None,
    }
}

/// A name that an object is to have.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) name: String,
    pub(crate) id: ObjectId,
}

/// A proposed persist. It is one request however often it is asked about: once it has taken effect it may be undone,
/// by a delete that was acknowledged, and asking again must not carry it out again.
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
        let left = self.node.boot.left_of(&self.node.config.limits).await?;
        let meta = &self.node.meta;
        let submitted = meta.submit_as(&self.request, self.command.clone(), left);
        call::waiting_for("the cluster to agree", submitted).await
    }

    /// Asks until the cluster has decided; `None` if this node stops first.
    pub(crate) async fn keep_asking(self) -> Option<Result<(), RaftError>> {
        loop {
            tokio::time::sleep(self.node.config.limits.join_retry).await;
            let submitted = self.submit().await;
            match submitted {
                Err(RaftError::Stopped | RaftError::Disk(_) | RaftError::Newer { .. }) => {
                    return None;
                }
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

    /// Whether any of it is left in the cluster's metadata. What has no trace there never came, or is gone again.
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
