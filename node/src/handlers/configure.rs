//! Sets what holds for the whole cluster.

use vineyard_raft::command::Command;
use vineyard_raft::state::Settings;
use vineyard_raft::{ROUND_TRIP_MS, ROUND_TRIP_MS_MAX};
use vineyard_wire::request::Configure;
use vineyard_wire::{Reply, Status};

use super::agree;
use super::members::on_the_socket;
use crate::peer::view;
use crate::session::Session;

/// Nothing told is nothing changed: the answer says what is set.
pub(super) async fn configure(session: &Session, told: Configure) -> Result<Reply, Status> {
    let node = &session.node;
    on_the_socket(session)?;
    let Configure {
        round_trip_ms,
        metadata_quota_bytes,
    } = told;
    let known = ROUND_TRIP_MS..=ROUND_TRIP_MS_MAX;
    if round_trip_ms.is_some_and(|ms| !known.contains(&ms)) {
        return Err(Status::invalid(format!(
            "a round trip can be set from {ROUND_TRIP_MS} to {ROUND_TRIP_MS_MAX} ms"
        )));
    }
    let settings = Settings {
        round_trip_ms,
        metadata_quota_bytes,
    };
    match settings.is_empty() {
        true => agree::confirm(node).await?,
        false => {
            let command = Command::Configure {
                settings,
                if_unset: false,
            };
            agree::submit(node, command).await?;
            tracing::warn!(?settings, "the cluster is set anew");
        }
    }
    Ok(Reply::Configure(view::settings(&node.meta.state())))
}

#[cfg(test)]
mod tests {
    use vineyard_wire::Request;
    use vineyard_wire::request::Configure;

    use crate::config::Limits;
    use crate::testing::with_node;

    #[test]
    fn what_is_told_is_set_and_the_rest_stays() {
        with_node(Limits::default(), async |test_node| {
            let mut local = test_node.ipc().await;
            local.register().await;
            let mut set = async |round_trip_ms, metadata_quota_bytes| {
                let told = Configure {
                    round_trip_ms,
                    metadata_quota_bytes,
                };
                local.ask(&Request::Configure(told)).await
            };
            let before = set(None, None).await;
            assert_eq!(before["round_trip_ms"], 30, "{before}");
            let refused = set(Some(29), Some(1 << 20)).await;
            assert!(refused["message"].as_str().unwrap().contains("30 to 1000"));
            let after = set(None, Some(1 << 20)).await;
            assert_eq!(after["round_trip_ms"], 30, "{after}");
            let after = set(Some(300), None).await;
            assert_eq!(after["round_trip_ms"], 300, "{after}");
            assert_eq!(after["metadata_quota_bytes"], 1 << 20, "{after}");
            let status = local.ask(&Request::ClusterStatus).await;
            assert_eq!(status["cluster"]["round_trip_ms"], 300, "{status}");
        });
    }
}
