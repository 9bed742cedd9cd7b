//! What the line of a founder says for the whole cluster.
//!
//! Promise: it is agreed on before the founder counts as registered, or, while some member does not know that there are
//! settings, once all do. It changes nothing that has been set since. What the line of any other node says changes
//! nothing.

use vineyard_raft::Error as RaftError;
use vineyard_raft::command::Command;
use vineyard_raft::state::Settings;

use crate::context::NodeContext;

/// Sets it if this node founded the cluster. Says so if the cluster is set to something else.
///
/// # Errors
/// As `Meta::submit`; `FeatureLevel` while some member does not know the command.
pub(crate) async fn agree(node: &NodeContext) -> Result<(), RaftError> {
    let told = Settings {
        round_trip_ms: node.config.round_trip_ms,
        metadata_quota_bytes: node.config.metadata_quota_bytes,
    };
    let set = node.meta.state().settings();
    if node.identity.founder && set.or(told) != set {
        let command = Command::Configure {
            settings: told,
            if_unset: true,
        };
        let deadline = node.stretch(node.config.limits.metadata_deadline);
        node.meta.submit(node.instance, command, deadline).await?;
    }
    let state = node.meta.state();
    if told.or(state.settings()) != state.settings() {
        tracing::warn!(
            round_trip_ms = state.round_trip_ms(),
            metadata_quota_bytes = state.metadata_quota_bytes(),
            "the cluster is set to these, not to what this node was told: that is for its founding; `vineyardctl config \
             set` changes it"
        );
    }
    Ok(())
}
