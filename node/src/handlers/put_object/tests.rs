//! Puts and gets of whole objects by the SDK, with and without our additions, and by callers with invalid requests.

use serde_json::{Value, json};
use vineyard_client::{Client, DeleteOptions, GetOptions, Options, PutBlob, PutObject as Put};
use vineyard_raft::state::State;
use vineyard_store::Usage;
use vineyard_wire::limits::{NAME_BYTES_MAX, PERSIST_BYTES_MAX};
use vineyard_wire::meta::key;
use vineyard_wire::request::PutObject;
use vineyard_wire::{Code, ObjectId, Request, Tree};

use crate::config::Limits;
use crate::local::Local;
use crate::testing::{TestNode, with_node};

fn tree(value: Value) -> Tree {
    value.as_object().unwrap().clone()
}

async fn usage(test_node: &TestNode) -> Usage {
    let local = &test_node.node.context.local;
    local.ask(|local, _| local.store.usage()).await.unwrap()
}

async fn objects(test_node: &TestNode) -> usize {
    let local = &test_node.node.context.local;
    local.ask(|local, _| local.catalog.len()).await.unwrap()
}

/// Sizes of inline blobs, of larger blobs, and of both.
const SIZES: [&[usize]; 4] = [&[5, 0, 300], &[70_000, 3], &[1 << 20, 2 << 20], &[0]];

fn blobs(sizes: &[usize]) -> Vec<Vec<u8>> {
    let blob = |(at, size): (usize, &usize)| (0..*size).map(|n| (n + at) as u8).collect();
    sizes.iter().enumerate().map(blob).collect()
}

/// A tree with each blob in a new member of its own.
fn content(blobs: &[Vec<u8>], linked: ObjectId) -> Tree {
    let mut root = tree(json!({
        "typename": "test::Frame", "max": u64::MAX, "float": 1.0, "linked": {"id": linked.to_string()}
    }));
    for (at, blob) in blobs.iter().enumerate() {
        let column = json!({
            "typename": "test::Column", "at": at, "nbytes": blob.len(),
            "inner": {"typename": "test::Inner", "buffer_": {"typename": "vineyard::Blob", "inline": at}}
        });
        root.insert(format!("column_{at}"), column);
    }
    root
}

async fn check_round_trip(client: &Client, sizes: &[usize], name: &str) {
    let linked = Put {
        content: tree(json!({"typename": "test::Linked"})),
        ..Put::default()
    };
    let linked = client.put_object(linked).await.unwrap().id;
    let bytes = blobs(sizes);
    let mut put = Put {
        content: content(&bytes, linked),
        blobs: bytes.iter().map(|blob| PutBlob::Bytes(blob)).collect(),
        persist: true,
        name: Some(name.to_owned()),
    };
    // The first one is written in place.
    let mut writer = client.create_blob(bytes[0].len()).await.unwrap();
    writer.as_mut_slice().copy_from_slice(&bytes[0]);
    put.blobs[0] = PutBlob::Filled(writer);
    let made = client.put_object(put).await.unwrap();
    assert_eq!(made.instance_id, client.instance_id());
    assert!(client.is_persisted(made.id).await.unwrap());
    let options = GetOptions::default();
    let ids = [made.id, linked, made.id];
    let by_id = client.get_objects(&ids, &options).await.unwrap();
    let by_name = client.get_object_named(name, &options).await.unwrap();
    for got in [&by_id[0], &by_id[2], &by_name] {
        assert_eq!((got.id, got.typename()), (made.id, "test::Frame"));
        assert_eq!(got.attribute("max"), Some(&json!(u64::MAX)));
        assert_eq!(got.attribute("float"), Some(&json!(1.0)));
        assert_eq!(got.meta[key::SIGNATURE], json!(made.signature));
        for (at, blob) in bytes.iter().enumerate() {
            let column = got.member(&format!("column_{at}")).unwrap();
            assert_eq!(column["at"], json!(at));
            let inner = column["inner"].as_object().unwrap();
            let found = got.blob_of(inner, "buffer_").unwrap();
            assert_eq!(&found[..], &blob[..]);
        }
    }
    assert_eq!(by_id[1].id, linked);
    let gone = client.delete(&[made.id], DeleteOptions::default()).await;
    gone.unwrap();
}

