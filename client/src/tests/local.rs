//! Over the Unix socket: frames, descriptors, mappings.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use vineyard_env::{Access, LocalStream};
use vineyard_shm::{Arena, MemfdMemory};
use vineyard_wire::{Code, ObjectId, Reply, Request, Status, json};

use super::fake::{ARENA_BYTES, FakeIpc, HERE, Peer, Recorder, blob_id, error, payload};
use crate::{Error, Options, World};

const WRITE_NUMBER: i32 = 17;
const READ_NUMBER: i32 = 18;

#[tokio::test]
async fn a_frame_is_a_length_and_json() {
    let mut node = FakeIpc::listen().await;
    let (world, options, path) = (World::system(), Options::default(), node.path());
    let connect = world.connect_ipc(&path, &options);
    let (client, ()) = tokio::join!(connect, async {
        let mut peer = Peer(node.listener.accept().await.unwrap());
        let body = peer.body().await;
        let expected: &[u8] = br#"{"deadline_ms":5000,"features":["release","objects","fetch","trace","streams","states"],"password":"","session_id":0,"store_type":1,"type":"register_request","username":"","version":"0.24.2"}"#;
        let parse = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap();
        assert_eq!(parse(&body), parse(expected));
        // Byte by byte: a reply need not arrive in one piece.
        let frame =
            vineyard_wire::frame::with_header(&json::encode_reply(&super::fake::registered(&[])));
        for byte in frame {
            peer.0.write_all(&[byte]).await.unwrap();
        }
    });
    let client = client.unwrap();
    assert_eq!(client.instance_id(), HERE);
    assert_eq!(
        (client.ipc_socket(), client.rpc_endpoint()),
        ("node.sock", "127.0.0.1:9600")
    );
    assert_eq!(client.version(), "0.24.2");
}

#[tokio::test]
async fn a_connection_that_the_node_closed_is_known_to_have_ended() {
    let mut node = FakeIpc::listen().await;
    let (client, peer) = node.client(&World::system(), &Options::default()).await;
    assert!(!client.has_ended().await);
    drop(peer);
    assert!(client.has_ended().await);
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    // Nobody asked for it.
    peer.0.write_all(b"x").await.unwrap();
    assert!(client.has_ended().await);
    let (client, _peer) = node.client(&World::system(), &Options::default()).await;
    client.close().await;
    assert!(client.has_ended().await);
}

#[tokio::test]
async fn each_arena_is_received_once_and_mapped_for_what_it_is_used() {
    let recorder = Arc::new(Recorder::default());
    let world = World {
        encrypts: false,
        memory: recorder.clone(),
        ..World::system()
    };
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&world, &Options::default()).await;
    tokio::join!(serve_two_rounds(&mut peer), async {
        for round in 1..=2 {
            let mut writer = client.create_blob(5).await.unwrap();
            writer.as_mut_slice().copy_from_slice(b"hello");
            assert_eq!(writer.id(), Some(blob_id(round)));
            let sealed = writer.seal().await.unwrap();
            assert_eq!(&sealed[..], b"hello");
            let got = client.get_blob(blob_id(round)).await.unwrap();
            assert_eq!(&got[..], b"hello");
            assert_eq!((got.id(), got.len()), (blob_id(round), 5));
        }
    });
    let opened = recorder.opened.lock().unwrap().clone();
    assert_eq!(
        opened,
        [
            (ARENA_BYTES, Access::ReadWrite),
            (ARENA_BYTES, Access::ReadOnly)
        ]
    );
}

