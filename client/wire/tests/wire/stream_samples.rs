//! Examples and strategies of what requests and replies say of streams.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use vineyard_wire::json::{ReplyType, RequestType};
use vineyard_wire::stream::{
    ChunkBatch, CreateStream, CursorStatus, GetNextStreamChunk, OnReaderGone, OpenStream,
    PullNextStreamChunk, PulledChunks, PushNextStreamChunk, ReadFrom, ReadFromWord, ReadersKind,
    StopStream, StreamRules, StreamState, StreamStatus,
};
use vineyard_wire::{InstanceId, ObjectId, Reply, Request, TreeText};

use crate::reply_samples::payload;
use crate::reply_strategies;
use crate::samples::{BLOB, OBJECT, OTHER_BLOB, OTHER_OBJECT, content};
use crate::strategies::{id, ids, text, tree};

fn rules() -> StreamRules {
    StreamRules {
        window_bytes_max: Some(33_554_432),
        readers: ReadersKind::Each,
        readers_min: 2,
        retain_bytes_max: 1_048_576,
        on_reader_gone: OnReaderGone::Wait,
        ephemeral: true,
    }
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let mut all = plain_requests();
    let get_next = GetNextStreamChunk {
        id: OBJECT,
        size: 128,
        timeout_ms: Some(1_500),
    };
    let push = PushNextStreamChunk {
        id: OBJECT,
        chunk: BLOB,
        seal: true,
        inline: None,
        bytes: vec![],
        timeout_ms: Some(1_500),
    };
    let inline = PushNextStreamChunk {
        id: OBJECT,
        chunk: ObjectId::INVALID,
        seal: false,
        inline: Some(5),
        bytes: b"hello".to_vec(),
        timeout_ms: None,
    };
    let pull = PullNextStreamChunk {
        id: OBJECT,
        max: Some(16),
        cursor: Some("c1".into()),
        timeout_ms: Some(1_500),
    };
    let stop = StopStream {
        id: OBJECT,
        failed: true,
        reason: Some("line 7 is ragged".into()),
    };
    let create = CreateStream {
        object_id: OBJECT,
        rules: rules(),
        source: None,
    };
    let migrate = CreateStream {
        object_id: OBJECT,
        rules: StreamRules::default(),
        source: Some(OTHER_OBJECT),
    };
    let open = |from| OpenStream {
        object_id: OBJECT,
        mode: 1,
        cursor: Some("c1".into()),
        from: Some(from),
    };
    let start = open(ReadFrom::Word(ReadFromWord::Start));
    all.extend([
        ("ours", Request::CreateStream(create)),
        ("source", Request::CreateStream(migrate)),
        ("start", Request::OpenStream(start)),
        ("number", Request::OpenStream(open(ReadFrom::Number(7)))),
        ("ours", Request::GetNextStreamChunk(get_next)),
        ("ours", Request::PushNextStreamChunk(push)),
        ("inline", Request::PushNextStreamChunk(inline)),
        ("ours", Request::PullNextStreamChunk(pull)),
        ("ours", Request::StopStream(stop)),
        ("", Request::StreamStatus { id: OBJECT }),
    ]);
    all
}

/// As the released client sends them.
fn plain_requests() -> Vec<(&'static str, Request)> {
    let create = CreateStream {
        object_id: OBJECT,
        rules: StreamRules::default(),
        source: None,
    };
    let open = OpenStream {
        object_id: OBJECT,
        mode: 2,
        cursor: None,
        from: None,
    };
    let get_next = GetNextStreamChunk {
        id: OBJECT,
        size: 128,
        timeout_ms: None,
    };
    let push = PushNextStreamChunk {
        id: OBJECT,
        chunk: OTHER_OBJECT,
        seal: false,
        inline: None,
        bytes: vec![],
        timeout_ms: None,
    };
    let pull = PullNextStreamChunk {
        id: OBJECT,
        max: None,
        cursor: None,
        timeout_ms: None,
    };
    let stop = StopStream {
        id: OBJECT,
        failed: false,
        reason: None,
    };
    vec![
        ("", Request::CreateStream(create)),
        ("", Request::OpenStream(open)),
        ("", Request::GetNextStreamChunk(get_next)),
        ("", Request::PushNextStreamChunk(push)),
        ("", Request::PullNextStreamChunk(pull)),
        ("", Request::StopStream(stop)),
        ("", Request::DropStream { id: OBJECT }),
    ]
}

