//! Gives the cluster's token another secret.
//!
//! Promise: no secret is in the log, and of two rotations at once one is refused. The old token is valid for the time
//! of grace.

use std::time::Duration;

use vineyard_raft::Error as RaftError;
use vineyard_raft::command::{Command, Refusal};
use vineyard_wire::{Reply, Status};

use super::members::on_the_socket;
use super::status;
use crate::boot::{registration, rotation, secrets};
use crate::failure;
use crate::session::Session;

pub(super) async fn rotate_token(session: &Session, grace_ms: u64) -> Result<Reply, Status> {
    let node = &session.node;
    on_the_socket(session)?;
    let grace_max = node.config.limits.grace_max;
    if Duration::from_millis(grace_ms) > grace_max {
        return Err(Status::invalid(format!(
            "the old token can be valid for at most {} h more: ask for a shorter grace",
            grace_max.as_secs() / 3600
        )));
    }
    // The new secret is hidden by the one that all have, so this node must not lag.
    let confirmed = node
        .meta
        .confirm(node.stretch(node.config.limits.metadata_deadline))
        .await;
    confirmed.map_err(failure::from_raft)?;
    rotation::heed(node);
    let last = node.meta.state().rotation().copied();
    let old = node.credentials.secrets.current();
    let (_, hidden) = secrets::rotate(&old, node.env.random.as_ref());
    let command = Command::RotateToken {
        hidden,
        after_unix_ms: last.map_or(0, |last| last.until_unix_ms),
        grace_ms,
    };
    match registration::submit(node, command).await {
        Ok(_) => {}
        Err(RaftError::Refused(Refusal::Rotating { until_unix_ms })) => {
            let left_ms = until_unix_ms.saturating_sub(node.env.clock.unix_ms());
            return Err(Status::invalid(format!(
                "the token was rotated before, and the one of before that is valid for {} s more: rotate it after that",
                left_ms.div_ceil(1000)
            )));
        }
        Err(error) => return Err(failure::from_raft(error)),
    }
    rotation::heed(node);
    tracing::warn!(grace_ms, "the token was rotated");
    Ok(status::token_of(node))
}

#[cfg(test)]
mod tests {
    use vineyard_wire::Request;

    use crate::config::Limits;
    use crate::testing::with_node;

    #[test]
    fn a_grace_has_an_upper_bound() {
        with_node(Limits::default(), async |test_node| {
            let mut local = test_node.ipc().await;
            local.register().await;
            let before = test_node.node.token();
            let bound = Limits::default().grace_max.as_millis() as u64;
            let grace_ms = bound + 1;
            let refused = local.ask(&Request::RotateToken { grace_ms }).await;
            let message = refused["message"].as_str().unwrap_or_default();
            assert!(message.contains("at most 720 h"), "{refused}");
            assert_eq!(test_node.node.token(), before);
            let grace_ms = bound;
            let rotated = local.ask(&Request::RotateToken { grace_ms }).await;
            assert_eq!(rotated["type"], "token_reply", "{rotated}");
        });
    }
}
