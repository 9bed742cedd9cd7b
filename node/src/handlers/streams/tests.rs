//! Streams of a whole node, through our client.

mod memory;
mod readers;

use std::time::Duration;

use vineyard_client::stream::{
    OnReaderGone, Reader, ReaderOptions, ReaderStart, ReadersKind, StreamOptions, StreamState,
};
use vineyard_client::{Client, Code, Draft, Error, ObjectId, Options};

use crate::config::Limits;
use crate::testing::{TestNode, with_node};

const SOON: Duration = Duration::from_millis(50);
/// Of the test nodes' arena.
const ARENA_BYTES: usize = 16 << 20;
const MIB: usize = 1 << 20;

fn limits() -> Limits {
    Limits {
        stream_memory_wait: Duration::from_millis(300),
        stream_memory_recheck: Duration::from_millis(20),
        ..Limits::default()
    }
}

async fn client(node: &TestNode) -> Client {
    Client::connect_ipc(node.socket(), &Options::default())
        .await
        .unwrap()
}

/// The chunks of a stream until its end.
async fn read_all(reader: &mut Reader) -> Result<Vec<Vec<u8>>, Error> {
    let mut read = Vec::new();
    while let Some(chunk) = reader.next().await? {
        read.push(chunk.blob().expect("a blob").to_vec());
    }
    Ok(read)
}

async fn usage(client: &Client) -> (u64, u64, u64) {
    // The node hears of what was dropped with a request, and of a closed connection a turn later.
    for _ in 0..100 {
        let status = client.instance_status().await.unwrap();
        let deleted = status.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        if (status.memory_usage, deleted) == (0, 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = client.instance_status().await.unwrap();
    let node = &client.cluster_status().await.unwrap().nodes[0];
    let stats = node.stats.clone().unwrap();
    (status.memory_usage, stats.references, stats.unsealed)
}

fn code<T>(outcome: Result<T, Error>) -> Code {
    match outcome {
        Err(error) => error.code().unwrap_or_else(|| panic!("{error}")),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn chunks_are_read_as_they_were_written_also_empty_ones() {
    with_node(limits(), async |node| {
        for additions in [true, false] {
            let mut options = Options::default();
            options.additions = additions;
            let client = Client::connect_ipc(node.socket(), &options).await.unwrap();
            let id = client
                .create_stream(StreamOptions::default())
                .await
                .unwrap();
            assert_eq!(
                code(client.create_stream_of(id, &StreamOptions::default()).await),
                Code::ObjectExists
            );
            let mut writer = client.open_writer(id).await.unwrap();
            assert_eq!(code(client.open_writer(id).await), Code::StreamOpened);
            let mut reader = client
                .open_reader(id, &ReaderOptions::default())
                .await
                .unwrap();
            let written: Vec<Vec<u8>> = (0..20).map(|n| vec![n as u8; n * 1000]).collect();
            let writes = async {
                for bytes in &written {
                    writer.write(bytes).await.unwrap();
                }
                writer.finish().await.unwrap();
                assert_eq!(code(writer.finish().await), Code::InvalidStreamState);
                assert_eq!(code(writer.chunk(1).await), Code::InvalidStreamState);
            };
            let (read, ()) = tokio::join!(read_all(&mut reader), writes);
            assert_eq!(read.unwrap(), written, "additions {additions}");
            assert!(reader.next().await.unwrap().is_none());
            drop((reader, writer));
            client.drop_stream(id).await.unwrap();
            assert!(!client.exists(id).await.unwrap());
            assert_eq!(usage(&client).await, (0, 0, 0));
        }
    });
}

#[test]
fn a_chunk_is_readable_as_soon_as_it_is_pushed() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        let late = reader.next_timeout(SOON).await;
        assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
        writer.write(b"one").await.unwrap();
        let chunk = reader.next().await.unwrap().unwrap();
        assert_eq!(
            (chunk.number(), &chunk.blob().unwrap()[..]),
            (Some(0), &b"one"[..])
        );
        // What is not pushed is no part of the stream.
        drop(writer.chunk(5).await.unwrap());
        drop(writer.chunk(0).await.unwrap());
        let shorter = writer.chunk(5).await.unwrap().shrink(3).await.unwrap();
        shorter.push().await.unwrap();
        writer.write(b"three").await.unwrap();
        let chunks = reader.next_many(10).await.unwrap();
        let sizes: Vec<_> = chunks
            .iter()
            .map(|chunk| chunk.blob().unwrap().len())
            .collect();
        assert_eq!(sizes, [3, 5]);
        // A view outlasts its chunk.
        writer.finish().await.unwrap();
        assert!(reader.next_many(10).await.unwrap().is_empty());
        assert_eq!(&chunks[1].blob().unwrap()[..], b"three");
    });
}

#[test]
fn objects_are_chunks_too_and_are_deleted_when_they_were_read() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        let part = Draft::new("test::Part").blob("inner_", vec![1; 100_000]);
        let draft = |n: u8| {
            Draft::new("test::Frame")
                .blob("buffer_", vec![n; 200_000])
                .member("part_", part.clone())
        };
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(writer.put(draft(n)).await.unwrap());
        }
        writer.finish().await.unwrap();
        for id in &ids {
            let chunk = reader.next().await.unwrap().unwrap();
            let object = chunk.object().unwrap();
            assert_eq!((object.id, object.blobs.len()), (*id, 2));
        }
        assert!(reader.next().await.unwrap().is_none());
        for id in ids {
            assert!(!client.exists(id).await.unwrap());
        }
        drop((reader, writer));
        client.drop_stream(id).await.unwrap();
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn a_failure_and_its_reason_come_after_the_last_chunk() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        for is_dropped in [false, true] {
            let id = client
                .create_stream(StreamOptions::default())
                .await
                .unwrap();
            let mut writer = client.open_writer(id).await.unwrap();
            let mut reader = client
                .open_reader(id, &ReaderOptions::default())
                .await
                .unwrap();
            writer.write(b"one").await.unwrap();
            let _half = writer.chunk(10).await.unwrap();
            if !is_dropped {
                writer.fail("line 7 is ragged").await.unwrap();
            }
            drop(writer);
            assert!(reader.next().await.unwrap().is_some());
            let error = reader.next().await.unwrap_err();
            assert_eq!(error.code(), Some(Code::StreamFailed));
            let reason = if is_dropped {
                "the writer left"
            } else {
                "line 7 is ragged"
            };
            assert!(error.to_string().contains(reason), "{error}");
            drop((reader, _half));
            client.drop_stream(id).await.unwrap();
        }
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn much_flows_through_a_small_arena_and_a_window_holds() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        for window in [None, Some(3 * MIB as u64)] {
            let mut options = StreamOptions::default();
            if let Some(window) = window {
                options = options.window_bytes_max(window);
            }
            let id = client.create_stream(options).await.unwrap();
            let mut writer = client.open_writer(id).await.unwrap();
            let mut reader = client
                .open_reader(id, &ReaderOptions::default())
                .await
                .unwrap();
            let writes = async {
                for n in 0..100_u8 {
                    writer.write(&vec![n; MIB]).await.unwrap();
                    let status = client.stream_status(id).await.unwrap();
                    assert!(status.window_bytes <= window.unwrap_or(ARENA_BYTES as u64));
                }
                writer.finish().await.unwrap();
            };
            let reads = async {
                let mut n = 0;
                while let Some(chunk) = reader.next().await.unwrap() {
                    assert!(chunk.blob().unwrap().iter().all(|byte| *byte == n));
                    n += 1;
                }
                assert_eq!(n, 100);
            };
            tokio::join!(writes, reads);
            drop((reader, writer));
            client.drop_stream(id).await.unwrap();
        }
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn an_ephemeral_stream_goes_with_its_creator() {
    with_node(limits(), async |node| {
        let stays = client(node).await;
        let creator = client(node).await;
        let id = creator
            .create_stream(StreamOptions::default().ephemeral())
            .await
            .unwrap();
        creator.persist(id).await.unwrap();
        creator.put_name(id, "s").await.unwrap();
        let mut writer = stays.open_writer(id).await.unwrap();
        writer.write(b"one").await.unwrap();
        let mut reader = stays
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        reader.next().await.unwrap();
        let closes = async {
            tokio::time::sleep(SOON).await;
            creator.close().await;
        };
        let (read, ()) = tokio::join!(reader.next(), closes);
        assert_eq!(code(read), Code::StreamFailed);
        while stays.exists(id).await.unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(code(stays.get_name("s").await), Code::ObjectNotExists);
    });
}