async fn serve_two_rounds(peer: &mut Peer<dyn LocalStream>) {
    let region = vineyard_env::Memory::create(&MemfdMemory, "t", ARENA_BYTES).unwrap();
    let arena = Arena::new(region.clone());
    for round in 1..=2_u64 {
        let first = round == 1;
        let (id, offset) = (blob_id(round), 64 * round as i64);
        let created = payload(id, WRITE_NUMBER, offset, 5);
        let fd = if first { WRITE_NUMBER } else { -1 };
        peer.answer(
            Request::CreateBuffer { size: 5 },
            Reply::CreateBuffer { id, created, fd },
        )
        .await;
        if first {
            peer.0
                .send_memory(&region.share(Access::ReadWrite).unwrap())
                .await
                .unwrap();
        }
        peer.answer(Request::Seal { object_id: id }, Reply::Seal)
            .await;
        assert_eq!(&arena.slice(offset as u64, 5).unwrap()[..], b"hello");
        let payloads = vec![payload(id, READ_NUMBER, offset, 5)];
        let fds = if first { vec![READ_NUMBER] } else { Vec::new() };
        let request = Request::GetBuffers {
            ids: vec![id],
            unsafe_: false,
        };
        peer.answer(
            request,
            Reply::GetBuffers {
                payloads,
                fds,
                compress: false,
            },
        )
        .await;
        if first {
            peer.0
                .send_memory(&region.share(Access::ReadOnly).unwrap())
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn an_arena_that_was_not_announced_closes_the_connection() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let (result, ()) = tokio::join!(client.get_blob(blob_id(1)), async {
        let request = Request::GetBuffers {
            ids: vec![blob_id(1)],
            unsafe_: false,
        };
        let payloads = vec![payload(blob_id(1), READ_NUMBER, 64, 5)];
        peer.answer(
            request,
            Reply::GetBuffers {
                payloads,
                fds: Vec::new(),
                compress: false,
            },
        )
        .await;
    });
    assert!(matches!(
        error(result),
        Error::Malformed {
            request: "get_buffers_request",
            ..
        }
    ));
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
}

#[tokio::test]
async fn a_payload_outside_its_arena_is_refused() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let region = vineyard_env::Memory::create(&MemfdMemory, "t", ARENA_BYTES).unwrap();
    let (result, ()) = tokio::join!(client.get_blob(blob_id(1)), async {
        let request = Request::GetBuffers {
            ids: vec![blob_id(1)],
            unsafe_: false,
        };
        let payloads = vec![payload(blob_id(1), READ_NUMBER, ARENA_BYTES as i64 - 4, 5)];
        let fds = vec![READ_NUMBER];
        peer.answer(
            request,
            Reply::GetBuffers {
                payloads,
                fds,
                compress: false,
            },
        )
        .await;
        peer.0
            .send_memory(&region.share(Access::ReadOnly).unwrap())
            .await
            .unwrap();
    });
    assert!(matches!(error(result), Error::Mapping(_)));
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let ((), ()) = tokio::join!(
        async {
            let refused = error(client.get_name("n").await);
            assert_eq!(refused.code(), Some(Code::ObjectNotExists));
            assert!(refused.is_not_exists());
            assert_eq!(
                refused.to_string(),
                "ObjectNotExists: failed to find name: n"
            );
            client.debug().await.unwrap();
        },
        async {
            peer.request().await;
            peer.refuse(Status::not_exists("failed to find name: n"))
                .await;
            peer.answer(Request::DebugCommand, Reply::DebugCommand)
                .await;
        }
    );
}

#[tokio::test]
async fn the_answer_to_another_question_closes_the_connection() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let (result, ()) = tokio::join!(
        client.exists(ObjectId(1)),
        peer.answer(Request::Exists { id: ObjectId(1) }, Reply::Persist)
    );
    assert!(matches!(
        error(result),
        Error::Mismatch {
            request: "exists_request",
            ..
        }
    ));
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
}

#[tokio::test]
async fn many_blobs_are_created_in_one_request_and_empty_ones_in_none() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let region = vineyard_env::Memory::create(&MemfdMemory, "t", ARENA_BYTES).unwrap();
    let (ids, ()) = tokio::join!(client.put_blobs(&[b"one", b"", b"three"]), async {
        let ids = vec![blob_id(1), blob_id(2)];
        let payloads = vec![
            payload(ids[0], WRITE_NUMBER, 64, 3),
            payload(ids[1], WRITE_NUMBER, 128, 5),
        ];
        let fds = vec![WRITE_NUMBER];
        let request = Request::CreateBuffers { sizes: vec![3, 5] };
        peer.answer(request, Reply::CreateBuffers { ids, payloads, fds })
            .await;
        peer.0
            .send_memory(&region.share(Access::ReadWrite).unwrap())
            .await
            .unwrap();
        peer.answer(
            Request::Seal {
                object_id: blob_id(1),
            },
            Reply::Seal,
        )
        .await;
        peer.answer(
            Request::Seal {
                object_id: blob_id(2),
            },
            Reply::Seal,
        )
        .await;
    });
    assert_eq!(ids.unwrap(), [blob_id(1), ObjectId::EMPTY_BLOB, blob_id(2)]);
    let arena = Arena::new(region);
    assert_eq!(&arena.slice(128, 5).unwrap()[..], b"three");
}

#[tokio::test]
async fn a_blob_outlives_close_and_keeps_the_connection() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let region = vineyard_env::Memory::create(&MemfdMemory, "t", ARENA_BYTES).unwrap();
    let (blob, ()) = tokio::join!(client.get_blob(blob_id(1)), async {
        let request = Request::GetBuffers {
            ids: vec![blob_id(1)],
            unsafe_: false,
        };
        let payloads = vec![payload(blob_id(1), READ_NUMBER, 64, 5)];
        let fds = vec![READ_NUMBER];
        peer.answer(
            request,
            Reply::GetBuffers {
                payloads,
                fds,
                compress: false,
            },
        )
        .await;
        peer.0
            .send_memory(&region.share(Access::ReadOnly).unwrap())
            .await
            .unwrap();
    });
    let blob = blob.unwrap();
    client.close().await;
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
    drop(client);
    let ended = tokio::time::timeout(Duration::from_millis(50), peer.ended()).await;
    assert!(ended.is_err(), "the blob keeps the connection");
    assert_eq!(&blob[..], [0; 5]);
    drop(blob);
    assert!(peer.ended().await, "the last blob closed it");
}

#[tokio::test]
async fn close_says_goodbye() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    client.close().await;
    assert_eq!(peer.request().await, Request::Exit);
    assert!(peer.ended().await);
    client.close().await;
}
