//! Streams between processes: what the released protocol says in bare frames, what becomes of a stream whose side is
//! killed, and much data through small arenas.

mod much;
mod relayed;
mod released;

use std::process::Command;
use std::time::{Duration, Instant};

use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{Code, Error, ObjectId, Options, blocking};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::process::Process;
use vineyard_tests::wait;

/// What a child process is to be: a side, the socket, the stream, and how many chunks it passes before it stands still.
const SIDE: &str = "VINEYARD_TEST_STREAM_SIDE";
const ARENA: &str = "32M";
const CHUNK_BYTES: usize = 1 << 20;
/// How soon the other side of a killed process is told.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// For what a busy machine does in its own time.
const PATIENCE: Duration = Duration::from_secs(60);
/// More chunks than any test has.
const FOR_EVER: u64 = u64::MAX;

fn start(size: &str) -> Cluster {
    let plan = Plan {
        size: size.to_owned(),
        ..Plan::default()
    };
    Cluster::start(1, &plan).unwrap()
}

fn connect(node: &Node) -> blocking::Client {
    let socket = node.socket().display().to_string();
    blocking::Client::connect_ipc(&socket, &Options::default()).unwrap()
}

/// A process that is one side of `stream`; it stands still after `chunks`.
fn child(node: &Node, side: &str, stream: ObjectId, chunks: u64) -> Process {
    let socket = node.socket();
    let log = socket.with_file_name(format!("{side}.log"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "streams::a_side_of_a_stream", "--nocapture"]);
    let task = format!("{side} {} {stream} {chunks}", socket.display());
    command.env(SIDE, task);
    Process::start(side, &mut command, &log).unwrap()
}

/// Not a test: what `child` runs.
#[test]
fn a_side_of_a_stream() {
    let Ok(task) = std::env::var(SIDE) else {
        return;
    };
    let parts: Vec<&str> = task.split(' ').collect();
    let client = blocking::Client::connect_ipc(parts[1], &Options::default()).unwrap();
    let (stream, chunks) = (parts[2].parse().unwrap(), parts[3].parse().unwrap());
    match parts[0] {
        "writer" => write(&client, stream, chunks),
        "reader" => read(&client, stream, chunks),
        much::WRITER => much::write(&client, stream, chunks),
        much::READER => much::read(&client, stream, chunks),
        side => panic!("there is no side {side}"),
    }
}

fn write(client: &blocking::Client, stream: ObjectId, chunks: u64) {
    let mut writer = client.open_writer(stream).unwrap();
    for number in 0..chunks {
        writer.write(&vec![number as u8; CHUNK_BYTES]).unwrap();
    }
    // Stands still with a chunk half filled.
    let _half = writer.chunk(CHUNK_BYTES).unwrap();
    stand_still();
}

fn read(client: &blocking::Client, stream: ObjectId, chunks: u64) {
    let mut reader = client
        .open_reader(stream, &ReaderOptions::default())
        .unwrap();
    let mut last = None;
    for number in 0..chunks {
        last = reader.next().unwrap();
        let Some(chunk) = &last else { return };
        let bytes = chunk.blob().unwrap();
        assert!(bytes.len() == CHUNK_BYTES && bytes.iter().all(|byte| *byte == number as u8));
    }
    stand_still();
    drop(last);
}

fn stand_still() {
    loop {
        std::thread::park();
    }
}

/// Nothing is left of streams and their sides.
fn is_clean(client: &blocking::Client) {
    wait::until("a node without streams", PATIENCE, || {
        let status = client.instance_status()?;
        let deleted = status.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        let stats = client.cluster_status()?.nodes[0].stats.clone();
        let stats = stats.unwrap();
        let counts = (
            status.memory_usage,
            deleted,
            stats.references,
            stats.unsealed,
            stats.waiting,
        );
        anyhow::ensure!(counts == (0, 0, 0, 0, 0), "{counts:?}");
        Ok(Some(()))
    })
    .unwrap();
}

fn is_told(outcome: Result<(), Error>, killed: Instant, reason: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Some(Code::StreamFailed), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
    let took = killed.elapsed();
    assert!(took < TOLD_WITHIN, "told after {took:?}");
}

