//! Every number that tunes the group, in one place, and how openraft hears of them. What depends on the network is for
//! round trips of `state::ROUND_TRIP_MS`; where more is set, it is stretched in proportion.

mod pace;

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::error::Error;
pub use pace::Pace;

/// Bytes of entries in one append message; a single larger entry travels alone.
pub(crate) const APPEND_BYTES_MAX: usize = 4 << 20;
/// Bytes of one piece of a snapshot on the wire.
pub(crate) const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// Pause after a snapshot that could not be written.
pub(crate) const SNAPSHOT_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Memory that an entry of the log takes, in bytes for each byte of its encoding.
pub(crate) const LOG_MEMORY_FACTOR: u64 = 10;
/// A learner this many entries behind is sent a snapshot.
const LAGS_AFTER_ENTRIES: u64 = 5000;
/// How often the room on the disk is looked at.
pub(crate) const ROOM_TICK: Duration = Duration::from_millis(250);
/// Bytes of a whole snapshot that a node accepts.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 8 << 30;
/// Requests that the raft thread has and has not answered; further callers wait to hand theirs over.
pub(crate) const JOBS_MAX: usize = 1024;
/// Connections of other members that are served at once.
pub(crate) const SERVED_MAX: usize = 1024;
/// Commands that are forwarded to the leader at once; others wait for a permit.
pub(crate) const FORWARDS_MAX: usize = 32;
/// Time the leader works on a command whose sender may have given up.
pub(crate) const SERVE_WITHIN: Duration = Duration::from_secs(10);
/// How often the size of the log is looked at.
pub(crate) const COMPACT_TICK: Duration = Duration::from_millis(250);
/// Updates a subscriber may fall behind before they are replaced by one reset.
pub(crate) const FEED_UPDATES_MAX: usize = 4096;
/// A member all of whose questions have failed for so long is logged as one that does not answer.
pub(crate) const AWAY_AFTER: Duration = Duration::from_secs(2);
/// Time to connect to a peer and shake hands.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_millis(1500);
/// Connections to one peer that are kept while nobody uses them.
pub(crate) const LINKS_IDLE_MAX: usize = 64;
/// Heartbeats after which a connection that nobody used is not used again.
pub(crate) const LINK_IDLE_HEARTBEATS: u32 = 50;
/// Heartbeats after which a connection that asked nothing is closed: the dialler has dropped it, or is gone.
pub(crate) const SERVED_IDLE_HEARTBEATS: u32 = 100;
/// A member that has not answered for this long is not made a voter.
pub(crate) const PROMOTE_SILENT_MAX: Duration = Duration::from_secs(1);
/// Time a member has to store entries, on top of what their bytes take.
pub(crate) const APPEND_WITHIN: Duration = Duration::from_secs(1);
/// More voters than these make every write slower, and two deaths are all that five outlive.
pub(crate) const VOTERS_MAX: usize = 5;
/// Time a majority has to agree to new voters before the leader looks again.
pub(crate) const CHANGE_WITHIN: Duration = Duration::from_secs(10);
/// A learner this many entries behind is ready to vote.
pub(crate) const PROMOTE_BEHIND_MAX: u64 = 100;
/// Time a quorum has to confirm a read before it is asked again.
pub(crate) const READ_INDEX_WITHIN: Duration = Duration::from_secs(1);
/// Time one try at the leader may take, on top of what its bytes take, before it is asked again.
pub(crate) const FORWARD_WITHIN: Duration = Duration::from_secs(2);
/// Time a peer has to say who leads.
pub(crate) const WHO_LEADS_TIMEOUT: Duration = Duration::from_millis(300);
/// Pause before a request is tried again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How often the leader looks at the membership even if nothing told it to.
pub(crate) const GROUP_TICK: Duration = Duration::from_millis(500);
/// How often a node asks the leader whether a majority follows it.
pub(crate) const STANDING_TICK: Duration = Duration::from_millis(500);
/// Time the leader has to say so.
pub(crate) const STANDING_WITHIN: Duration = Duration::from_millis(300);
/// A majority that gave no sign of following for this many of the longest election times is said to be lost. One alone
/// may pass while a busy machine is late.
const QUORUM_LASTS_ELECTIONS: u32 = 2;
/// The slowest transfer a timeout allows for, bytes per second.
pub(crate) const SLOWEST_BYTES_PER_SECOND: u64 = 20 << 20;

/// How the group behaves. The defaults suit a cluster in one data centre; see `pace` for others.
#[derive(Clone, Debug)]
pub struct Options {
    pub heartbeat_ms: u64,
    /// A follower that hears no leader for a random time between these two stands for election.
    pub election_ms_min: u64,
    pub election_ms_max: u64,
    /// A snapshot is taken when the entries that were applied since the last one take so many bytes of memory, and half
    /// as many as that snapshot has.
    pub snapshot_bytes_min: u64,
    /// A snapshot is also taken after this many entries: for tests, which want many.
    pub snapshot_after_entries: Option<u64>,
    /// Entries kept behind a snapshot for followers that are a little behind.
    pub entries_kept: u64,
    /// None are kept while the log takes more bytes of memory than these.
    pub log_bytes_max: u64,
    /// Entries in one append message.
    pub append_entries_max: u64,
    /// Bytes of commands that the leader has taken and that are not yet committed and on its disk, and on every node of
    /// those that its raft thread has and has not answered; others wait.
    pub proposals_bytes_max: u64,
    /// A voter that has not answered for so long loses its vote to a learner that answers.
    pub replace_after: Duration,
    /// The highest feature level that this node says to know; see `features`.
    pub feature_level: u8,
    /// What else waits for other nodes goes by it, too.
    pub pace: Arc<Pace>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_ms_min: 350,
            election_ms_max: 700,
            snapshot_bytes_min: 16 << 20,
            snapshot_after_entries: None,
            entries_kept: 500,
            log_bytes_max: 256 << 20,
            append_entries_max: 512,
            proposals_bytes_max: 256 << 20,
            replace_after: Duration::from_secs(10 * 60),
            feature_level: crate::features::LATEST,
            pace: Arc::default(),
        }
    }
}

impl Options {
    /// For how long a majority counts as following after its last sign of it.
    pub(crate) fn quorum_lasts(&self) -> Duration {
        Duration::from_millis(self.election_ms_max) * QUORUM_LASTS_ELECTIONS
    }

    pub(crate) fn raft_config(&self) -> Result<Arc<Config>, Error> {
        let config = Config {
            cluster_name: "vineyard".to_owned(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_ms_min,
            election_timeout_max: self.election_ms_max,
            install_snapshot_timeout: 10_000,
            max_payload_entries: self.append_entries_max,
            snapshot_policy: self
                .snapshot_after_entries
                .map_or(SnapshotPolicy::Never, SnapshotPolicy::LogsSinceLast),
            max_in_snapshot_log_to_keep: self.entries_kept,
            replication_lag_threshold: LAGS_AFTER_ENTRIES,
            purge_batch_size: 64,
            backoff: "100ms".to_owned(),
            enable_pre_vote: Some(true),
            // A leader that crashed before its fsync would resume its term and reuse a log id for another entry.
            enable_leader_restore: Some(false),
            // A member whose disk went back to an older state is sent what it lacks. By default the leader panics,
            // and one damaged member stops the cluster.
            allow_log_reversion: Some(true),
            ..Config::default()
        };
        let config = config
            .validate()
            .map_err(|e| Error::Unusable(e.to_string()))?;
        Ok(Arc::new(config))
    }
}
