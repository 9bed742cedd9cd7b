//! Over TCP: bytes between frames, plain and compressed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_net::compress::{Compressor, Decompressor};
use vineyard_wire::limits::BUFFERS_MAX;
use vineyard_wire::{ObjectId, Reply, Request};

use super::fake::{FakeRpc, blob_id, error, payload};
use crate::{Error, Options};

#[tokio::test]
async fn a_remote_blob_is_announced_sent_and_confirmed() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let (blob, ()) = tokio::join!(
        async {
            let mut writer = client.create_blob(5).await.unwrap();
            assert_eq!(writer.id(), None);
            writer.as_mut_slice().copy_from_slice(b"hello");
            writer.seal().await.unwrap()
        },
        async {
            let id = blob_id(7);
            let reply = Reply::CreateBuffer {
                id,
                created: payload(id, 17, 64, 5),
                fd: -1,
            };
            let request = Request::CreateRemoteBuffer {
                size: 5,
                compress: false,
            };
            peer.answer(request, reply.clone()).await;
            let mut bytes = [0; 5];
            peer.0.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"hello");
            peer.reply(reply).await;
        }
    );
    assert_eq!((blob.id(), &blob[..]), (blob_id(7), &b"hello"[..]));
}

#[tokio::test]
async fn remote_blobs_come_in_the_order_of_their_payloads() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let ids = [blob_id(1), ObjectId::EMPTY_BLOB, blob_id(2), blob_id(3)];
    let (blobs, ()) = tokio::join!(client.get_blobs(&ids), async {
        let wanted = vec![blob_id(1), blob_id(2), blob_id(3)];
        let request = Request::GetRemoteBuffers {
            ids: wanted,
            unsafe_: false,
            compress: false,
        };
        // Another order than asked for, and without the second.
        let payloads = vec![
            payload(blob_id(3), 17, 0, 5),
            payload(blob_id(1), 17, 64, 3),
        ];
        peer.answer(
            request,
            Reply::GetBuffers {
                payloads,
                fds: Vec::new(),
                compress: false,
            },
        )
        .await;
        peer.0.write_all(b"threeone").await.unwrap();
    });
    let blobs = blobs.unwrap();
    let bytes: Vec<_> = blobs
        .iter()
        .map(|blob| blob.as_ref().map(|blob| &blob[..]))
        .collect();
    assert_eq!(bytes, [Some(&b"one"[..]), Some(b""), None, Some(b"three")]);
}

#[tokio::test]
async fn more_blobs_than_one_reply_can_tell_of_are_asked_for_in_parts() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let ids = vec![blob_id(1); BUFFERS_MAX + 1];
    let (blobs, ()) = tokio::join!(client.get_blobs(&ids), async {
        for expected in [BUFFERS_MAX, 1] {
            let Request::GetRemoteBuffers { ids, .. } = peer.request().await else {
                panic!("no blobs are asked for")
            };
            assert_eq!(ids.len(), expected);
            let payloads = vec![payload(blob_id(1), 17, 0, 3)];
            let fds = Vec::new();
            let compress = false;
            peer.reply(Reply::GetBuffers {
                payloads,
                fds,
                compress,
            })
            .await;
            peer.0.write_all(b"one").await.unwrap();
        }
    });
    assert_eq!(blobs.unwrap().iter().flatten().count(), ids.len());
}

#[tokio::test]
async fn memory_announced_over_tcp_is_refused() {
    let mut node = FakeRpc::listen().await;
    let (client, mut peer) = node.client(&Options::default()).await;
    let (result, ()) = tokio::join!(client.put_blob(b"x"), async {
        peer.request().await;
        peer.reply(Reply::Seal).await;
    });
    assert!(matches!(error(result), Error::Mismatch { .. }));
    assert!(matches!(error(client.debug().await), Error::Closed { .. }));
}

#[tokio::test]
async fn compressed_blobs_share_one_stream_per_request() {
    let mut node = FakeRpc::listen().await;
    let options = Options {
        compression: true,
        ..Options::default()
    };
    let (client, mut peer) = node.client(&options).await;
    let (large, small) = (vec![b'a'; 1 << 20], vec![b'z'; 10]);
    let ids = vec![blob_id(1), blob_id(2)];
    tokio::join!(
        async {
            assert_eq!(client.put_blobs(&[&large, &small]).await.unwrap(), ids);
            let got = client.get_blobs(&ids).await.unwrap();
            assert!(got[0].as_ref().is_some_and(|blob| blob[..] == large));
            assert!(got[1].as_ref().is_some_and(|blob| blob[..] == small));
        },
        async {
            let sizes = [1 << 20, 10];
            let payloads: Vec<_> = ids
                .iter()
                .zip(sizes)
                .map(|(id, size)| payload(*id, -1, 0, size))
                .collect();
            let request = Request::CreateRemoteBuffers {
                sizes: vec![1 << 20, 10],
                compress: true,
            };
            let reply = Reply::CreateBuffers {
                ids: ids.clone(),
                payloads: payloads.clone(),
                fds: Vec::new(),
            };
            peer.answer(request, reply.clone()).await;
            let mut received = [vec![0; 1 << 20], vec![0; 10]];
            let mut decompressor = Decompressor::new().unwrap();
            for blob in &mut received {
                decompressor.read_blob(&mut peer.0, blob).await.unwrap();
            }
            assert!(received == [large.clone(), small.clone()]);
            peer.reply(reply).await;

            let request = Request::GetRemoteBuffers {
                ids: ids.clone(),
                unsafe_: false,
                compress: true,
            };
            peer.answer(
                request,
                Reply::GetBuffers {
                    payloads,
                    fds: Vec::new(),
                    compress: true,
                },
            )
            .await;
            let mut compressor = Compressor::new().unwrap();
            for blob in [&large, &small] {
                compressor.write_blob(&mut peer.0, blob).await.unwrap();
            }
        }
    );
}
