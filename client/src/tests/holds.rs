//! Which blobs the node is told are no longer needed, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use vineyard_env::{Access, LocalStream, Memory, Region};
use vineyard_shm::MemfdMemory;
use vineyard_wire::{Reply, Request};

use super::fake::{ARENA_BYTES, FakeIpc, Peer, blob_id, payload};
use crate::{Blob, Client, DeleteOptions, Options, World};

const NUMBER: i32 = 9;

/// A client of a node that understands notices, and the node's end.
struct Pair {
    client: Client,
    peer: Peer<dyn LocalStream>,
    region: Arc<dyn Region>,
    sent: bool,
}

impl Pair {
    async fn connect(features: &[&str]) -> Self {
        let mut node = FakeIpc::listen().await;
        let (world, options, path) = (World::system(), Options::default(), node.path());
        let connect = world.connect_ipc(&path, &options);
        let (client, peer) = tokio::join!(connect, async {
            let mut peer = Peer(node.listener.accept().await.unwrap());
            peer.register_with(features).await;
            peer
        });
        Self {
            client: client.unwrap(),
            peer,
            region: MemfdMemory.create("t", ARENA_BYTES).unwrap(),
            sent: false,
        }
    }

    /// The blob `number`, as it is got from the node, which was asked for nothing else.
    async fn get(&mut self, number: u64, bytes: i64) -> Blob {
        let Self {
            client,
            peer,
            region,
            sent,
        } = self;
        let id = blob_id(number);
        let (blob, ()) = tokio::join!(client.get_blob(id), async {
            let request = Request::GetBuffers {
                ids: vec![id],
                unsafe_: false,
            };
            let fds = if *sent { vec![] } else { vec![NUMBER] };
            let reply = Reply::GetBuffers {
                payloads: vec![payload(id, NUMBER, 64 * number as i64, bytes)],
                fds,
                compress: false,
            };
            peer.answer(request, reply).await;
            if !*sent {
                let handle = region.share(Access::ReadOnly).unwrap();
                peer.0.send_memory(&handle).await.unwrap();
                *sent = true;
            }
        });
        blob.unwrap()
    }

    /// What the node reads before the next request of the client.
    async fn notice(&mut self) -> Option<Vec<u64>> {
        let Self { client, peer, .. } = self;
        let (asked, notice) = tokio::join!(client.debug(), async {
            let (notice, request) = match peer.request().await {
                Request::ReleaseNotice { ids } => (Some(ids), peer.request().await),
                request => (None, request),
            };
            assert_eq!(request, Request::DebugCommand);
            peer.reply(Reply::DebugCommand).await;
            notice
        });
        asked.unwrap();
        notice.map(|ids| ids.iter().map(|id| id.0 & 0xff).collect())
    }
}

#[tokio::test]
async fn a_blob_is_released_with_the_request_after_its_last_handle() {
    let mut pair = Pair::connect(&["release"]).await;
    let first = pair.get(1, 5).await;
    let again = pair.get(1, 5).await;
    let clone = again.clone();
    drop((first, again));
    assert_eq!(pair.notice().await, None, "a clone lives");
    drop(clone);
    assert_eq!(pair.notice().await, Some(vec![1]));
    assert_eq!(pair.notice().await, None, "said once");
}

#[tokio::test]
async fn a_blob_that_lives_survives_delete_drop_clear_and_release_of_its_client() {
    let mut pair = Pair::connect(&["release"]).await;
    let blob = pair.get(1, 5).await;
    let Pair { client, peer, .. } = &mut pair;
    let id = blob.id();
    let (_, ()) = tokio::join!(
        async {
            client
                .delete(&[id], DeleteOptions::default())
                .await
                .unwrap();
            client.drop_blob(id).await.unwrap();
            client.clear().await.unwrap();
            client.retain(&[id]).await.unwrap();
            client.release(id).await.unwrap();
        },
        async {
            assert!(matches!(peer.request().await, Request::DelData(_)));
            peer.reply(Reply::DelData).await;
            peer.answer(Request::DropBuffer { id }, Reply::DropBuffer)
                .await;
            peer.answer(Request::Clear, Reply::Clear).await;
            let retain = Request::IncreaseReferenceCount { ids: vec![id] };
            peer.answer(retain, Reply::IncreaseReferenceCount).await;
        }
    );
    assert_eq!(pair.notice().await, None);
    drop(blob);
    assert_eq!(pair.notice().await, Some(vec![1]));
}