pub(crate) fn replies() -> Vec<(&'static str, Reply)> {
    let pulled = |chunk, batch| Reply::PullNextStreamChunk(PulledChunks { chunk, batch });
    let batch = ChunkBatch {
        chunks: vec![BLOB, OBJECT],
        numbers: vec![7, 8],
        content: BTreeMap::from([(OBJECT, TreeText::of(&content()))]),
        payloads: vec![
            payload(BLOB, 64, 100, true),
            payload(OTHER_BLOB, 512, 48, true),
        ],
        fds: vec![17],
    };
    let status = StreamStatus {
        id: OBJECT,
        state: StreamState::Failed,
        reason: Some("the writer left".into()),
        instance_id: InstanceId(0),
        rules: rules(),
        next_number: 9,
        oldest_number: 5,
        waiting_chunks: 1,
        in_flight_chunks: 2,
        window_bytes: 300,
        retained_bytes: 100,
        writer_waits: false,
        writers: 0,
        cursors: vec![CursorStatus {
            name: "c1".into(),
            next_number: 8,
            is_open: true,
            waits: false,
        }],
    };
    let buffer = payload(BLOB, 64, 128, false);
    vec![
        ("", Reply::CreateStream),
        ("", Reply::OpenStream),
        ("", Reply::GetNextStreamChunk { buffer, fd: -1 }),
        ("", Reply::PushNextStreamChunk),
        ("", pulled(BLOB, None)),
        ("ours", pulled(BLOB, Some(batch))),
        (
            "late",
            pulled(ObjectId::INVALID, Some(ChunkBatch::default())),
        ),
        ("", Reply::StopStream),
        ("", Reply::DropStream),
        ("", Reply::StreamStatus(status)),
    ]
}

fn readers() -> impl Strategy<Value = ReadersKind> {
    proptest::sample::select(&[ReadersKind::One, ReadersKind::Each, ReadersKind::Share])
}

fn rules_strategy() -> impl Strategy<Value = StreamRules> {
    (
        of(any::<u64>()),
        readers(),
        any::<[u64; 2]>(),
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(window_bytes_max, readers, [readers_min, retain_bytes_max], [waits, ephemeral])| {
                StreamRules {
                    window_bytes_max,
                    readers,
                    readers_min,
                    retain_bytes_max,
                    on_reader_gone: match waits {
                        true => OnReaderGone::Wait,
                        false => OnReaderGone::Fail,
                    },
                    ephemeral,
                }
            },
        )
}

fn from() -> impl Strategy<Value = ReadFrom> {
    prop_oneof![
        any::<u64>().prop_map(ReadFrom::Number),
        Just(ReadFrom::Word(ReadFromWord::Next)),
        Just(ReadFrom::Word(ReadFromWord::Start)),
    ]
}

