//! What members say to each other. Flat, versioned and capped by the peer codec.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vineyard_wire::{NodeId, Trace};

use crate::command::{Command, Outcome, RequestKey};
use crate::error::Shortage;
use crate::types::{LogId, SnapshotMeta, TypeConfig, Vote};

type Append = openraft::raft::AppendEntriesRequest<TypeConfig>;
type Appended = openraft::raft::AppendEntriesResponse<TypeConfig>;
type VoteRequest = openraft::raft::VoteRequest<TypeConfig>;
type VoteResponse = openraft::raft::VoteResponse<TypeConfig>;
type TakeOver = openraft::raft::TransferLeaderRequest<TypeConfig>;
type TakenOver = openraft::raft::TransferLeaderResponse<TypeConfig>;

/// Variants are only ever appended, here and in `Answer`: a member of before answers what it does not know by hanging
/// up.
#[derive(Serialize, Deserialize)]
pub(crate) enum Question {
    Append(Append),
    Vote(VoteRequest),
    PreVote(VoteRequest),
    Snapshot(Chunk),
    /// A command for the leader to propose, at most once under its key.
    Forward {
        key: Option<RequestKey>,
        command: Arc<Command>,
    },
    /// The index that a linearizable read must wait for.
    ReadIndex,
    Admit {
        key: u128,
        endpoint: String,
    },
    WhoLeads,
    /// The leader leaves, and says who shall lead.
    TakeOver(TakeOver),
    /// Only asked where every member is at feature level `PUBLISH` or above.
    AdmitAt {
        key: u128,
        endpoint: String,
        level: u8,
    },
    /// As `Forward`, with the trace of the request that the command is a part of. Only asked where every member is at
    /// feature level `PUBLISH` or above.
    ForwardTraced {
        trace: Trace,
        key: Option<RequestKey>,
        command: Arc<Command>,
    },
    /// What the leader knows of its majority and its members. Only asked of nodes at feature level `MEMBERS` or above.
    Standing,
}

/// What a leader knows of its majority and its members, in milliseconds before the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Since a majority last answered.
    pub(crate) quorum_ms: Option<u64>,
    pub(crate) has_quorum: bool,
    /// Since each other member last answered.
    pub(crate) members_ms: Vec<(NodeId, u64)>,
}

/// A piece of a snapshot. Pieces of one snapshot come in order on one connection.
#[derive(Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Bytes of the whole snapshot.
    pub(crate) total: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(Appended),
    Vote(VoteResponse),
    /// The vote of the receiver; present in the answer to every piece.
    Snapshot(Vote),
    /// The entry's place in the log, and what `apply` made of it.
    Forwarded {
        log_id: LogId,
        outcome: Outcome,
    },
    ReadIndex(u64),
    Admitted {
        node: NodeId,
        cluster: String,
    },
    /// Who leads and where it listens, as far as this member knows.
    Leads(Option<(NodeId, String)>),
    /// This member does not lead; perhaps it knows who does.
    NotLeader(Option<NodeId>),
    Failed(String),
    TakenOver(TakenOver),
    /// The command was not proposed: it needs a higher feature level than the cluster's.
    TooNew {
        needed: u8,
        level: u8,
    },
    /// The node was not admitted: it does not know the cluster's feature level.
    TooOld {
        cluster: u8,
        node: u8,
    },
    /// To `Standing`.
    Standing(Standing),
    /// The command was not proposed: the leader's disk has too little room. Only answered where every member is at
    /// feature level `MEMBERS` or above.
    NoRoom(Shortage),
}
