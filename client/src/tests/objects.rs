//! Whole objects, and the blocking face.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use vineyard_wire::reply::InstanceInfo;
use vineyard_wire::{
    Code, InstanceId, ObjectId, Reply, Request, Signature, Status, Tree, TreeText,
};

use super::fake::{FakeRpc, HERE, Peer, blob_id, error, payload};
use crate::{Draft, Error, Object, Options, ReadOptions, blocking};

const ELSEWHERE: InstanceId = InstanceId(4);

fn tree(value: serde_json::Value) -> Tree {
    value.as_object().unwrap().clone()
}

async fn take_one_blob(peer: &mut Peer<dyn vineyard_env::Stream>, id: ObjectId, size: u64) {
    let reply = Reply::CreateBuffer {
        id,
        created: payload(id, -1, 0, size as i64),
        fd: -1,
    };
    peer.answer(
        Request::CreateRemoteBuffer {
            size,
            compress: false,
        },
        reply.clone(),
    )
    .await;
    let mut bytes = vec![0; size as usize];
    tokio::io::AsyncReadExt::read_exact(&mut peer.0, &mut bytes)
        .await
        .unwrap();
    peer.reply(reply).await;
}

fn outer() -> Draft {
    Draft::new("test::Outer")
        .attribute("answer", 42)
        .member(
            "inner",
            Draft::new("test::Inner").blob("buffer_", b"hello".to_vec()),
        )
        .link("other", ObjectId(9))
}

#[tokio::test]
async fn a_put_makes_blobs_then_members_then_the_object() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let (created, ()) = tokio::join!(client.put(outer()), async {
        take_one_blob(&mut peer, blob_id(1), 5).await;
        let inner = tree(json!({
            "typename": "test::Inner", "instance_id": 3, "transient": true, "global": false, "nbytes": 5,
            "buffer_": {"id": "o8000000000000001", "typename": "vineyard::Blob", "instance_id": 3, "length": 5,
                "nbytes": 5, "transient": true}
        }));
        let reply = Reply::CreateDatas {
            ids: vec![ObjectId(21)],
            signatures: vec![Signature(1)],
            instance_ids: vec![HERE],
        };
        peer.answer(
            Request::CreateDatas {
                contents: vec![inner],
            },
            reply,
        )
        .await;
        let root = tree(json!({
            "typename": "test::Outer", "answer": 42, "instance_id": 3, "transient": true, "global": false,
            "nbytes": 5, "inner": {"id": "o0000000000000015"}, "other": {"id": "o0000000000000009"}
        }));
        let reply = Reply::CreateData {
            id: ObjectId(22),
            signature: Signature(2),
            instance_id: HERE,
        };
        peer.answer(Request::CreateData { content: root }, reply)
            .await;
    });
    assert_eq!(created.unwrap().id, ObjectId(22));
}

#[tokio::test]
async fn a_put_that_fails_takes_back_what_it_made() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let (created, ()) = tokio::join!(client.put(outer()), async {
        take_one_blob(&mut peer, blob_id(1), 5).await;
        peer.request().await;
        peer.refuse(Status::invalid("no")).await;
        let Request::DelData(deletion) = peer.request().await else {
            panic!("no deletion")
        };
        assert_eq!((deletion.ids, deletion.deep), (vec![blob_id(1)], false));
        peer.reply(Reply::DelData).await;
    });
    assert_eq!(error(created).code(), Some(Code::Invalid));
}

/// An object with one blob here and one elsewhere.
fn spread() -> Tree {
    let blob = |id: ObjectId, instance: InstanceId| json!({"id": id.to_string(), "typename": "vineyard::Blob", "instance_id": instance.0, "length": 0});
    tree(json!({
        "id": ObjectId(5).to_string(), "typename": "test::Spread", "instance_id": u64::MAX, "n": 1.0,
        "here": blob(blob_id(1), HERE),
        "part": {"id": ObjectId(6).to_string(), "typename": "test::Part", "there": blob(blob_id(2), ELSEWHERE)}
    }))
}

async fn give_spread(peer: &mut Peer<dyn vineyard_env::Stream>, there: Option<&str>) {
    let request = Request::GetData {
        ids: vec![ObjectId(5)],
        sync_remote: true,
        wait: false,
    };
    let content = BTreeMap::from([(ObjectId(5), TreeText::of(&spread()))]);
    peer.answer(request, Reply::GetData { content }).await;
    give_blob(peer, blob_id(1), b"one").await;
    give_cluster(peer, there).await;
}

async fn give_cluster(peer: &mut Peer<dyn vineyard_env::Stream>, there: Option<&str>) {
    let info = |endpoint: &str| InstanceInfo {
        hostid: 1,
        hostname: "h".to_owned(),
        nodename: "h".to_owned(),
        ipc_socket: "s".to_owned(),
        rpc_endpoint: endpoint.to_owned(),
        timestamp: 0,
    };
    let meta = there
        .map(|endpoint| (ELSEWHERE, info(endpoint)))
        .into_iter()
        .collect();
    peer.answer(Request::ClusterMeta, Reply::ClusterMeta { meta })
        .await;
}

async fn give_blob(peer: &mut Peer<dyn vineyard_env::Stream>, id: ObjectId, bytes: &[u8]) {
    let request = Request::GetRemoteBuffers {
        ids: vec![id],
        unsafe_: false,
        compress: false,
    };
    let payloads = vec![payload(id, -1, 0, bytes.len() as i64)];
    peer.answer(
        request,
        Reply::GetBuffers {
            payloads,
            fds: Vec::new(),
            compress: false,
        },
    )
    .await;
    peer.0.write_all(bytes).await.unwrap();
}

