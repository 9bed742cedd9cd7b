//! Owns the `Store`: every blob of this node, and who holds it.

use std::time::Duration;

use vineyard_store::Store;

use super::owner::Handle;

pub(crate) type Blobs = Handle<Store>;

/// Starts the owner of `store`, and lets freed memory decay every `decay_every`.
pub(crate) fn start(store: Store, mailbox: usize, decay_every: Duration) -> Blobs {
    let blobs = Handle::start("blobs", mailbox, store);
    let decaying = blobs.clone();
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(decay_every).await;
            match decaying.ask(Store::decay).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not give free memory back"),
                Err(_) => return,
            }
        }
    });
    blobs
}