#[test]
fn over_tcp_chunks_are_sent_and_received() {
    with_node(limits(), async |node| {
        let client = Client::connect_rpc(node.node.endpoint(), &Options::default())
            .await
            .unwrap();
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        let draft = Draft::new("test::Frame").blob("buffer_", vec![7; 2000]);
        writer.write(b"one").await.unwrap();
        writer.write(b"").await.unwrap();
        writer.put(draft).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(
            reader.next().await.unwrap().unwrap().blob().unwrap()[..],
            b"one"[..]
        );
        assert!(
            reader
                .next()
                .await
                .unwrap()
                .unwrap()
                .blob()
                .unwrap()
                .is_empty()
        );
        let chunk = reader.next().await.unwrap().unwrap();
        assert_eq!(chunk.object().unwrap().blobs.len(), 1);
        assert!(reader.next().await.unwrap().is_none());
        drop((reader, writer));
        client.drop_stream(id).await.unwrap();
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn a_stream_that_is_not_here_is_named() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let nothing = ObjectId(7);
        assert_eq!(
            code(client.stream_status(nothing).await),
            Code::ObjectNotExists
        );
        assert_eq!(
            code(client.open_writer(nothing).await),
            Code::ObjectNotExists
        );
        assert_eq!(
            code(client.stop_stream(nothing, false, None).await),
            Code::ObjectNotExists
        );
    });
}