#[test]
fn what_is_put_is_got_by_every_kind_of_client() {
    with_node(Limits::default(), async |test_node| {
        for compression in [false, true] {
            let mut options = Options::default();
            options.compression = compression;
            for (which, client) in test_node.clients(&options).await.iter().enumerate() {
                for (at, sizes) in SIZES.iter().enumerate() {
                    let name = format!("{compression} {which} {at}");
                    check_round_trip(client, sizes, &name).await;
                }
                let two = client.put_blobs(&[b"one", b"", b"two"]).await.unwrap();
                let got = client.get_objects(&two, &GetOptions::default()).await;
                let got: Vec<_> = got.unwrap();
                assert_eq!(&got[0].blobs[&two[0]][..], b"one");
                assert_eq!(two[1], ObjectId::EMPTY_BLOB);
                assert_eq!(&got[2].blobs[&two[2]][..], b"two");
            }
        }
    });
}

#[test]
fn a_put_that_is_refused_leaves_nothing() {
    with_node(Limits::default(), async |test_node| {
        for client in test_node.clients(&Options::default()).await {
            let (before, count) = (usage(test_node).await, objects(test_node).await);
            for sizes in SIZES {
                let bytes = blobs(sizes);
                let put = |content: Tree| Put {
                    content,
                    blobs: bytes.iter().map(|blob| PutBlob::Bytes(blob)).collect(),
                    ..Put::default()
                };
                let unknown = content(&bytes, ObjectId(77));
                let refused = client.put_object(put(unknown)).await.unwrap_err();
                assert!(refused.is_not_exists(), "{refused}");
                let mut nameless = content(&bytes, ObjectId(77));
                nameless.insert("linked".into(), json!({"no": "typename"}));
                let refused = client.put_object(put(nameless)).await.unwrap_err();
                assert_eq!(refused.code(), Some(Code::MetaTreeInvalid));
                let mut lacking = content(&bytes, ObjectId(77));
                lacking["linked"] = json!({"typename": "vineyard::Blob", "inline": sizes.len()});
                let refused = client.put_object(put(lacking)).await.unwrap_err();
                assert_eq!(refused.code(), Some(Code::Invalid));
            }
            let large = vec![0; 17 << 20];
            let put = Put {
                content: content(&[vec![]], ObjectId(77)),
                blobs: vec![PutBlob::Bytes(&large)],
                ..Put::default()
            };
            let refused = client.put_object(put).await.unwrap_err();
            assert_eq!(refused.code(), Some(Code::NotEnoughMemory));
            // The client releases what it dropped with its next request.
            client.debug().await.unwrap();
            let after = usage(test_node).await;
            assert_eq!(
                (after.blobs, after.memory_usage),
                (before.blobs, before.memory_usage)
            );
            assert_eq!((after.unsealed, after.deleted_bytes), (0, 0));
            assert_eq!(objects(test_node).await, count);
        }
    });
}

#[test]
fn a_put_whose_persist_the_cluster_refuses_is_rolled_back() {
    with_node(Limits::default(), async |test_node| {
        let bytes = vec![7; 100_000];
        let mut options = Options::default();
        // A debug build takes seconds to encode and decode so long a text.
        options.deadline = std::time::Duration::from_secs(60);
        for client in test_node.clients(&options).await {
            let mut content = content(&[vec![]], ObjectId(77));
            content.remove("linked");
            content.insert("text".into(), "x".repeat(PERSIST_BYTES_MAX).into());
            let put = Put {
                content,
                blobs: vec![PutBlob::Bytes(&bytes)],
                persist: true,
                name: Some("never".to_owned()),
            };
            let refused = client.put_object(put).await.unwrap_err();
            assert_eq!(refused.code(), Some(Code::Invalid), "{refused}");
            client.debug().await.unwrap();
            let after = usage(test_node).await;
            assert_eq!((after.blobs, after.deleted_bytes), (0, 0));
            assert_eq!(objects(test_node).await, 0);
        }
    });
}