#[tokio::test]
async fn a_get_reads_every_blob_where_it_is_and_reuses_the_owners_connection() {
    let (mut node, mut owner) = (FakeRpc::listen().await, FakeRpc::listen().await);
    let (client, mut peer) = node.client(&Options::default()).await;
    let there = owner.listener.address();
    tokio::join!(
        async {
            for _ in 0..2 {
                let object = client.get(ObjectId(5)).await.unwrap();
                assert_eq!(object.typename(), "test::Spread");
                assert_eq!(object.attribute("n"), Some(&json!(1.0)));
                assert_eq!(object.blob("here").map(|blob| &blob[..]), Some(&b"one"[..]));
                let part = object.member("part").unwrap();
                assert_eq!(
                    object.blob_of(part, "there").map(|blob| &blob[..]),
                    Some(&b"two"[..])
                );
            }
        },
        async {
            give_spread(&mut peer, Some(&there)).await;
            give_spread(&mut peer, Some(&there)).await;
        },
        async {
            let mut peer = owner.accept().await;
            give_blob(&mut peer, blob_id(2), b"two").await;
            give_blob(&mut peer, blob_id(2), b"two").await;
        }
    );
}

#[tokio::test]
async fn bytes_that_are_gone_are_named() {
    let (mut node, mut owner) = (FakeRpc::listen().await, FakeRpc::listen().await);
    let (client, mut peer) = node.client(&Options::default()).await;
    let (result, ()) = tokio::join!(client.get(ObjectId(5)), give_spread(&mut peer, None));
    let text = error(result).to_string();
    assert_eq!(
        text,
        "o8000000000000002 of o0000000000000005 is out of reach: i4 is not in the cluster now"
    );

    let there = owner.listener.address();
    let (result, (), ()) = tokio::join!(
        client.get(ObjectId(5)),
        give_spread(&mut peer, Some(&there)),
        async {
            let mut peer = owner.accept().await;
            peer.request().await;
            let payloads = Vec::new();
            peer.reply(Reply::GetBuffers {
                payloads,
                fds: Vec::new(),
                compress: false,
            })
            .await;
        }
    );
    let Error::Lost {
        object,
        blob,
        instance,
    } = error(result)
    else {
        panic!("not lost")
    };
    assert_eq!(
        (object, blob, instance),
        (ObjectId(5), blob_id(2), ELSEWHERE)
    );

    drop(owner);
    let (result, ()) = tokio::join!(
        client.get(ObjectId(5)),
        give_spread(&mut peer, Some(&there))
    );
    let Error::OutOfReach { blob, cause, .. } = error(result) else {
        panic!("not out of reach")
    };
    assert_eq!(blob, blob_id(2));
    assert!(
        matches!(cause.as_deref(), Some(Error::Io { .. })),
        "nobody listens there: {cause:?}"
    );
}

#[tokio::test]
async fn many_blobs_of_an_owner_are_read_in_batches_and_counted() {
    let (mut node, mut owner) = (FakeRpc::listen().await, FakeRpc::listen().await);
    let (client, mut peer) = node.client(&Options::default()).await;
    let there = owner.listener.address();
    let ids: Vec<ObjectId> = (1..=70).map(blob_id).collect();
    let meta = ids.iter().map(|id| {
        let blob =
            json!({"typename": "vineyard::Blob", "id": id.to_string(), "instance_id": ELSEWHERE.0});
        (format!("b{}", id.0), blob)
    });
    let mut object = Object {
        id: ObjectId(5),
        meta: meta.collect(),
        blobs: BTreeMap::new(),
    };
    let counts = std::sync::Mutex::new(Vec::new());
    let count = |bytes| counts.lock().unwrap().push(bytes);
    let options = ReadOptions {
        compression: None,
        progress: Some(&count),
    };
    let (done, (), ()) = tokio::join!(
        client.complete_with(&mut object, &options),
        give_cluster(&mut peer, Some(&there)),
        async {
            let mut peer = owner.accept().await;
            for expected in [64, 6] {
                let Request::GetRemoteBuffers { ids, .. } = peer.request().await else {
                    panic!("no blobs are asked for")
                };
                assert_eq!(ids.len(), expected);
                let payloads = ids.iter().map(|id| payload(*id, -1, 0, 1)).collect();
                let (fds, compress) = (Vec::new(), false);
                peer.reply(Reply::GetBuffers {
                    payloads,
                    fds,
                    compress,
                })
                .await;
                peer.0.write_all(&vec![7; expected]).await.unwrap();
            }
        }
    );
    done.unwrap();
    assert_eq!(object.blobs.keys().copied().collect::<Vec<_>>(), ids);
    assert_eq!(*counts.lock().unwrap(), [64, 6]);
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a node for a client that blocks its thread"
)]
fn the_blocking_client_says_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut node = runtime.block_on(FakeRpc::listen());
    let address = node.listener.address();
    let served = std::thread::spawn(move || {
        runtime.block_on(async {
            let mut peer = node.accept().await;
            take_one_blob(&mut peer, blob_id(1), 5).await;
            peer.request().await;
            peer.refuse(Status::not_exists("failed to find name: n"))
                .await;
            assert_eq!(peer.request().await, Request::Exit);
        });
    });
    let options = Options::default();
    let client = blocking::Client::connect_rpc(&address, &options).unwrap();
    assert_eq!(client.instance_id(), HERE);
    let mut writer = client.create_blob(5).unwrap();
    writer.as_mut_slice().copy_from_slice(b"hello");
    assert_eq!(writer.seal().unwrap().id(), blob_id(1));
    assert!(error(client.get_name("n")).is_not_exists());
    client.close();
    served.join().unwrap();
}
