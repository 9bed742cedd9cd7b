//! `get` with `fetch`: how many messages and connections it takes, from a node that offers it and from one that does
//! not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use vineyard_env::Stream;
use vineyard_wire::reply::{GotObjects, InstanceStatus, Registered};
use vineyard_wire::{InstanceId, ObjectId, Reply, Request, TreeText, request};

use super::fake::{FakeRpc, HERE, Peer, error, registered};
use crate::{Client, Error, GetOptions, Options, World};

const FETCH: GetOptions = GetOptions {
    sync_remote: true,
    wait: None,
    fetch: true,
};
const THERE: ObjectId = ObjectId(5);
const COPY: ObjectId = ObjectId(6);

async fn register(peer: &mut Peer<dyn Stream>, features: &[&str], fetch_ms_max: u32) {
    let Reply::Register(said) = registered(features) else {
        unreachable!("it is a register reply")
    };
    assert!(matches!(peer.request().await, Request::Register(_)));
    peer.reply(Reply::Register(Registered {
        fetch_ms_max,
        ..said
    }))
    .await;
}

async fn accept(node: &mut FakeRpc) -> Peer<dyn Stream> {
    let mut peer = Peer(node.listener.accept().await.unwrap());
    register(&mut peer, &["objects", "fetch"], 40).await;
    peer
}

async fn connected(node: &mut FakeRpc, options: &Options) -> (Client, Peer<dyn Stream>) {
    let (world, address) = (World::system(), node.listener.address());
    let connect = world.connect_rpc(&address, options);
    let (client, peer) = tokio::join!(connect, accept(node));
    (client.unwrap(), peer)
}

fn object(id: ObjectId, at: InstanceId) -> Reply {
    let tree = json!({"typename": "test::Plain", "id": id.to_string(), "instance_id": at.0});
    let tree = TreeText::of(tree.as_object().unwrap());
    Reply::GetObject(GotObjects {
        content: BTreeMap::from([(id, tree)]),
        ..GotObjects::default()
    })
}

fn status() -> InstanceStatus {
    InstanceStatus {
        deployment: "local".to_owned(),
        instance_id: HERE,
        memory_usage: 0,
        memory_limit: 1 << 20,
        deferred_requests: 0,
        ipc_connections: 0,
        rpc_connections: 1,
        pieces: None,
    }
}

fn fetch(id: ObjectId) -> Request {
    Request::GetObject(request::GetObject {
        ids: vec![id],
        fetch: true,
        ..request::GetObject::default()
    })
}

#[tokio::test]
async fn a_fetch_is_one_request_on_a_second_connection_that_is_kept() {
    let mut node = FakeRpc::listen().await;
    let (client, mut first) = connected(&mut node, &Options::default()).await;
    let wanted = [THERE, THERE];
    let (got, ()) = tokio::join!(client.get_objects(&wanted, &FETCH), async {
        let mut second = accept(&mut node).await;
        second.answer(fetch(THERE), object(COPY, HERE)).await;
        // The second connection is busy: other calls go on.
        assert_eq!(second.request().await, fetch(THERE));
        let (debugged, ()) = tokio::join!(
            client.debug(),
            first.answer(Request::DebugCommand, Reply::DebugCommand)
        );
        debugged.unwrap();
        second.reply(object(COPY, HERE)).await;
    });
    let ids: Vec<_> = got.unwrap().iter().map(|object| object.id).collect();
    assert_eq!(ids, [COPY, COPY]);
}

#[tokio::test]
async fn a_kept_connection_that_broke_is_opened_anew() {
    let mut node = FakeRpc::listen().await;
    let (client, _first) = connected(&mut node, &Options::default()).await;
    tokio::join!(
        async {
            for _ in 0..2 {
                let got = client.get_objects(&[THERE], &FETCH).await.unwrap();
                assert_eq!(got[0].id, COPY);
            }
        },
        async {
            let mut second = accept(&mut node).await;
            second.answer(fetch(THERE), object(COPY, HERE)).await;
            drop(second);
            let mut third = accept(&mut node).await;
            third.answer(fetch(THERE), object(COPY, HERE)).await;
        }
    );
}