pub(crate) fn request_of(verb: RequestType) -> BoxedStrategy<Request> {
    let one = (id(), id(), any::<u64>(), of(any::<u64>()), any::<bool>());
    let bytes = of(vec(any::<u8>(), 0..20));
    let ours = (rules_strategy(), of(text()), of(from()), of(any::<u64>()));
    (one, ours, bytes)
        .prop_map(
            move |((id, chunk, number, timeout_ms, flag), (rules, text, from, max), bytes)| {
                match verb {
                    RequestType::CreateStream => Request::CreateStream(CreateStream {
                        object_id: id,
                        rules,
                        source: flag.then_some(chunk),
                    }),
                    RequestType::OpenStream => Request::OpenStream(OpenStream {
                        object_id: id,
                        mode: number,
                        cursor: text,
                        from,
                    }),
                    RequestType::GetNextStreamChunk => {
                        Request::GetNextStreamChunk(GetNextStreamChunk {
                            id,
                            size: number,
                            timeout_ms,
                        })
                    }
                    RequestType::PushNextStreamChunk => {
                        Request::PushNextStreamChunk(PushNextStreamChunk {
                            id,
                            chunk,
                            seal: flag,
                            inline: bytes.as_ref().map(|bytes| bytes.len() as u64),
                            bytes: bytes.unwrap_or_default(),
                            timeout_ms,
                        })
                    }
                    RequestType::PullNextStreamChunk => {
                        Request::PullNextStreamChunk(PullNextStreamChunk {
                            id,
                            max,
                            cursor: text,
                            timeout_ms,
                        })
                    }
                    RequestType::StopStream => Request::StopStream(StopStream {
                        id,
                        failed: flag,
                        reason: text,
                    }),
                    RequestType::DropStream => Request::DropStream { id },
                    _ => Request::StreamStatus { id },
                }
            },
        )
        .boxed()
}

pub(crate) fn reply_of(kind: ReplyType) -> BoxedStrategy<Reply> {
    let payloads = vec(reply_strategies::payload(), 0..4);
    let trees = btree_map(id(), tree().prop_map(|tree| TreeText::of(&tree)), 0..3);
    let lists = (
        ids(),
        vec(any::<u64>(), 0..4),
        trees,
        payloads,
        vec(any::<i32>(), 0..3),
    );
    let batch = of(
        lists.prop_map(|(chunks, numbers, content, payloads, fds)| ChunkBatch {
            chunks,
            numbers,
            content,
            payloads,
            fds,
        }),
    );
    let parts = (
        reply_strategies::payload(),
        any::<i32>(),
        id(),
        batch,
        status(),
    );
    parts
        .prop_map(move |(buffer, fd, chunk, batch, status)| match kind {
            ReplyType::CreateStream => Reply::CreateStream,
            ReplyType::OpenStream => Reply::OpenStream,
            ReplyType::GetNextStreamChunk => Reply::GetNextStreamChunk { buffer, fd },
            ReplyType::PushNextStreamChunk => Reply::PushNextStreamChunk,
            ReplyType::PullNextStreamChunk => {
                Reply::PullNextStreamChunk(PulledChunks { chunk, batch })
            }
            ReplyType::StopStream => Reply::StopStream,
            ReplyType::DropStream => Reply::DropStream,
            _ => Reply::StreamStatus(status),
        })
        .boxed()
}

fn status() -> impl Strategy<Value = StreamStatus> {
    let state =
        proptest::sample::select(&[StreamState::Open, StreamState::Drained, StreamState::Failed]);
    let cursor = (text(), any::<u64>(), any::<[bool; 2]>()).prop_map(
        |(name, next_number, [is_open, waits])| CursorStatus {
            name,
            next_number,
            is_open,
            waits,
        },
    );
    let parts = (
        id(),
        state,
        of(text()),
        any::<u64>(),
        rules_strategy(),
        any::<[u64; 7]>(),
    );
    (parts, any::<bool>(), vec(cursor, 0..3)).prop_map(
        |((id, state, reason, instance, rules, n), writer_waits, cursors)| StreamStatus {
            id,
            state,
            reason,
            instance_id: InstanceId(instance),
            rules,
            next_number: n[0],
            oldest_number: n[1],
            waiting_chunks: n[2],
            in_flight_chunks: n[3],
            window_bytes: n[4],
            retained_bytes: n[5],
            writer_waits,
            writers: n[6],
            cursors,
        },
    )
}
