//! Passes the events that the cluster has applied, also those of other nodes' commands, on to the owner of what is
//! local.

use std::rc::Rc;

use vineyard_raft::Update;

use crate::boot::{encrypting, registration, rotation};
use crate::context::NodeContext;

/// Follows the replicated state until the node stops.
pub(crate) async fn follow(node: Rc<NodeContext>) {
    let mut changes = node.meta.subscribe();
    rotation::heed(&node);
    encrypting::heed(&node);
    while let Some(update) = changes.next().await {
        let followed = match update {
            Update::Events { events, .. } => {
                let follow = node
                    .local
                    .ask(move |local, state| local.follow(state, &events));
                follow.await
            }
            Update::Reset { .. } => node.local.ask(|local, state| local.catch_up(state)).await,
        };
        if let Err(status) = followed {
            tracing::error!(%status, "cannot follow the cluster's metadata any more");
            return;
        }
        registration::heed_successor(&node);
        rotation::heed(&node);
        encrypting::heed(&node);
    }
}