#[tokio::test]
async fn a_fetch_waits_as_long_as_the_node_said_and_its_connection_is_not_kept() {
    let mut node = FakeRpc::listen().await;
    let deadline = Duration::from_millis(60);
    let options = Options {
        deadline,
        ..Options::default()
    };
    let (client, _first) = connected(&mut node, &options).await;
    let (got, mut second) = tokio::join!(client.get_objects(&[THERE], &FETCH), async {
        let mut second = accept(&mut node).await;
        assert_eq!(second.request().await, fetch(THERE));
        second
    });
    let Error::Deadline { after, .. } = error(got) else {
        panic!("it is not late")
    };
    assert_eq!(after, deadline + Duration::from_millis(40));
    assert!(second.ended().await);
}

#[tokio::test]
async fn a_migration_uses_the_kept_connection_too() {
    let mut node = FakeRpc::listen().await;
    let (client, _first) = connected(&mut node, &Options::default()).await;
    tokio::join!(
        async {
            assert_eq!(client.migrate(THERE).await.unwrap(), COPY);
            client.get_objects(&[THERE], &FETCH).await.unwrap();
        },
        async {
            let mut second = accept(&mut node).await;
            let migrate = Request::MigrateObject { object_id: THERE };
            let moved = Reply::MigrateObject { object_id: COPY };
            second.answer(migrate, moved).await;
            second.answer(fetch(THERE), object(COPY, HERE)).await;
        }
    );
}

#[tokio::test]
async fn a_close_ends_the_kept_connection() {
    let mut node = FakeRpc::listen().await;
    let (client, _first) = connected(&mut node, &Options::default()).await;
    tokio::join!(
        async {
            client.get_objects(&[THERE], &FETCH).await.unwrap();
            client.close().await;
        },
        async {
            let mut second = accept(&mut node).await;
            second.answer(fetch(THERE), object(COPY, HERE)).await;
            assert_eq!(second.request().await, Request::Exit);
        }
    );
}

/// What such a node is asked for: the tree, and if that is of another instance the migration and the copy's tree.
#[tokio::test]
async fn a_node_that_does_not_offer_it_is_asked_in_steps() {
    let mut node = FakeRpc::listen().await;
    let (world, address) = (World::system(), node.listener.address());
    let options = Options::default();
    let connect = world.connect_rpc(&address, &options);
    let (client, mut first) = tokio::join!(connect, async {
        let mut peer = Peer(node.listener.accept().await.unwrap());
        peer.register_with(&["objects"]).await;
        peer
    });
    let client = client.unwrap();
    let plain = |id| {
        Request::GetObject(request::GetObject {
            ids: vec![id],
            ..request::GetObject::default()
        })
    };
    let (got, ()) = tokio::join!(client.get_raw(THERE, &FETCH), async {
        let elsewhere = InstanceId(HERE.0 + 1);
        first.answer(plain(THERE), object(THERE, elsewhere)).await;
        assert_eq!(first.request().await, Request::InstanceStatus);
        first.reply(Reply::InstanceStatus(status())).await;
        let mut second = node.accept().await;
        let migrate = Request::MigrateObject { object_id: THERE };
        let moved = Reply::MigrateObject { object_id: COPY };
        second.answer(migrate, moved).await;
        first.answer(plain(COPY), object(COPY, HERE)).await;
    });
    assert_eq!(got.unwrap().id, COPY);
    let (got, ()) = tokio::join!(
        client.get_raw(COPY, &FETCH),
        first.answer(plain(COPY), object(COPY, HERE))
    );
    assert_eq!(got.unwrap().id, COPY);
}
