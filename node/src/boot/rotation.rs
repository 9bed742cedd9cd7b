//! Takes a rotation of the token over from the log: into the connections, and onto the disk.
//!
//! Promise: nothing that is connected ends by it, and nothing waits for the disk. A node that is killed in between
//! finds the rotation in its log again.

use std::rc::Rc;

use crate::boot::secrets::Followed;
use crate::context::NodeContext;

/// Looks whether the token has another secret, and goes on with it.
pub(crate) fn heed(node: &Rc<NodeContext>) {
    let state = node.meta.state();
    let Some(rotation) = state.rotation() else {
        return;
    };
    match node.credentials.secrets.follow(rotation) {
        Followed::NoNews => {}
        Followed::Replaced => {
            tracing::info!(
                old_is_valid_until_unix_ms = rotation.until_unix_ms,
                "the token was rotated: this node has the new one; `vineyardctl token` prints it"
            );
            tokio::task::spawn_local(save_while_it_runs(node.clone()));
        }
        Followed::Unknown => tracing::error!(
            "the token was rotated while this node was away, and it knows neither the new one nor the one before: start \
             it with --join and with the new one in --token-file"
        ),
    }
}

/// Saves this node's identity as it is, at once or when the disk has room again.
pub(crate) async fn save_while_it_runs(node: Rc<NodeContext>) {
    tokio::select! {
        biased;
        () = node.stopping.begun() => {}
        // The record of the refusal is the last one.
        _ = node.boot.refused() => {}
        () = save(&node) => {}
    }
}

/// Returns once the disk has it.
async fn save(node: &NodeContext) {
    let mut is_said = false;
    while let Err(error) = node.identity_now().save(node.env.disk.as_ref()).await {
        if !std::mem::replace(&mut is_said, true) {
            tracing::error!(%error, "could not save the identity of this node; trying again");
        }
        tokio::time::sleep(node.config.limits.save_retry).await;
    }
}
