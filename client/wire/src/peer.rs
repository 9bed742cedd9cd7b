//! What our own nodes say to each other: bincode frames on the node's one TCP port.
//!
//! A connection opens with `MAGIC`, then a mutual challenge: each side proves that it knows the cluster's secret,
//! which itself never travels. After that the connection serves one `Purpose`; for `IntroducedRaft`, both sides first
//! say which process of their node they are. Raft's own messages are the raft crate's; they use `encode` and `decode`
//! from here.

#![allow(
    missing_docs,
    reason = "most messages and fields are named as on the wire, and docs/protocol.md says what they mean"
)]

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeId, ObjectId, Trace};
use crate::json::items;
use crate::limits::PEER_FRAME_BYTES_MAX;
use crate::reply::{DrainProgress, MemoryPieces, NodeStats, StreamTotals};
use crate::status::Status;
use crate::stream::{OnReaderGone, ReadersKind};

/// The first bytes of a peer connection. Bytes 4 to 7 are not zero, so no vineyard client frame starts like this.
pub const MAGIC: [u8; 8] = *b"vypeer1\n";
/// Version of everything below. A node refuses another version by name.
pub const VERSION: u8 = 1;
/// Bytes of a nonce and of a proof.
pub const PROOF_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Raft's messages, forwarded commands and read barriers.
    Raft,
    /// `Ask` and `Answer`, in turn.
    Node,
    /// As `Raft`, after both sides have said which process of their node they are (`Life`, `Introduced`).
    IntroducedRaft,
}

/// First frame, from the side that dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u8,
    /// Cluster id, as in the token.
    pub cluster: String,
    /// Raised when a cluster is recovered by hand, so that nodes of the old one cannot return.
    pub epoch: u64,
    /// Absent while joining.
    pub from: Option<NodeId>,
    pub purpose: Purpose,
    pub nonce: [u8; PROOF_BYTES],
}

/// Second frame: the listener's nonce, and its proof over both nonces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    Proceed {
        nonce: [u8; PROOF_BYTES],
        proof: [u8; PROOF_BYTES],
    },
    Refused(String),
}

/// Third frame: the dialler's proof over both nonces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub proof: [u8; PROOF_BYTES],
}

/// Fourth frame. After `Welcome` the connection serves its purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    Welcome { node: NodeId, epoch: u64 },
    Refused(String),
}

/// First frame on a connection for `IntroducedRaft`, from the side that dialled: which process of its node it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pub instance: InstanceId,
    /// Random, drawn once by each process: two processes of one instance differ in it.
    pub key: u128,
    /// The keys of the lives before that its disk remembers.
    #[serde(deserialize_with = "items")]
    pub before: Vec<u128>,
}

/// The answer to `Life`. After `Welcome` come raft's messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Introduced {
    Welcome(Life),
    /// The cluster has seen a later boot of the caller's node, or another process of the same boot: its data
    /// directory is a copy, or an older state.
    Outlived,
    /// The caller's node was removed from the cluster. Sent at feature level 4 and above.
    Removed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    Join(Join),
    /// The stats of this node for `cluster_status`.
    Stats,
    /// Bytes of sealed blobs. The answer is `Bytes`, then the ranges' raw bytes one after the other, then the xxh3 of
    /// all of them (u64 LE).
    Read {
        #[serde(deserialize_with = "items")]
        ranges: Vec<Range>,
    },
    /// As `Join`, from a node that knows the feature level `level` of the replicated state. A node that does not know
    /// this question hangs up.
    JoinAt {
        join: Join,
        level: u8,
    },
    /// As `Read`, with the trace of the request that the bytes are for. Only asked where every member is at feature
    /// level 2 or above.
    ReadTraced {
        trace: Trace,
        #[serde(deserialize_with = "items")]
        ranges: Vec<Range>,
    },
    /// As `Stats`, with the pieces of the memory. A node that does not know this question hangs up.
    MemoryStats,
    /// Opens a stream of this node for readers of another one. This and all that follow are only asked of nodes at
    /// feature level 3 or above.
    OpenRelay(OpenRelay),
    /// The next chunks of an opened relay. Waits a while for one if the relay has none that is unread.
    PullRelay(PullRelay),
    /// The relay's readers are gone, or done.
    LeaveRelay {
        reader: InstanceId,
        stream: ObjectId,
    },
    /// As `MemoryStats`, with the streams.
    StreamStats,
    /// As `StreamStats`, with what the node says of itself. Only asked of nodes at feature level 4 or above.
    About,
    /// A node says where it listens, and asks where the others do. A node that does not know this question hangs up.
    Moved(Moved),
    /// To be drained, or how far that is. This and the next are only asked where every member is at feature level 4 or
    /// above.
    Drain {
        all: bool,
    },
    /// To copy these blobs under their own ids, and to let the cluster know. What is deleted meanwhile is left out.
    TakeCopies {
        #[serde(deserialize_with = "items")]
        blobs: Vec<ObjectId>,
    },
    /// To agree to form a cluster with these and with no others. Only asked of a node that has answered `Fresh`.
    Form {
        #[serde(deserialize_with = "items")]
        set: Vec<Candidate>,
    },
    /// What the node says of itself to a client of the one that asks; with `held_by`, what that session holds. Only
    /// asked of nodes at feature level 4 or above.
    Describe {
        held_by: Option<u64>,
    },
    /// As `Drain`; how a drain ended that is over is no answer.
    BeginDrain {
        all: bool,
    },
}

