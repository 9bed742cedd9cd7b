//! Whole objects with a node that offers them: how many messages a put and a get take, and what is in them.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::Stream;
use vineyard_wire::limits::INLINE_BYTES_MAX;
use vineyard_wire::reply::{GotObjects, MadeObject, PutDone};
use vineyard_wire::{ObjectId, Reply, Request, Signature, Tree, TreeText, request};

use super::fake::{FakeRpc, HERE, Peer, blob_id, error, payload};
use crate::{BlobSource, Client, Draft, Error, GetOptions, Options, PutBlob, PutObject, World};

const MADE: MadeObject = MadeObject {
    id: ObjectId(22),
    signature: Signature(2),
    instance_id: HERE,
};

fn tree(value: serde_json::Value) -> Tree {
    value.as_object().unwrap().clone()
}

/// A client, and the end of a node that offers whole objects.
async fn offering() -> (Client, Peer<dyn Stream>) {
    let mut node = FakeRpc::listen().await;
    let (world, address) = (World::system(), node.listener.address());
    let options = Options::default();
    let (client, peer) = tokio::join!(world.connect_rpc(&address, &options), async {
        let mut peer = Peer(node.listener.accept().await.unwrap());
        peer.register_with(&["objects"]).await;
        peer
    });
    (client.unwrap(), peer)
}

fn done(object: Option<MadeObject>, blobs: Vec<ObjectId>) -> Reply {
    Reply::PutObject(PutDone { object, blobs })
}

#[tokio::test]
async fn a_small_put_is_one_message_with_the_bytes_in_its_frame() {
    let (client, mut peer) = offering().await;
    let draft = Draft::new("test::Outer")
        .blob("empty_", Vec::new())
        .link("other", ObjectId(9))
        .member(
            "inner",
            Draft::new("test::Inner").blob("buffer_", b"hello".to_vec()),
        );
    let expected = request::PutObject {
        inline: vec![5],
        content: Some(tree(json!({
            "typename": "test::Outer", "nbytes": 5, "other": {"id": "o0000000000000009"},
            "empty_": {"id": ObjectId::EMPTY_BLOB.to_string(), "typename": "vineyard::Blob", "instance_id": 3,
                "length": 0, "nbytes": 0, "transient": true},
            "inner": {"typename": "test::Inner", "nbytes": 5, "buffer_": {"typename": "vineyard::Blob", "inline": 0}}
        }))),
        bytes: b"hello".to_vec(),
        ..request::PutObject::default()
    };
    let (created, ()) = tokio::join!(
        client.put(draft),
        peer.answer(
            Request::PutObject(expected),
            done(Some(MADE), vec![blob_id(1)])
        )
    );
    assert_eq!(created.unwrap().id, MADE.id);
}

#[tokio::test]
async fn many_bytes_wait_for_the_go_ahead() {
    let (client, mut peer) = offering().await;
    let bytes = vec![7; INLINE_BYTES_MAX as usize + 1];
    let put = PutObject {
        content: tree(json!({"typename": "t", "b": {"typename": "vineyard::Blob", "inline": 0}})),
        blobs: vec![PutBlob::Bytes(&bytes)],
        persist: true,
        name: Some("n".to_owned()),
    };
    let (created, ()) = tokio::join!(client.put_object(put), async {
        let Request::PutObject(put) = peer.request().await else {
            panic!("not a put");
        };
        assert_eq!((put.inline, put.bytes), (vec![bytes.len() as u64], vec![]));
        assert_eq!((put.persist, put.name.as_deref()), (true, Some("n")));
        peer.reply(done(None, vec![blob_id(1)])).await;
        let mut received = vec![0; bytes.len()];
        peer.0.read_exact(&mut received).await.unwrap();
        assert_eq!(received, bytes);
        peer.reply(done(Some(MADE), vec![blob_id(1)])).await;
    });
    assert_eq!(created.unwrap().id, MADE.id);
}

/// Bytes that are made when they are asked for.
struct Counting(usize);

impl BlobSource for Counting {
    fn size(&self) -> usize {
        self.0
    }