/// Waits until the stream is in the state that `is_there` wants.
fn reached(
    client: &blocking::Client,
    stream: ObjectId,
    is_there: impl Fn(&vineyard_client::stream::StreamStatus) -> bool,
) {
    wait::until("the state of the stream", PATIENCE, || {
        let status = client.stream_status(stream)?;
        anyhow::ensure!(is_there(&status), "{status:?}");
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_reader_is_told_that_the_writer_was_killed_in_each_of_its_waits() {
    let cluster = start(ARENA);
    let node = &cluster.nodes[0];
    let client = connect(node);
    let window = StreamOptions::default().window_bytes_max(4 << 20);
    // It fills a chunk; it waits for the window; it waits for memory.
    for (options, chunks) in [
        (StreamOptions::default(), 2),
        (window, FOR_EVER),
        (StreamOptions::default(), FOR_EVER),
    ] {
        let stream = client.create_stream(options).unwrap();
        let mut writer = child(node, "writer", stream, chunks);
        let mut reader = client
            .open_reader(stream, &ReaderOptions::default())
            .unwrap();
        match chunks {
            FOR_EVER => reached(&client, stream, |status| status.writer_waits),
            _ => reached(&client, stream, |status| status.next_number == chunks),
        }
        writer.kill().unwrap();
        let killed = Instant::now();
        // What was written before is whole.
        let mut number = 0_u8;
        let told = loop {
            match reader.next() {
                Ok(Some(chunk)) => {
                    let bytes = chunk.blob().unwrap();
                    assert!(bytes.len() == CHUNK_BYTES && bytes.iter().all(|byte| *byte == number));
                    number += 1;
                }
                Ok(None) => panic!("the writer did not finish"),
                Err(error) => break Err(error),
            }
        };
        is_told(told, killed, "the writer left");
        drop(reader);
        client.drop_stream(stream).unwrap();
        is_clean(&client);
    }
}

#[test]
fn a_reader_that_waits_is_told_that_the_writer_was_killed() {
    let cluster = start(ARENA);
    let node = &cluster.nodes[0];
    let client = connect(node);
    let stream = client.create_stream(StreamOptions::default()).unwrap();
    let mut writer = child(node, "writer", stream, 0);
    reached(&client, stream, |status| status.window_bytes > 0);
    let mut reader = client
        .open_reader(stream, &ReaderOptions::default())
        .unwrap();
    let (told, killed) = std::thread::scope(|scope| {
        let waits = scope.spawn(move || (reader.next().map(drop), reader));
        reached(&client, stream, |status| {
            status.cursors.iter().any(|cursor| cursor.waits)
        });
        writer.kill().unwrap();
        let killed = Instant::now();
        let (told, reader) = waits.join().unwrap();
        drop(reader);
        (told, killed)
    });
    is_told(told, killed, "the writer left");
    is_clean(&client);
}

#[test]
fn a_writer_that_waits_is_told_that_the_reader_was_killed() {
    let cluster = start(ARENA);
    let node = &cluster.nodes[0];
    let client = connect(node);
    // For the window; for memory, of which the reader has a chunk.
    for options in [
        StreamOptions::default().window_bytes_max(3 << 20),
        StreamOptions::default(),
    ] {
        let stream = client.create_stream(options).unwrap();
        let mut writer = client.open_writer(stream).unwrap();
        let mut reader = child(node, "reader", stream, 1);
        let (told, killed) = std::thread::scope(|scope| {
            let waits = scope.spawn(move || {
                let told = loop {
                    if let Err(error) = writer.write(&vec![7; CHUNK_BYTES]) {
                        break Err(error);
                    }
                };
                drop(writer);
                told
            });
            reached(&client, stream, |status| {
                status.writer_waits && status.in_flight_chunks == 1
            });
            reader.kill().unwrap();
            let killed = Instant::now();
            (waits.join().unwrap(), killed)
        });
        is_told(told, killed, "the reader left");
        is_clean(&client);
    }
}

#[test]
fn both_sides_are_told_that_their_own_node_was_killed_in_their_waits() {
    let mut cluster = start(ARENA);
    let client = connect(&cluster.nodes[0]);
    // The writers wait for the window and for memory; a reader of a third stream waits for a chunk.
    let window = StreamOptions::default().window_bytes_max(3 << 20);
    let kinds = [window, StreamOptions::default(), StreamOptions::default()];
    let streams = kinds.map(|options| client.create_stream(options).unwrap());
    let [windowed, unbounded, empty] = streams;
    let writers = [windowed, unbounded].map(|stream| writer_of_its_own(&cluster, stream));
    let mut reader = connect(&cluster.nodes[0])
        .open_reader(empty, &ReaderOptions::default())
        .unwrap();
    let (outcomes, killed) = std::thread::scope(|scope| {
        let mut waits: Vec<_> = writers
            .into_iter()
            .map(|mut writer| {
                scope.spawn(move || {
                    loop {
                        if let Err(error) = writer.write(&vec![7; CHUNK_BYTES]) {
                            break error;
                        }
                    }
                })
            })
            .collect();
        waits.push(scope.spawn(move || reader.next().map(drop).unwrap_err()));
        for stream in [windowed, unbounded] {
            reached(&client, stream, |status| status.writer_waits);
        }
        reached(&client, empty, |status| {
            status.cursors.iter().any(|cursor| cursor.waits)
        });
        cluster.nodes[0].kill().unwrap();
        let killed = Instant::now();
        let outcomes: Vec<_> = waits.into_iter().map(|wait| wait.join().unwrap()).collect();
        (outcomes, killed.elapsed())
    });
    for error in outcomes {
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    assert!(killed < TOLD_WITHIN, "told after {killed:?}");
}

/// A writer of `stream` whose connection no other thread uses.
fn writer_of_its_own(cluster: &Cluster, stream: ObjectId) -> blocking::stream::Writer {
    connect(&cluster.nodes[0]).open_writer(stream).unwrap()
}

#[test]
fn nothing_is_left_when_both_sides_are_killed() {
    let cluster = start(ARENA);
    let node = &cluster.nodes[0];
    let client = connect(node);
    for writer_first in [true, false] {
        let stream = client.create_stream(StreamOptions::default()).unwrap();
        let mut writer = child(node, "writer", stream, FOR_EVER);
        let mut reader = child(node, "reader", stream, 3);
        reached(&client, stream, |status| {
            status.writer_waits && status.in_flight_chunks == 1
        });
        match writer_first {
            true => [&mut writer, &mut reader].map(|side| side.kill().unwrap()),
            false => [&mut reader, &mut writer].map(|side| side.kill().unwrap()),
        };
        is_clean(&client);
        assert!(client.stream_status(stream).unwrap_err().is_not_exists());
    }
}
