//! Chunks of a stream, as replies have them.

use serde::Deserialize;

use super::{Keyed, keyed, no_fd};
use crate::id::ObjectId;
use crate::json::body::Body;
use crate::json::lists::Items;
use crate::meta::TreeText;
use crate::reply::{Payload, Reply};
use crate::stream::{ChunkBatch, PulledChunks};

#[derive(Deserialize)]
pub(super) struct NextChunk {
    buffer: Payload,
    #[serde(default = "no_fd")]
    fd: i32,
}

pub(super) fn next_chunk(next: NextChunk) -> Reply {
    Reply::GetNextStreamChunk {
        buffer: next.buffer,
        fd: next.fd,
    }
}

pub(super) fn encode(body: Body, pulled: &PulledChunks) -> Body {
    let body = body.field("chunk", &pulled.chunk);
    match &pulled.batch {
        None => body,
        Some(batch) => body
            .field("chunks", &batch.chunks)
            .field("numbers", &batch.numbers)
            .trees("content", &batch.content)
            .field("payloads", &batch.payloads)
            .field("fds", &batch.fds),
    }
}

/// The lists come together, and only for a request that asked for them.
#[derive(Deserialize)]
pub(super) struct Pulled {
    chunk: ObjectId,
    chunks: Option<Items<ObjectId>>,
    numbers: Option<Items<u64>>,
    content: Option<Keyed<ObjectId, TreeText>>,
    payloads: Option<Items<Payload>>,
    fds: Option<Items<i32>>,
}

pub(super) fn pulled(pulled: Pulled) -> Reply {
    let batch = pulled.chunks.map(|chunks| ChunkBatch {
        chunks: chunks.0,
        numbers: list(pulled.numbers),
        content: pulled.content.map(keyed).unwrap_or_default(),
        payloads: list(pulled.payloads),
        fds: list(pulled.fds),
    });
    Reply::PullNextStreamChunk(PulledChunks {
        chunk: pulled.chunk,
        batch,
    })
}

fn list<T>(items: Option<Items<T>>) -> Vec<T> {
    items.map(|items| items.0).unwrap_or_default()
}