#[test]
fn a_name_longer_than_the_bound_is_refused_before_anything_is_done() {
    with_node(Limits::default(), async |test_node| {
        for client in test_node.clients(&Options::default()).await {
            let put = |bytes: usize| vineyard_client::PutObject {
                content: tree(json!({"typename": "test::T"})),
                persist: true,
                name: Some("n".repeat(bytes)),
                ..vineyard_client::PutObject::default()
            };
            let made = client.put_object(put(NAME_BYTES_MAX)).await.unwrap();
            assert_eq!(
                client.get_name(&"n".repeat(NAME_BYTES_MAX)).await.unwrap(),
                made.id
            );
            let before = objects(test_node).await;
            let long = "n".repeat(NAME_BYTES_MAX + 1);
            let refusals = [
                client
                    .put_object(put(NAME_BYTES_MAX + 1))
                    .await
                    .unwrap_err(),
                client.put_name(made.id, &long).await.unwrap_err(),
            ];
            for refusal in refusals {
                assert_eq!(refusal.code(), Some(Code::Invalid));
                let said = refusal.to_string();
                assert!(
                    said.contains("at most 65536 bytes, and this one has 65537"),
                    "{said}"
                );
            }
            assert_eq!(objects(test_node).await, before);
        }
    });
}

#[test]
fn a_name_or_a_persist_of_what_cannot_have_one_is_refused_before_anything_is_done() {
    with_node(Limits::default(), async |test_node| {
        for mut caller in test_node.callers().await {
            caller.register().await;
            let content = Some(tree(json!({"typename": "test::T"})));
            let inline = vec![3];
            let bytes = b"abc".to_vec();
            let whole = PutObject {
                content,
                inline,
                bytes,
                ..PutObject::default()
            };
            let named = PutObject {
                name: Some("n".to_owned()),
                ..whole.clone()
            };
            let reply = caller.ask(&Request::PutObject(named)).await;
            assert_eq!(reply["code"], 1, "{reply}");
            let bare = PutObject {
                content: None,
                persist: true,
                ..whole.clone()
            };
            let reply = caller.ask(&Request::PutObject(bare)).await;
            assert_eq!(reply["code"], 7, "{reply}");
            let stray = PutObject {
                seal: vec![ObjectId(1 << 63 | 99)],
                ..whole
            };
            let reply = caller.ask(&Request::PutObject(stray)).await;
            assert_eq!(reply["code"], 12, "{reply}");
            let after = usage(test_node).await;
            assert_eq!((after.blobs, objects(test_node).await), (0, 0));
        }
    });
}

#[test]
fn over_the_unix_socket_there_is_no_go_ahead_for_many_bytes() {
    with_node(Limits::default(), async |test_node| {
        let mut caller = test_node.ipc().await;
        caller.register().await;
        let put = PutObject {
            inline: vec![3],
            ..PutObject::default()
        };
        let reply = caller.ask(&Request::PutObject(put)).await;
        assert_eq!(reply["code"], 1, "{reply}");
        assert_eq!(usage(test_node).await.blobs, 0);
        assert_eq!(
            caller.ask(&Request::DebugCommand).await["type"],
            "debug_reply"
        );
    });
}

#[test]
fn a_get_says_which_object_is_unknown_and_asks_for_one_thing() {
    with_node(Limits::default(), async |test_node| {
        for client in test_node.clients(&Options::default()).await {
            let put = Put {
                content: tree(json!({"typename": "test::T"})),
                ..Put::default()
            };
            let known = client.put_object(put).await.unwrap().id;
            let options = GetOptions::default();
            let unknown = client.get_objects(&[known, ObjectId(77)], &options).await;
            let error = unknown.unwrap_err();
            assert!(error.is_not_exists() && error.to_string().contains("o000000000000004d"));
            let nobody = client.get_object_named("nobody", &options).await;
            assert!(nobody.unwrap_err().is_not_exists());
        }
        for mut caller in test_node.callers().await {
            caller.register().await;
            let body = br#"{"type":"get_object_request","ids":[1],"name":"n"}"#;
            caller.send(body).await;
            assert_eq!(caller.reply().await.unwrap()["code"], 1);
        }
    });
}

