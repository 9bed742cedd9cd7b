//! Keeps the log within its share of memory: where openraft counts entries, this counts bytes.

use std::rc::Rc;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;

use super::Driver;
use crate::options::COMPACT_TICK;
use crate::types::TypeConfig;

/// Watches the log's size until the group stops.
pub(super) async fn keep(driver: Rc<Driver>) {
    loop {
        tokio::time::sleep(COMPACT_TICK).await;
        if driver.log.bytes() > driver.options.snapshot_after_bytes
            && let Err(error) = compact(&driver).await
        {
            tracing::debug!(%error, "the log is not compacted any more");
            return;
        }
    }
}

/// One step: what a snapshot already holds goes, however recent it is; if that was all, a new snapshot begins.
async fn compact(driver: &Driver) -> Result<(), Fatal<TypeConfig>> {
    let (purged, snapshot, applied) = {
        let receiver = driver.raft.metrics();
        let metrics = receiver.borrow_watched();
        (metrics.purged, metrics.snapshot, metrics.last_applied)
    };
    match snapshot {
        Some(snapshot) if purged < Some(snapshot) => {
            driver.raft.trigger().purge_log(snapshot.index).await
        }
        _ if snapshot < applied => driver.raft.trigger().snapshot().await,
        _ => Ok(()),
    }
}