    fn read_at(&self, offset: usize, target: &mut [u8]) {
        for (at, byte) in target.iter_mut().enumerate() {
            *byte = ((offset + at) % 251) as u8;
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_source_come_along_or_part_by_part() {
    for size in [5, INLINE_BYTES_MAX as usize, (2 << 20) + 1] {
        let (client, mut peer) = offering().await;
        let source = Counting(size);
        let mut expected = vec![0; size];
        source.read_at(0, &mut expected);
        let (created, ()) = tokio::join!(client.put_source(&source), async {
            let small = size <= INLINE_BYTES_MAX as usize;
            let received = match peer.request().await {
                Request::PutObject(put) if small => {
                    assert_eq!(put.inline, [size as u64]);
                    put.bytes
                }
                Request::CreateRemoteBuffer { .. } if !small => {
                    let created = payload(blob_id(1), 17, 64, size as i64);
                    let reply = Reply::CreateBuffer {
                        id: blob_id(1),
                        created,
                        fd: -1,
                    };
                    peer.reply(reply.clone()).await;
                    let mut received = vec![0; size];
                    peer.0.read_exact(&mut received).await.unwrap();
                    peer.reply(reply).await;
                    assert!(received == expected);
                    return;
                }
                other => panic!("{other:?}"),
            };
            assert!(received == expected);
            peer.reply(done(None, vec![blob_id(1)])).await;
        });
        assert_eq!(created.unwrap(), blob_id(1));
    }
}

#[tokio::test]
async fn small_blobs_are_put_in_one_message_and_empty_ones_in_none() {
    let (client, mut peer) = offering().await;
    let blobs: [&[u8]; 3] = [b"one", b"", b"two"];
    let (ids, ()) = tokio::join!(client.put_blobs(&blobs), async {
        let Request::PutObject(put) = peer.request().await else {
            panic!("not a put");
        };
        assert_eq!(
            (put.inline, &put.bytes[..]),
            (vec![3, 0, 3], &b"onetwo"[..])
        );
        let ids = vec![blob_id(1), ObjectId::EMPTY_BLOB, blob_id(2)];
        peer.reply(done(None, ids)).await;
    });
    assert_eq!(ids.unwrap(), [blob_id(1), ObjectId::EMPTY_BLOB, blob_id(2)]);
    assert_eq!(client.put_blob(b"").await.unwrap(), ObjectId::EMPTY_BLOB);
}

#[tokio::test]
async fn a_get_by_id_or_by_name_is_one_message() {
    let (client, mut peer) = offering().await;
    let blob =
        json!({"id": blob_id(1).to_string(), "typename": "vineyard::Blob", "instance_id": 3});
    let got = |size: i64| GotObjects {
        content: BTreeMap::from([(
            MADE.id,
            TreeText::of(&json!({"typename": "t", "b": blob.clone()})),
        )]),
        payloads: vec![payload(blob_id(1), -1, 0, size)],
        ..GotObjects::default()
    };
    let by_id = request::GetObject {
        ids: vec![MADE.id],
        ..request::GetObject::default()
    };
    let by_name = request::GetObject {
        name: Some("n".to_owned()),
        ..request::GetObject::default()
    };
    let named = GetOptions::default();
    tokio::join!(
        async {
            let object = client.get(MADE.id).await.unwrap();
            assert_eq!(object.blob("b").map(|blob| &blob[..]), Some(&b"hello"[..]));
            let object = client.get_object_named("n", &named).await.unwrap();
            assert_eq!(
                (object.id, &object.blob("b").unwrap()[..]),
                (MADE.id, &b"hi"[..])
            );
            let lost = error(client.get(MADE.id).await);
            assert!(
                matches!(lost, Error::Lost { blob, .. } if blob == blob_id(1)),
                "{lost}"
            );
        },
        async {
            let asked = [(by_id.clone(), &b"hello"[..]), (by_name, b"hi")];
            for (request, bytes) in asked {
                let reply = Reply::GetObject(got(bytes.len() as i64));
                peer.answer(Request::GetObject(request), reply).await;
                peer.0.write_all(bytes).await.unwrap();
            }
            let mut without = got(0);
            without.payloads.clear();
            peer.answer(Request::GetObject(by_id), Reply::GetObject(without))
                .await;
        }
    );
}

#[tokio::test]
async fn a_tree_that_cannot_be_read_is_malformed_when_it_is_read() {
    let (client, mut peer) = offering().await;
    let content = BTreeMap::from([(MADE.id, serde_json::from_str(r#"{"n": 1e999}"#).unwrap())]);
    let got = GotObjects {
        content,
        ..GotObjects::default()
    };
    let options = GetOptions::default();
    let ids = [MADE.id];
    let calls = async {
        let unread = client.get_raw(MADE.id, &options).await.unwrap();
        assert_eq!(unread.tree.as_str(), r#"{"n": 1e999}"#);
        error(client.get_objects(&ids, &options).await)
    };
    let (refused, ()) = tokio::join!(calls, async {
        for _ in 0..2 {
            peer.request().await;
            peer.reply(Reply::GetObject(got.clone())).await;
        }
    });
    assert!(matches!(refused, Error::Malformed { .. }), "{refused}");
}

#[tokio::test]
async fn an_answer_without_an_object_is_malformed() {
    let (client, mut peer) = offering().await;
    let put = || PutObject {
        content: tree(json!({"typename": "t"})),
        ..PutObject::default()
    };
    let (created, ()) = tokio::join!(client.put_object(put()), async {
        peer.request().await;
        peer.reply(done(None, vec![])).await;
    });
    assert!(matches!(error(created), Error::Malformed { .. }));
    let mut bad = put();
    bad.content.insert(
        "b".to_owned(),
        json!({"typename": "vineyard::Blob", "inline": 0}),
    );
    let refused = error(client.put_object(bad).await);
    assert!(refused.to_string().contains("no blob 0"), "{refused}");
}
