//! A node that does not answer, and callers that do not wait.

use std::time::Duration;

use vineyard_env::Network;
use vineyard_net::SystemNetwork;
use vineyard_wire::{ObjectId, Reply, Request};

use super::fake::{FakeIpc, FakeRpc, blob_id, error, impatient, payload};
use crate::{Client, Error, Options, World};

#[tokio::test]
async fn a_connection_nobody_accepts_ends_at_its_deadline() {
    let node = FakeIpc::listen().await;
    let result = Client::connect_ipc(&node.path(), &impatient()).await;
    let Error::Deadline { waited_for, after } = error(result) else {
        panic!("not a deadline")
    };
    assert_eq!(after, impatient().deadline);
    assert_eq!(
        waited_for,
        format!("the reply to register_request at {}", node.path())
    );
}

#[tokio::test]
async fn a_node_that_is_not_there_is_an_error_at_once() {
    let listener = SystemNetwork.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    drop(listener);
    let patient = Options {
        deadline: Duration::from_secs(3600),
        ..Options::default()
    };
    let result = Client::connect_rpc(&address, &patient).await;
    assert!(matches!(error(result), Error::Io { .. }));
}

#[tokio::test]
async fn a_silent_node_ends_the_call_and_the_connection() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &impatient()).await;
    let Error::Deadline { waited_for, .. } = error(client.exists(ObjectId(1)).await) else {
        panic!("not a deadline")
    };
    assert_eq!(
        waited_for,
        format!("the reply to exists_request at {}", node.path())
    );
    assert_eq!(peer.request().await, Request::Exists { id: ObjectId(1) });
    // The late answer must not become the answer to the next question.
    peer.reply(Reply::Exists { exists: true }).await;
    assert!(matches!(
        error(client.exists(ObjectId(2)).await),
        Error::Closed { .. }
    ));
}

#[tokio::test]
async fn a_dead_node_is_closed_at_once() {
    let mut node = FakeIpc::listen().await;
    let patient = Options {
        deadline: Duration::from_secs(3600),
        ..Options::default()
    };
    let (client, mut peer) = node.client(&World::system(), &patient).await;
    let (result, ()) = tokio::join!(client.debug(), async {
        peer.request().await;
        drop(peer);
    });
    assert!(matches!(error(result), Error::Closed { .. }));
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_closes_the_connection() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    tokio::select! { biased;
        _ = client.debug() => panic!("nobody answers"),
        request = peer.request() => assert_eq!(request, Request::DebugCommand),
    }
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
}

#[tokio::test]
async fn calls_take_turns_and_their_wait_counts() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &impatient()).await;
    let (first, second, ()) = tokio::join!(client.debug(), client.memory_trim(), async {
        peer.answer(Request::DebugCommand, Reply::DebugCommand)
            .await;
        peer.answer(Request::MemoryTrim, Reply::MemoryTrim { trimmed: true })
            .await;
    });
    first.unwrap();
    assert!(second.unwrap());
    let (first, second) = tokio::join!(client.debug(), client.memory_trim());
    assert!(matches!(error(first), Error::Deadline { .. }));
    // The first gave up; the second found the connection out of step, or never got its turn.
    assert!(matches!(
        error(second),
        Error::Closed { .. } | Error::Deadline { .. }
    ));
}

#[tokio::test]
async fn a_wait_travels_on_its_own_connection_and_may_be_given_up() {
    let mut node = FakeIpc::listen().await;
    let (client, mut peer) = node.client(&World::system(), &Options::default()).await;
    let served = async {
        let mut waiter = super::fake::Peer(node.listener.accept().await.unwrap());
        waiter.register().await;
        let Request::GetName(get) = waiter.request().await else {
            panic!("not a wait")
        };
        assert_eq!((get.wait, get.timeout_ms), (true, Some(2_000)));
        waiter
    };
    let mut waiter = tokio::select! { biased;
        _ = client.wait_name("n", Duration::from_secs(2)) => panic!("nobody answers"),
        waiter = served => waiter,
    };
    assert!(
        waiter.ended().await,
        "the node sees that nobody waits any more"
    );
    let (result, ()) = tokio::join!(
        client.debug(),
        peer.answer(Request::DebugCommand, Reply::DebugCommand)
    );
    result.unwrap();
}

#[tokio::test]
async fn bytes_that_stop_coming_end_the_transfer() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&impatient()).await;
    let (result, ()) = tokio::join!(client.get_blob(blob_id(1)), async {
        peer.request().await;
        let payloads = vec![payload(blob_id(1), -1, 0, 100)];
        peer.reply(Reply::GetBuffers {
            payloads,
            fds: Vec::new(),
            compress: false,
        })
        .await;
        tokio::io::AsyncWriteExt::write_all(&mut peer.0, &[0; 50])
            .await
            .unwrap();
    });
    let Error::Deadline { waited_for, .. } = error(result) else {
        panic!("not a deadline")
    };
    assert!(
        waited_for.starts_with("the bytes of get_remote_buffers_request"),
        "{waited_for}"
    );
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
}
