//! Streams that are read on another node than their own: equal bytes, and what becomes of each side when a node dies.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vineyard_client::blocking::stream::{Reader, Writer};
use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{Code, Draft, ObjectId, StreamTotals, blocking};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;
use vineyard_tests::wait;

use super::{ARENA, CHUNK_BYTES, PATIENCE, connect, reached};

/// Silence after which a node is lost for a stream, and what a busy machine adds.
const NODE_TOLD_WITHIN: Duration = Duration::from_secs(6);
const CHUNKS: u64 = 64;

fn start(nodes: usize) -> Cluster {
    let plan = Plan {
        size: ARENA.to_owned(),
        ..Plan::default()
    };
    let cluster = Cluster::start(nodes, &plan).unwrap();
    cluster.wait_settled().unwrap();
    cluster
}

fn is_empty(client: &blocking::Client) {
    wait::until("a node without streams", PATIENCE, || {
        let status = client.instance_status()?;
        let deleted = status.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        let counts = (status.memory_usage, deleted);
        anyhow::ensure!(counts == (0, 0), "{counts:?}");
        Ok(Some(()))
    })
    .unwrap();
}

/// A stream of one node of which another one has read a chunk.
fn read_elsewhere(
    owner: &blocking::Client,
    other: &blocking::Client,
) -> (ObjectId, Writer, Reader) {
    let stream = owner.create_stream(StreamOptions::default()).unwrap();
    let mut writer = owner.open_writer(stream).unwrap();
    writer.write(&[1; 1000]).unwrap();
    let reader = other.open_reader(stream, &ReaderOptions::default());
    let mut reader = reader.unwrap();
    assert!(reader.next().unwrap().is_some());
    (stream, writer, reader)
}

#[test]
fn another_node_reads_more_than_its_arena_holds() {
    let cluster = start(2);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let stream = owner
        .create_stream(StreamOptions::default().window_bytes_max(8 << 20))
        .unwrap();
    let mut writer = owner.open_writer(stream).unwrap();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writes = scope.spawn(move || {
            for number in 0..CHUNKS {
                writer.write(&vec![number as u8; CHUNK_BYTES]).unwrap();
            }
            writer.finish().unwrap();
        });
        let mut reader = other
            .open_reader(stream, &ReaderOptions::default())
            .unwrap();
        for number in 0..CHUNKS {
            let chunk = reader.next().unwrap().expect("it was written");
            let bytes = chunk.blob().unwrap();
            assert_eq!(bytes.len(), CHUNK_BYTES);
            assert!(bytes.iter().all(|byte| *byte == number as u8), "{number}");
        }
        assert!(reader.next().unwrap().is_none(), "the end");
        writes.join().unwrap();
    });
    println!(
        "{CHUNKS} MiB through {ARENA} of two nodes in {:?}",
        begun.elapsed()
    );
    is_empty(&owner);
    is_empty(&other);
    for client in [&owner, &other] {
        assert!(
            client.stream_status(stream).is_err(),
            "it went with its sides"
        );
    }
}

#[test]
fn objects_and_a_failure_reach_another_node() {
    let cluster = start(2);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let stream = owner.create_stream(StreamOptions::default()).unwrap();
    let mut writer = owner.open_writer(stream).unwrap();
    let draft = Draft::new("test::Thing").blob("bytes", [7; 100_000]);
    writer.put(draft).unwrap();
    let mut reader = other
        .open_reader(stream, &ReaderOptions::default())
        .unwrap();
    let chunk = reader.next().unwrap().expect("it was written");
    let object = chunk.object().expect("an object");
    assert_ne!(chunk.id().made_by(), stream.made_by(), "a copy");
    let blobs: Vec<_> = object.blobs.values().map(|blob| blob.to_vec()).collect();
    assert_eq!(blobs, [vec![7; 100_000]]);
    let refused = other.open_writer(stream).unwrap_err();
    assert_eq!(refused.code(), Some(Code::Invalid), "{refused}");
    assert!(
        refused.to_string().contains("connect to that node"),
        "{refused}"
    );
    writer.fail("the source is dry").unwrap();
    let told = reader.next().unwrap_err();
    assert_eq!(told.code(), Some(Code::StreamFailed), "{told}");
    assert!(told.to_string().contains("the source is dry"), "{told}");
}

#[test]
fn a_migrated_stream_gets_the_chunks_as_they_come() {
    let cluster = start(2);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let mut options = StreamOptions::default().window_bytes_max(4 << 20);
    options.params = [("header_row".to_owned(), "1".to_owned())].into();
    let stream = owner.create_stream(options).unwrap();
    let hidden = other.migrate_stream(stream).unwrap_err();
    assert!(
        hidden.is_not_exists(),
        "its metadata is not persisted: {hidden}"
    );
    owner.persist(stream).unwrap();
    let mut writer = owner.open_writer(stream).unwrap();
    writer.write(b"one").unwrap();
    let copy = other.migrate_stream(stream).unwrap();
    let [made, meta] = [copy, stream].map(|id| other.get_metadata(id).unwrap());
    assert_eq!(made["params_"], meta["params_"]);
    assert_eq!(made["typename"], meta["typename"]);
    let twice = other.migrate_stream(stream).unwrap_err();
    assert_eq!(twice.code(), Some(Code::StreamOpened), "{twice}");
    let read = other.open_reader(stream, &ReaderOptions::default());
    assert_eq!(read.unwrap_err().code(), Some(Code::StreamOpened));
    let refused = other.open_writer(copy).unwrap_err();
    assert!(
        refused.to_string().contains("connect to that node"),
        "{refused}"
    );
    let mut reader = other.open_reader(copy, &ReaderOptions::default()).unwrap();
    let first = reader.next().unwrap().expect("it was written");
    assert_eq!(first.blob().unwrap().to_vec(), b"one");
    writer.write(&vec![7; CHUNK_BYTES]).unwrap();
    let second = reader.next().unwrap().expect("it was written");
    assert_eq!(second.blob().unwrap().to_vec(), vec![7; CHUNK_BYTES]);
    writer.finish().unwrap();
    assert!(reader.next().unwrap().is_none(), "the end");
    drop((first, second, reader, writer));
    is_empty(&owner);
    is_empty(&other);
}

