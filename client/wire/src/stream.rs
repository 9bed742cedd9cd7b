//! What requests and replies say of streams. What we added to vineyard 0.24 is optional and absent by default, so an
//! old client neither sends nor receives it.

#![allow(
    missing_docs,
    reason = "most messages and fields are named as on the wire, and docs/protocol.md says what they mean"
)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ObjectId};
use crate::meta::TreeText;
use crate::reply::Payload;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateStream {
    pub object_id: ObjectId,
    /// Ours, with all fields below.
    #[serde(flatten)]
    pub rules: StreamRules,
    /// Ours: a stream of another node, whose chunks this one gets as they come. Its rules count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ObjectId>,
}

/// Ours: how a stream behaves beyond vineyard 0.24.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRules {
    /// Most bytes of chunks that are written, wait or are in flight. Absent: the node's threshold alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_bytes_max: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub readers: ReadersKind,
    /// No chunk goes before this many cursors are open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub readers_min: u64,
    /// Chunks that all have read are kept up to this, for replay.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retain_bytes_max: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_reader_gone: OnReaderGone,
    /// The stream, its metadata and its names go with the connection that created it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ephemeral: bool,
}

/// Who gets a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadersKind {
    /// The one reader there is.
    #[default]
    One,
    /// Every cursor.
    Each,
    /// One of the cursors.
    Share,
}

/// What becomes of a stream when a reader goes before the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReaderGone {
    /// The writer is told.
    #[default]
    Fail,
    /// The next open of the cursor goes on.
    Wait,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    pub object_id: ObjectId,
    /// 1 to read, 2 to write.
    pub mode: u64,
    /// Ours: which of several readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Ours: the first chunk to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ReadFrom>,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReadFrom {
    Number(u64),
    Word(ReadFromWord),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFromWord {
    /// Where the cursor was; a new one begins with the oldest chunk that is not read.
    Next,
    /// The oldest chunk that is kept.
    Start,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetNextStreamChunk {
    pub id: ObjectId,
    pub size: u64,
    /// Ours: how long to wait, milliseconds. Absent: as long as the client lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushNextStreamChunk {
    pub id: ObjectId,
    pub chunk: ObjectId,
    /// Ours: seal the blob `chunk` first, so that it is readable at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seal: bool,
    /// Ours: the chunk is a new blob of so many bytes, which follow the JSON text in its frame as those of a
    /// `PutObject`; `chunk` is `INVALID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<u64>,
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// Ours: how long to wait for the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullNextStreamChunk {
    pub id: ObjectId,
    /// Ours: at most this many chunks, and the reply has their bytes' places and trees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Ours: which cursor of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Ours: how long to wait. With `max`, a wait that ends so is a reply without chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopStream {
    pub id: ObjectId,
    pub failed: bool,
    /// Ours: what readers are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to a pull.
#[derive(Clone, Debug, PartialEq)]
pub struct PulledChunks {
    /// The first; `INVALID` if the wait ended without one.
    pub chunk: ObjectId,
    /// Ours: absent unless the request had `max`.
    pub batch: Option<ChunkBatch>,
}

/// Ours: all chunks of a pull, with what it takes to read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkBatch {
    pub chunks: Vec<ObjectId>,
    /// Of each chunk, its place in the stream; the first ever is 0.
    pub numbers: Vec<u64>,
    /// The trees of the chunks that are objects.
    pub content: BTreeMap<ObjectId, TreeText>,
    /// Of every blob among and below the chunks that is on this node, each once.
    pub payloads: Vec<Payload>,
    pub fds: Vec<i32>,
}

/// Ours: what there is to know of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    pub id: ObjectId,
    pub state: StreamState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it is.
    pub instance_id: InstanceId,
    pub rules: StreamRules,
    /// The number that the next chunk gets.
    pub next_number: u64,
    /// The number of the oldest chunk that is kept.
    pub oldest_number: u64,
    /// Chunks that a reader has not got yet.
    pub waiting_chunks: u64,
    /// Chunks that a reader has got, and has not asked for the next one.
    pub in_flight_chunks: u64,
    /// Of those, and of the chunk that is being written.
    pub window_bytes: u64,
    /// Of chunks that all have read.
    pub retained_bytes: u64,
    pub writer_waits: bool,
    pub writers: u64,
    pub cursors: Vec<CursorStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    Open,
    /// All is written.
    Drained,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorStatus {
    pub name: String,
    /// The number of the chunk that it gets next.
    pub next_number: u64,
    /// Whether a connection reads by it now.
    pub is_open: bool,
    pub waits: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