#[test]
fn a_get_that_waits_is_answered_when_the_object_is_there() {
    with_node(Limits::default(), async |test_node| {
        let clients = test_node.clients(&Options::default()).await;
        for (at, client) in clients.iter().enumerate() {
            let name = format!("later {at}");
            let mut options = GetOptions::default();
            options.wait = Some(std::time::Duration::from_secs(20));
            let put = Put {
                content: tree(json!({"typename": "test::T"})),
                persist: true,
                name: Some(name.clone()),
                ..Put::default()
            };
            let other = &clients[(at + 1) % clients.len()];
            let (got, made) = tokio::join!(client.get_object_named(&name, &options), async {
                let waiting = || test_node.node.context.counters.waiting.get();
                while waiting() == 0 {
                    tokio::task::yield_now().await;
                }
                other.put_object(put).await.unwrap()
            });
            assert_eq!(got.unwrap().id, made.id);
        }
    });
}

/// Turns of the owner that `work` takes.
async fn turns<T>(test_node: &TestNode, work: impl Future<Output = T>) -> (u64, T) {
    let local = &test_node.node.context.local;
    let before = local.turns();
    let done = work.await;
    (local.turns() - before, done)
}

/// Puts, persists and names one blob of `size` bytes. Returns how many turns of the owner that took, with those that
/// follow what the cluster has applied.
async fn named_put(test_node: &TestNode, client: &Client, name: &str, size: usize) -> u64 {
    let wanted = name.to_owned();
    let wait = move |local: &mut Local, state: &State| local.name_or_wait(state, &wanted);
    let set = test_node.node.context.local.ask(wait).await.unwrap();
    let set = set.expect_err("the name is new");
    let bytes = vec![1; size];
    let work = async {
        let made = client.put_object(one_blob(&bytes, Some(name))).await;
        // The owner wakes it when it has followed the entry.
        set.woken().await;
        made.unwrap();
    };
    turns(test_node, work).await.0
}

fn one_blob<'a>(bytes: &'a [u8], name: Option<&str>) -> Put<'a> {
    Put {
        content: tree(json!({
            "typename": "test::T",
            "buffer_": {"typename": "vineyard::Blob", "inline": 0}
        })),
        blobs: vec![PutBlob::Bytes(bytes)],
        persist: name.is_some(),
        name: name.map(str::to_owned),
    }
}

#[test]
fn a_put_is_at_most_two_turns_and_with_persist_and_name_four() {
    with_node(Limits::default(), async |test_node| {
        let client = &test_node.clients(&Options::default()).await[0];
        // Afterwards the node is registered, and all that happened before is followed.
        named_put(test_node, client, "before", 5).await;
        // The bytes come along, or are written in place after one more turn.
        for (size, place) in [(5, 0), (100_000, 1)] {
            // The client releases what it dropped with its next request.
            client.debug().await.unwrap();
            let bytes = vec![1; size];
            let put = client.put_object(one_blob(&bytes, None));
            let (taken, made) = turns(test_node, put).await;
            assert_eq!(taken, 1 + place, "a put of {size} bytes");
            let made = [made.unwrap().id];
            client.debug().await.unwrap();
            let delete = client.delete(&made, DeleteOptions::default());
            let (taken, deleted) = turns(test_node, delete).await;
            deleted.unwrap();
            assert_eq!(taken, 1, "a local delete");
            client.debug().await.unwrap();
            let taken = named_put(test_node, client, &format!("{size} bytes"), size).await;
            assert_eq!(taken, 3 + place, "{size} bytes with persist and name");
        }
    });
}