/// A node that may become one of the first of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// As in its `Join`.
    pub key: u128,
    /// Where it listens, for messages to people.
    pub endpoint: String,
}

/// What a node that waits for its cluster to form says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fresh {
    pub candidate: Candidate,
    /// How many nodes are to form the cluster.
    pub expect: u8,
    /// The keys of the fresh nodes that answered it last, its own among them, in order.
    #[serde(deserialize_with = "items")]
    pub sees: Vec<u128>,
    /// The set to which it has agreed, in the order of the keys; empty if it has not.
    #[serde(deserialize_with = "items")]
    pub agreed: Vec<Candidate>,
    /// Random, made once per process: two that have the same key run from copies of one data directory.
    pub process: u64,
}

/// What a node says of itself besides its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub version: String,
    pub uptime_ms: u64,
    pub commit_index: u64,
    pub applied_index: u64,
    /// Why it takes no part in the cluster any more.
    pub failure: Option<String>,
    /// Its clock.
    pub unix_ms: u64,
    /// What its disk lacks, if it has too little room.
    pub shortage: Option<String>,
    /// Bytes of metadata of its objects that are not persisted, and how many it keeps.
    pub transient_bytes: u64,
    pub transient_quota_bytes: u64,
}

/// Where a process listens that the cluster has not registered there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub life: Life,
    /// `host:port`; the host may be a name.
    pub endpoint: String,
}

/// Where a process of a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    pub instance: InstanceId,
    pub endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRelay {
    /// The process that asks: this node sees it as one reader.
    pub reader: InstanceId,
    pub stream: ObjectId,
    pub cursor: String,
    pub from: RelayFrom,
}

/// The first chunk to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayFrom {
    Next,
    Start,
    Number(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRelay {
    pub reader: InstanceId,
    pub stream: ObjectId,
    /// How many chunks the relay has copied. Those that it was given after them are given again.
    pub copied: u64,
    /// How many of these its readers are done with. They are acknowledged.
    pub read: u64,
    /// At most so many bytes are given; at least one chunk if none is unread and this is not 0.
    pub credit_bytes: u64,
}

/// A chunk of a relayed stream. Its bytes are fetched by `Read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedChunk {
    pub id: ObjectId,
    /// Of an object: its tree as JSON text.
    pub tree: Option<String>,
    /// Every blob among and below it, with its size.
    #[serde(deserialize_with = "items")]
    pub blobs: Vec<(ObjectId, u64)>,
}

