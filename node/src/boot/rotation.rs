//! Takes a rotation of the token over from the log: into the connections, and onto the disk.
//!
//! Promise: nothing that is connected ends by it. A node that is killed in between finds the rotation in its log again.

use vineyard_env::Disk;

use crate::boot::secrets::Followed;
use crate::context::NodeContext;

/// Looks whether the token has another secret, and goes on with it.
pub(crate) async fn heed(node: &NodeContext) {
    let state = node.meta.state();
    let Some(rotation) = state.rotation() else {
        return;
    };
    match node.credentials.secrets.follow(rotation) {
        Followed::NoNews => {}
        Followed::Replaced => {
            let disk: &dyn Disk = node.env.disk.as_ref();
            match node.identity_now().save(disk).await {
                Ok(()) => tracing::info!(
                    old_is_valid_until_unix_ms = rotation.until_unix_ms,
                    "the token was rotated: this node has the new one; `vineyardctl token` prints it"
                ),
                Err(error) => tracing::error!(%error, "could not save the token that was rotated"),
            }
        }
        Followed::Unknown => tracing::error!(
            "the token was rotated while this node was away, and it knows neither the new one nor the one before: start \
             it with --join and with the new one in --token-file"
        ),
    }
}
