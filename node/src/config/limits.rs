//! Every bound of a node: how long it waits, how much it queues, how many it serves.
//!
//! Promise: a queue, retry or wait in the node has its limit here, under a name with its unit. Sizes that decoders
//! enforce are the protocol's and live in `vineyard_wire::limits`.

use std::time::Duration;

/// As at the released server.
const STREAM_THRESHOLD_PERCENT: u8 = 80;

/// The bounds of one node. `default()` is what product nodes use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Deadline of an answer that needs the cluster's agreement and moves no bytes.
    pub metadata_deadline: Duration,
    /// A client that says how long it waits is answered by so much before.
    pub answer_before: Duration,
    /// Deadline of a client's request to catch up with the cluster, which is answered even without a quorum.
    pub sync_deadline: Duration,
    /// The fixed part of a transfer's deadline; see [`Limits::transfer_deadline`].
    pub transfer_deadline_base: Duration,
    /// The least rate of a transfer before its deadline, bytes per second.
    pub transfer_bytes_per_second_min: u64,
    /// Deadline for opening a TCP connection and its handshake.
    pub connect_deadline: Duration,
    /// Deadline for the first whole request of a new connection.
    pub register_deadline: Duration,
    /// Longest pause within a request that has begun to arrive, after which its connection is closed.
    pub frame_stall_max: Duration,
    /// How long a login waits until its password is checked: less than clients wait, so that they receive the reason.
    pub login_deadline: Duration,
    /// Wrong passwords after which a connection is closed.
    pub wrong_passwords_max: usize,
    /// How long a closing connection is given to read why it is closed.
    pub parting_deadline: Duration,
    /// HTTP connections, also at most half of `unregistered_max`. At the limit, the oldest one is closed for the next.
    pub http_connections_max: usize,
    /// Deadline for the head of an HTTP request, and its longest.
    pub http_header_deadline: Duration,
    pub http_header_bytes_max: usize,
    /// How long the actor thread has to answer an HTTP request.
    pub http_answer_deadline: Duration,
    /// A node whose disk does not answer for this long is not ready.
    pub disk_answer_deadline: Duration,
    /// Entries of the log that a node may be behind and still be ready.
    pub ready_behind_max: u64,
    /// How long a stop waits for replies in progress.
    pub stop_deadline: Duration,
    /// How long `cluster_status` waits for another node's statistics.
    pub stats_deadline: Duration,
    /// Silence of a node between two of its questions on one connection, after which the connection is closed.
    pub peer_idle_deadline: Duration,
    /// How long the token of before may be valid after a rotation.
    pub grace_max: Duration,
    /// Pause before a record of this node that the disk did not take is saved again.
    pub save_retry: Duration,
    /// Pause after an accept that failed, for example because the process has no descriptors left.
    pub accept_pause: Duration,
    /// Pause between two looks whether the Unix socket's file is still there.
    pub socket_check: Duration,
    /// Pause between two log lines about too many connections of one kind.
    pub full_said_every: Duration,
    /// Pause between the first two rounds of a `--join` that no node answered. It doubles with each round.
    pub join_retry: Duration,
    pub join_retry_max: Duration,
    /// For so long a node asks again whose token all have refused: a member may lag behind a rotation of the token.
    pub unknown_secret_retried: Duration,
    /// A node that has heard of no leader for so long asks other nodes where the members are.
    pub leaderless_after: Duration,
    /// The longest pause between two such rounds; the first is `join_retry`, and each is twice the one before.
    pub places_retry_max: Duration,

    /// A request that took longer is logged, with what it waited for. Time that the caller asked to wait does not
    /// count.
    pub slow_request: Duration,

    /// Names that a list looks at before other clients get their turns.
    pub turn_items_max: usize,

    /// Messages an actor's mailbox holds before senders wait.
    pub mailbox_capacity: usize,
    /// Connections on the Unix socket. Further ones are accepted and closed with a reason, as with the next two limits.
    /// All four are lowered at the start to what the process may open; see `descriptors`.
    pub ipc_connections_max: usize,
    /// Connections of clients over TCP.
    pub rpc_connections_max: usize,
    /// TCP connections that have neither registered nor finished the handshake of a node. They do not exclude the
    /// others. At the limit, the oldest one that has sent nothing is closed for the next one.
    pub unregistered_max: usize,
    /// Connections that are being told why they are closed. Further ones are closed without a reason.
    pub refusals_max: usize,
    /// The longest frame of a connection that has not registered.
    pub unregistered_frame_bytes_max: usize,
    /// Bytes of requests a session reads ahead of the one it is answering.
    pub session_read_ahead_bytes: usize,
    /// Requests that wait for an object or name to appear, on the whole node.
    pub waiting_max: usize,

    /// A writer of a stream waits before all blobs together use this much of the arena, percent.
    pub stream_threshold_percent: u8,
    /// How long a writer of a stream waits for memory that no reader of a stream can make free.
    pub stream_memory_wait: Duration,
    /// Pause between two looks of a writer that waits for memory; most freed memory wakes it sooner.
    pub stream_memory_recheck: Duration,
    /// Longest silence between a relay of a stream and the stream's node, while both are well.
    pub relay_period: Duration,
    /// Pause before a relay asks again after a failure.
    pub relay_retry: Duration,

    /// Connections one large blob is spread over.
    pub bulk_connections: usize,
    /// Bytes asked for at once on one of them.
    pub bulk_range_bytes: u64,
    /// Blobs and copies below this stay on one connection and on the actor thread.
    pub bulk_bytes_min: u64,
    /// Worker threads for bulk bytes.
    pub bulk_threads: usize,
    /// Jobs in the queue of one worker before further callers wait. The number of started jobs is bounded by the number
    /// of callers: `rpc_connections_max`, the nodes of the cluster, and `migrations_max` times `bulk_connections`.
    pub bulk_queue: usize,
    /// Migrations that may move bytes at the same time; the next ones queue.
    pub migrations_max: usize,
    /// A question how far a drain is waits so long for its end.
    pub drain_step: Duration,
    /// How a drain ended is kept for so long for those who ask.
    pub drain_outcome_kept: Duration,

    /// Pause between two heartbeats of the raft leader.
    pub raft_heartbeat: Duration,
    /// A follower that receives nothing for a random time in this range starts an election.
    pub raft_election_min: Duration,
    pub raft_election_max: Duration,
    /// Log entries between two snapshots.
    pub raft_snapshot_entries: Option<u64>,
    /// Pause between two rounds of the leader's failure detector.
    pub liveness_period: Duration,
    /// Silence after which an instance is reported unreachable.
    pub unreachable_after: Duration,
    /// The pages of a freed extent are returned to the system after this time unused.
    pub page_decay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metadata_deadline: Duration::from_secs(5),
            answer_before: Duration::from_millis(500),
            sync_deadline: Duration::from_secs(1),
            transfer_deadline_base: Duration::from_secs(30),
            transfer_bytes_per_second_min: 50_000_000,
            connect_deadline: Duration::from_secs(2),
            register_deadline: Duration::from_secs(10),
            frame_stall_max: Duration::from_secs(30),
            login_deadline: Duration::from_secs(4),
            wrong_passwords_max: 3,
            parting_deadline: Duration::from_secs(1),
            http_connections_max: 64,
            http_header_deadline: Duration::from_secs(5),
            http_header_bytes_max: 16 << 10,
            http_answer_deadline: Duration::from_secs(5),
            disk_answer_deadline: Duration::from_secs(2),
            ready_behind_max: 100,
            stop_deadline: Duration::from_secs(5),
            stats_deadline: Duration::from_secs(1),
            peer_idle_deadline: Duration::from_secs(60),
            grace_max: Duration::from_secs(30 * 24 * 60 * 60),
            save_retry: Duration::from_secs(1),
            accept_pause: Duration::from_millis(50),
            socket_check: Duration::from_secs(2),
            full_said_every: Duration::from_secs(60),
            join_retry: Duration::from_millis(500),
            leaderless_after: Duration::from_secs(3),
            places_retry_max: Duration::from_secs(4),
            join_retry_max: Duration::from_secs(4),
            unknown_secret_retried: Duration::from_secs(2),

            slow_request: Duration::from_secs(1),

            turn_items_max: 4096,

            mailbox_capacity: 1024,
            ipc_connections_max: 16_384,
            rpc_connections_max: 16_384,
            unregistered_max: 4096,
            refusals_max: 256,
            unregistered_frame_bytes_max: 64 << 10,
            session_read_ahead_bytes: 256 << 10,
            waiting_max: 65_536,

            stream_threshold_percent: STREAM_THRESHOLD_PERCENT,
            stream_memory_wait: Duration::from_secs(30),
            stream_memory_recheck: Duration::from_millis(250),
            relay_period: Duration::from_millis(500),
            relay_retry: Duration::from_millis(100),

            bulk_connections: 4,
            bulk_range_bytes: 16 << 20,
            bulk_bytes_min: 256 << 10,
            bulk_threads: 2,
            bulk_queue: 64,
            migrations_max: 16,
            drain_step: Duration::from_millis(500),
            drain_outcome_kept: Duration::from_secs(5),

            raft_heartbeat: Duration::from_millis(100),
            raft_election_min: Duration::from_millis(350),
            raft_election_max: Duration::from_millis(700),
            raft_snapshot_entries: None,
            liveness_period: Duration::from_millis(500),
            unreachable_after: Duration::from_secs(2),
            page_decay: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// How long moving `bytes` may take in all.
    pub fn transfer_deadline(&self, bytes: u64) -> Duration {
        let rate = self.transfer_bytes_per_second_min.max(1);
        let moving = Duration::from_millis(bytes.saturating_mul(1000) / rate);
        self.transfer_deadline_base.saturating_add(moving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_transfer_has_a_later_deadline() {
        let limits = Limits::default();
        assert_eq!(limits.transfer_deadline(0), Duration::from_secs(30));
        assert_eq!(
            limits.transfer_deadline(500_000_000),
            Duration::from_secs(40)
        );
        assert!(limits.transfer_deadline(u64::MAX) > Duration::from_secs(30));
    }
}
