//! Says when a snapshot is taken, and keeps the log within its share of memory. Where openraft counts entries, this
//! counts bytes: a snapshot costs what the state has, so it is worth it when the log has grown in proportion.

use std::rc::Rc;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;

use super::Driver;
use crate::options::{COMPACT_TICK, LOG_MEMORY_FACTOR, Options};
use crate::types::TypeConfig;

/// Watches the log's size until the group stops.
pub(super) async fn keep(driver: Rc<Driver>) {
    loop {
        tokio::time::sleep(COMPACT_TICK).await;
        if let Err(error) = compact(&driver).await {
            tracing::debug!(%error, "the log is not compacted any more");
            return;
        }
    }
}

/// One look: what a snapshot already holds goes, however recent it is, if the log is large; and a new snapshot begins,
/// if enough was applied since the last one. raft has one written at a time, and rests after one that failed.
async fn compact(driver: &Driver) -> Result<(), Fatal<TypeConfig>> {
    let (purged, snapshot, applied) = {
        let receiver = driver.raft.metrics();
        let metrics = receiver.borrow_watched();
        (metrics.purged, metrics.snapshot, metrics.last_applied)
    };
    let memory = |first, last| driver.log.bytes_of(first..=last) * LOG_MEMORY_FACTOR;
    if let Some(snapshot) = snapshot
        && purged < Some(snapshot)
        && memory(0, u64::MAX) > driver.options.log_bytes_max
    {
        driver.raft.trigger().purge_log(snapshot.index).await?;
    }
    let last = driver.snapshots.extent();
    let first = last.map_or(0, |(index, _)| index + 1);
    let image_bytes = last.map_or(0, |(_, bytes)| bytes);
    if let Some(applied) = applied
        && memory(first, applied.index) >= due_at(&driver.options, image_bytes)
    {
        driver.raft.trigger().snapshot().await?;
    }
    Ok(())
}

/// Bytes of memory of the entries since a snapshot of `image_bytes` at which the next one is due.
fn due_at(options: &Options, image_bytes: u64) -> u64 {
    options.snapshot_bytes_min.max(image_bytes / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_state_is_written_less_often() {
        let options = Options::default();
        for (image_bytes, expected) in [
            (0, 16 << 20),
            (32 << 20, 16 << 20),
            (80 << 20, 40 << 20),
            (1 << 30, 512 << 20),
        ] {
            assert_eq!(due_at(&options, image_bytes), expected);
        }
    }
}
