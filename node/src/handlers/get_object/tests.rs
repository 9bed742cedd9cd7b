//! Which blobs a get holds, and how large one reply may be.

use serde_json::json;
use vineyard_client::{Client, DeleteOptions, GetOptions, Options, PutBlob, PutObject as Put};
use vineyard_raft::command::Command;
use vineyard_wire::limits::BUFFERS_MAX;
use vineyard_wire::request::GetObject;
use vineyard_wire::{Code, ObjectId, Request, Tree};

use super::super::agree::submit;
use crate::config::Limits;
use crate::testing::{TestNode, with_node};

fn tree(value: serde_json::Value) -> Tree {
    value.as_object().unwrap().clone()
}

async fn references(test_node: &TestNode) -> u64 {
    let local = &test_node.node.context.local;
    local
        .ask(|local, _| local.store.usage().references)
        .await
        .unwrap()
}

/// A persistent object of two blobs: its id and theirs.
async fn pair(client: &Client) -> (ObjectId, Vec<ObjectId>) {
    let blob = |at: usize| json!({ "typename": "vineyard::Blob", "inline": at });
    let put = Put {
        content: tree(json!({ "typename": "test::Pair", "a": blob(0), "b": blob(1) })),
        blobs: vec![PutBlob::Bytes(b"one"), PutBlob::Bytes(b"two")],
        persist: true,
        name: None,
    };
    let id = client.put_object(put).await.unwrap().id;
    let got = client.get_objects(&[id], &GetOptions::default()).await;
    let blobs = got.unwrap()[0].blobs.keys().copied().collect();
    // The client releases what it dropped with its next request.
    client.debug().await.unwrap();
    (id, blobs)
}

#[test]
fn more_blobs_than_a_reply_can_tell_of_are_refused_and_not_held() {
    with_node(Limits::default(), async |test_node| {
        let clients = test_node.clients(&Options::default()).await;
        let (_, blobs) = pair(&clients[0]).await;
        let before = references(test_node).await;
        for (mut caller, ipc) in [
            (test_node.ipc().await, true),
            (test_node.rpc().await, false),
        ] {
            caller.register().await;
            let (ids, unsafe_) = (vec![blobs[0]; BUFFERS_MAX + 1], false);
            let request = match ipc {
                true => Request::GetBuffers { ids, unsafe_ },
                false => Request::GetRemoteBuffers {
                    ids,
                    unsafe_,
                    compress: false,
                },
            };
            let refused = caller.ask(&request).await;
            assert_eq!(refused["code"], 1, "{refused}");
            assert_eq!(references(test_node).await, before);
        }
    });
}

#[test]
fn a_get_that_is_refused_holds_nothing() {
    with_node(Limits::default(), async |test_node| {
        let clients = test_node.clients(&Options::default()).await;
        let (id, blobs) = pair(&clients[0]).await;
        clients[0].drop_blob(blobs[0]).await.unwrap();
        assert_eq!(references(test_node).await, 0);
        for client in &clients {
            // A client without our additions keeps its references.
            let before = references(test_node).await;
            let refused = client.get_objects(&[id], &GetOptions::default()).await;
            assert!(refused.unwrap_err().to_string().contains("deleted"));
            assert_eq!(references(test_node).await, before);
            let refused = client.get_blobs(&blobs).await;
            assert!(refused.unwrap_err().to_string().contains("deleted"));
            assert_eq!(references(test_node).await, before);
            // An unknown id is no error.
            let stray = ObjectId(blobs[1].0 + 1000);
            let found = client.get_blobs(&[stray, blobs[1]]).await.unwrap();
            assert!(found[0].is_none());
            assert_eq!(&found[1].as_ref().unwrap()[..], b"two");
            drop(found);
            client.debug().await.unwrap();
        }
    });
}

/// A client of another node deletes the member of a transient object, because only this node knows that object.
#[test]
fn an_object_without_its_member_is_an_error_that_names_the_member() {
    with_node(Limits::default(), async |test_node| {
        let clients = test_node.clients(&Options::default()).await;
        // The last two clients use the released requests.
        for (client, is_told) in clients.iter().zip([true, true, false, false]) {
            let (member, _) = pair(client).await;
            let over = tree(json!({ "typename": "test::Over", "m": { "id": member.to_string() } }));
            let put = Put {
                content: over,
                blobs: Vec::new(),
                persist: false,
                name: None,
            };
            let over = client.put_object(put).await.unwrap().id;
            let node = &test_node.node.context;
            let delete = Command::Delete {
                ids: vec![member],
                force: false,
                deep: false,
            };
            submit(node, delete).await.unwrap();
            let got = client.get_objects(&[over], &GetOptions::default()).await;
            let error = got.expect_err("a member is gone");
            assert!(error.is_not_exists(), "{error}");
            let text = error.to_string();
            let ids = [member, over];
            let named = ids.iter().all(|id| text.contains(&id.to_string()));
            assert_eq!(named, is_told, "{text}");
            client
                .delete(&[over], DeleteOptions::default())
                .await
                .unwrap();
            assert!(!client.exists(over).await.unwrap());
        }
    });
}

#[test]
fn a_fetch_of_what_is_here_is_a_get_and_takes_one_object() {
    with_node(Limits::default(), async |test_node| {
        let mut options = GetOptions::default();
        options.fetch = true;
        let clients = test_node.clients(&Options::default()).await;
        let (id, blobs) = pair(&clients[0]).await;
        clients[0].put_name(id, "pair").await.unwrap();
        for client in &clients {
            let got = client.get_raw(id, &options).await.unwrap();
            assert_eq!((got.id, got.blobs.len()), (id, blobs.len()));
            let named = client.get_raw_named("pair", &options).await.unwrap();
            assert_eq!((named.id, named.blobs.len()), (id, blobs.len()));
        }
        let mut caller = test_node.ipc().await;
        caller.register().await;
        let unknown = ObjectId(u64::MAX >> 1);
        for (ids, code) in [
            (vec![unknown], Code::ObjectNotExists),
            (vec![id, id], Code::Invalid),
        ] {
            let fetch = Request::GetObject(GetObject {
                ids,
                fetch: true,
                ..GetObject::default()
            });
            let refused = caller.ask(&fetch).await;
            assert_eq!(refused["code"], code as i32, "{refused}");
        }
    });
}
