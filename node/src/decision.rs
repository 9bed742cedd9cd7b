//! What the cluster decided about a command, also when the answer does not come in time.
//!
//! A submit that ends at its deadline may still take effect. Whoever keeps something for it (bytes, records that must not
//! change) keeps it until the cluster has decided: metadata must never point at what was thrown away meanwhile.

use std::rc::Rc;

use vineyard_raft::Error as RaftError;
use vineyard_raft::command::{Applied, Command, Refusal};

use crate::shared::Shared;

/// What the cluster decided; `None` if it may decide later.
pub(crate) fn decided(submitted: Result<Applied, RaftError>) -> Option<Result<(), RaftError>> {
    match submitted {
        Ok(_) => Some(Ok(())),
        Err(RaftError::Refused(Refusal::Forgotten)) => None,
        Err(error @ (RaftError::Refused(_) | RaftError::TooLarge { .. })) => Some(Err(error)),
        Err(_) => None,
    }
}

/// Submits `command`, for which doing it twice is doing it once, until the cluster has decided; `None` if this node
/// stops first.
pub(crate) async fn keep_asking(
    node: &Rc<Shared>,
    command: &Command,
) -> Option<Result<(), RaftError>> {
    let limits = &node.config.limits;
    loop {
        tokio::time::sleep(limits.join_retry).await;
        let deadline = limits.metadata_deadline;
        let submitted = node
            .meta
            .submit(node.instance, command.clone(), deadline)
            .await;
        if matches!(
            submitted,
            Err(RaftError::Stopped | RaftError::Disk(_) | RaftError::Newer { .. })
        ) {
            return None;
        }
        if let Some(outcome) = decided(submitted) {
            return Some(outcome);
        }
    }
}