#[test]
fn streams_are_counted_where_they_are() {
    let cluster = start(2);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let stream = owner.create_stream(StreamOptions::default()).unwrap();
    let mut writer = owner.open_writer(stream).unwrap();
    writer.write(&[1; 1000]).unwrap();
    let counts = || {
        let status = other.cluster_status().unwrap();
        let of = |id| {
            let node = status.nodes.iter().find(|node| node.instance_id == id);
            node.unwrap().streams.expect("it knows this")
        };
        [owner.instance_id(), other.instance_id()].map(of)
    };
    let one = StreamTotals {
        streams: 1,
        stream_chunks: 1,
        stream_bytes: 1000,
        stream_waits: 0,
    };
    assert_eq!(counts(), [one, StreamTotals::default()]);
    let mut reader = other
        .open_reader(stream, &ReaderOptions::default())
        .unwrap();
    assert!(reader.next().unwrap().is_some());
    assert_eq!(counts()[1].streams, 1, "the relay");
}

#[test]
fn a_reader_is_told_that_the_node_of_its_stream_was_killed() {
    let mut cluster = start(2);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let (stream, _writer, mut reader) = read_elsewhere(&owner, &other);
    let (told, took) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| reader.next().map(drop));
        reached(&other, stream, |status| {
            status.cursors.iter().any(|cursor| cursor.waits)
        });
        cluster.nodes[0].kill().unwrap();
        let killed = Instant::now();
        (waits.join().unwrap().unwrap_err(), killed.elapsed())
    });
    assert_eq!(told.code(), Some(Code::StreamFailed), "{told}");
    assert!(told.to_string().contains("is lost with node"), "{told}");
    assert!(took < NODE_TOLD_WITHIN, "told after {took:?}");
    drop(reader);
    is_empty(&other);
}

#[test]
fn a_reader_is_told_that_the_node_of_its_stream_began_anew() {
    let mut cluster = start(3);
    let [owner, other] = [0, 1].map(|at| connect(&cluster.nodes[at]));
    let (stream, _writer, mut reader) = read_elsewhere(&owner, &other);
    cluster.nodes[0].kill().unwrap();
    cluster.nodes[0].start_again().unwrap();
    let told = reader.next().unwrap_err().to_string();
    assert!(told.contains("is lost"), "{told}");
    drop(reader);
    let again = other.open_reader(stream, &ReaderOptions::default());
    let gone = again.unwrap_err();
    assert!(gone.is_not_exists(), "{gone}");
    assert!(gone.to_string().contains("is lost with node"), "{gone}");
    is_empty(&other);
}

#[test]
fn a_node_that_has_just_started_asks_the_cluster_before_it_says_that_there_is_no_stream() {
    let mut cluster = start(2);
    let owner = connect(&cluster.nodes[0]);
    let stream = owner.create_stream(StreamOptions::default()).unwrap();
    cluster.nodes[1].kill().unwrap();
    // Only it can tell the other node what the cluster knows.
    let pause = |cluster: &Cluster, signal| {
        let owner = cluster.nodes[0].process().unwrap();
        owner.signal(signal).unwrap();
    };
    pause(&cluster, Signal::SIGSTOP);
    cluster.nodes[1].start_again().unwrap();
    let other = connect(&cluster.nodes[1]);
    let open = || {
        other
            .open_reader(stream, &ReaderOptions::default())
            .map(drop)
    };
    let unknown = open().unwrap_err();
    assert!(!unknown.is_not_exists(), "{unknown}");
    pause(&cluster, Signal::SIGCONT);
    open().unwrap();
}

#[test]
fn a_writer_is_told_that_the_node_of_its_reader_was_killed_in_each_of_its_waits() {
    let mut cluster = start(2);
    let owner = connect(&cluster.nodes[0]);
    // For the window; for memory.
    for options in [
        StreamOptions::default().window_bytes_max(3 << 20),
        StreamOptions::default(),
    ] {
        let other = connect(&cluster.nodes[1]);
        let stream = owner.create_stream(options).unwrap();
        let mut writer = owner.open_writer(stream).unwrap();
        let mut reader = other
            .open_reader(stream, &ReaderOptions::default())
            .unwrap();
        let (told, took) = std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let told = loop {
                    if let Err(error) = writer.write(&vec![7; CHUNK_BYTES]) {
                        break error;
                    }
                };
                drop(writer);
                told
            });
            assert!(reader.next().unwrap().is_some());
            reached(&owner, stream, |status| status.writer_waits);
            cluster.nodes[1].kill().unwrap();
            let killed = Instant::now();
            (waits.join().unwrap(), killed.elapsed())
        });
        assert_eq!(told.code(), Some(Code::StreamFailed), "{told}");
        assert!(told.to_string().contains("the reader left"), "{told}");
        assert!(took < NODE_TOLD_WITHIN, "told after {took:?}");
        is_empty(&owner);
        cluster.nodes[1].start_again().unwrap();
    }
}
