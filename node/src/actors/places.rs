//! Keeps other nodes told where this one listens while the log cannot say it, and looks for them while no leader can be
//! reached.
//!
//! Promise: nodes of which each reaches another one, by its seeds or at an address of before, know all addresses after
//! a few rounds. It knows no message: `peer::places` does the asking.

use std::rc::Rc;

use vineyard_raft::features;

use crate::context::NodeContext;
use crate::peer::places;

/// Runs until the node stops; idle while a leader is heard of and the log has this node where it is. A node that is
/// kept at an earlier level says nothing: others would take it for a copy, because builds of that level do not know the
/// message.
pub(crate) async fn keep(node: Rc<NodeContext>) {
    if node.config.feature_level < features::MEMBERS {
        return;
    }
    let limits = &node.config.limits;
    let mut pause = limits.join_retry;
    let mut rounds = 0u64;
    loop {
        if is_elsewhere(&node) || node.meta.leaderless() >= node.stretch(limits.leaderless_after) {
            places::tell_all(&node).await;
            // A start that finds the others at once is not worth a line.
            if rounds == 1 {
                tracing::info!(
                    endpoint = node.endpoint,
                    "no leader knows yet where this node is: telling all nodes, and asking where they are"
                );
            }
            rounds += 1;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(node.stretch(limits.places_retry_max));
        } else {
            (pause, rounds) = (limits.join_retry, 0);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether the log, as far as it is known here, has another address of this node, or none.
fn is_elsewhere(node: &NodeContext) -> bool {
    let state = node.meta.state();
    let known = state.current_instance_of(node.instance.node());
    known.is_none_or(|known| known.endpoint != node.endpoint)
}
