//! What is told for the whole cluster, and the bounds of this node.

use crate::config::{Config, Flags, Remembered};

pub(super) fn set(config: &mut Config, flags: &Flags, remembered: Option<&Remembered>) {
    let known = |get: fn(&Remembered) -> Option<u64>| remembered.and_then(get);
    config.round_trip_ms = flags.round_trip_ms.or(known(|r| r.round_trip_ms));
    let quota = flags.metadata_quota_bytes;
    config.metadata_quota_bytes = quota.or(known(|r| r.metadata_quota_bytes));
    let quota = flags.transient_quota_bytes;
    let quota = quota.or(known(|r| r.transient_quota_bytes));
    config.transient_quota_bytes = quota.unwrap_or(config.transient_quota_bytes);
}