/// A part of a sealed blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub blob: ObjectId,
    pub offset: u64,
    pub len: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Random, made once per data directory: joining twice gives the same node id.
    pub key: u128,
    /// Where the joiner listens, `host:port`.
    pub endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Joined {
        node: NodeId,
        cluster: String,
        epoch: u64,
    },
    Stats {
        instance: InstanceId,
        stats: NodeStats,
    },
    /// `len` raw bytes and their checksum follow.
    Bytes {
        len: u64,
    },
    Refused(Status),
    /// To `MemoryStats`.
    MemoryStats {
        instance: InstanceId,
        stats: NodeStats,
        pieces: MemoryPieces,
    },
    /// To `OpenRelay`.
    RelayOpened {
        /// The number of the first chunk that the relay gets.
        next_number: u64,
        window_bytes_max: Option<u64>,
        readers: ReadersKind,
        on_reader_gone: OnReaderGone,
    },
    /// To `PullRelay`. The end, and why a stream failed, is `Refused` once all chunks are read.
    Relayed {
        #[serde(deserialize_with = "items")]
        chunks: Vec<RelayedChunk>,
        /// No more will come.
        is_last: bool,
    },
    /// To `LeaveRelay`.
    RelayLeft,
    /// To `StreamStats`.
    StreamStats {
        instance: InstanceId,
        stats: NodeStats,
        pieces: MemoryPieces,
        streams: StreamTotals,
    },
    /// To `About`.
    About {
        instance: InstanceId,
        about: About,
        stats: NodeStats,
        pieces: MemoryPieces,
        streams: StreamTotals,
    },
    /// To `Moved`: where the nodes listen of which this one knows, itself among them.
    Places {
        #[serde(deserialize_with = "items")]
        places: Vec<Whereabouts>,
    },
    /// To `Moved`: the cluster has seen a later boot of the caller's node, or another process of the same boot.
    Outlived,
    /// To `Moved`: the caller's node was removed from the cluster.
    Removed,
    /// To `Drain`.
    Drain(DrainProgress),
    /// To `TakeCopies`: the cluster knows of the copies.
    CopiesTaken,
    /// To `Join` and `JoinAt`, of a node that no cluster has admitted either and that was told to form one.
    Fresh(Fresh),
    /// To `Form`: the disk of the node that answers has it.
    Agreed,
    /// To `Describe`: a `describe_node_reply` as JSON text.
    Described(String),
}

/// A frame that is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerCodecError {
    #[error("message of {bytes} bytes; at most {PEER_FRAME_BYTES_MAX} are allowed")]
    TooLong { bytes: usize },
    #[error("message version {found}; this node speaks {VERSION}")]
    Version { found: u8 },
    #[error("malformed peer message: {0}")]
    Malformed(String),
    #[error("{0} bytes after the message")]
    Trailing(usize),
}

const CONFIG: Configuration<LittleEndian, Varint, Limit<PEER_FRAME_BYTES_MAX>> =
    bincode::config::standard().with_limit::<PEER_FRAME_BYTES_MAX>();

/// What one byte may count as against a decoder's limit: bincode counts all that a number could take, not what it does.
const COUNTED_PER_BYTE: usize = 16;

/// The body of a peer frame: the version byte, then the message.
///
/// Messages are flat: nothing recursive, no sequences of zero-size elements, no serde attribute that hides a length
/// (`flatten`, `untagged`, `skip_serializing_if`). bincode is called here and nowhere else.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut out = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut out, CONFIG)
        .expect("a flat message has known lengths, and memory takes every write");
    out
}

/// A message from a frame's body. Whatever fits a frame can be decoded, and nothing longer than a frame allows, or than
/// sixteen times what was sent, is ever allocated.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, PeerCodecError> {
    if body.len() > PEER_FRAME_BYTES_MAX {
        return Err(PeerCodecError::TooLong { bytes: body.len() });
    }
    const SMALL: usize = PEER_FRAME_BYTES_MAX / COUNTED_PER_BYTE;
    const MIDDLING: usize = 4 * SMALL;
    let unlimited = bincode::config::standard();
    if body.len() <= SMALL {
        decode_with(body, CONFIG)
    } else if body.len() <= MIDDLING {
        decode_with(
            body,
            unlimited.with_limit::<{ COUNTED_PER_BYTE * MIDDLING }>(),
        )
    } else {
        decode_with(
            body,
            unlimited.with_limit::<{ COUNTED_PER_BYTE * PEER_FRAME_BYTES_MAX }>(),
        )
    }
}

fn decode_with<T: DeserializeOwned>(
    body: &[u8],
    config: impl bincode::config::Config,
) -> Result<T, PeerCodecError> {
    let (version, rest) = body
        .split_first()
        .ok_or_else(|| PeerCodecError::Malformed("empty frame".to_owned()))?;
    if *version != VERSION {
        return Err(PeerCodecError::Version { found: *version });
    }
    let (message, read) = bincode::serde::decode_from_slice(rest, config)
        .map_err(|error| PeerCodecError::Malformed(error.to_string()))?;
    if read < rest.len() {
        return Err(PeerCodecError::Trailing(rest.len() - read));
    }
    Ok(message)
}