#[tokio::test]
async fn a_retained_blob_is_released_by_release_alone() {
    let mut pair = Pair::connect(&["release"]).await;
    let blob = pair.get(1, 5).await;
    let Pair { client, peer, .. } = &mut pair;
    let ids = vec![blob.id()];
    let retain = Request::IncreaseReferenceCount { ids: ids.clone() };
    let (kept, ()) = tokio::join!(
        client.retain(&ids),
        peer.answer(retain, Reply::IncreaseReferenceCount)
    );
    kept.unwrap();
    drop(blob);
    assert_eq!(pair.notice().await, None);
    let Pair { client, peer, .. } = &mut pair;
    let release = Request::Release { object_id: ids[0] };
    let (released, ()) = tokio::join!(client.release(ids[0]), peer.answer(release, Reply::Release));
    released.unwrap();
    assert_eq!(pair.notice().await, None);
}

#[tokio::test]
async fn much_is_released_without_a_request() {
    let mut pair = Pair::connect(&["release"]).await;
    let mut blobs = Vec::new();
    for number in 1..=64 {
        blobs.push(pair.get(number, 1).await);
    }
    drop(blobs);
    let ids = (1..=64).map(blob_id).collect();
    assert_eq!(pair.peer.request().await, Request::ReleaseNotice { ids });
    assert_eq!(pair.notice().await, None);
}

#[tokio::test]
async fn blobs_without_a_client_are_released_one_by_one_and_the_last_closes() {
    let mut pair = Pair::connect(&["release"]).await;
    let (one, two) = (pair.get(1, 5).await, pair.get(2, 5).await);
    let Pair {
        client, mut peer, ..
    } = pair;
    drop(client);
    drop(one);
    let ids = vec![blob_id(1)];
    assert_eq!(peer.request().await, Request::ReleaseNotice { ids });
    assert_eq!(&two[..], [0; 5]);
    drop(two);
    assert_eq!(
        peer.request().await,
        Request::ReleaseNotice {
            ids: vec![blob_id(2)]
        }
    );
    assert!(peer.ended().await);
}

#[tokio::test]
async fn a_closed_client_closes_with_its_last_blob_though_a_handle_is_left() {
    let mut pair = Pair::connect(&["release"]).await;
    let blob = pair.get(1, 5).await;
    pair.client.close().await;
    drop(blob);
    assert!(pair.peer.ended().await);
}

/// Of the close and the drop, the second has to see the first. A test cannot decide which is second, so there are many
/// rounds.
#[tokio::test]
async fn a_connection_ends_when_its_last_blob_is_dropped_while_the_client_closes() {
    for _ in 0..100 {
        let mut pair = Pair::connect(&["release"]).await;
        let blob = pair.get(1, 5).await;
        let client = &pair.client;
        std::thread::scope(|scope| {
            client.with_holds_locked(|| {
                scope.spawn(move || drop(blob));
                scope.spawn(move || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_all().build().unwrap();
                    runtime.block_on(client.close());
                });
                while !client.is_taken() {
                    std::thread::yield_now();
                }
            });
        });
        let left = async { while pair.peer.0.read_u8().await.is_ok() {} };
        let left = tokio::time::timeout(Duration::from_secs(5), left).await;
        left.expect("the connection stays open for ever");
    }
}

#[tokio::test]
async fn a_node_that_does_not_know_notices_gets_none() {
    let mut pair = Pair::connect(&[]).await;
    drop(pair.get(1, 5).await);
    assert_eq!(pair.notice().await, None);
}
