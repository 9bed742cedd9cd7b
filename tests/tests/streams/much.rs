//! Many times what an arena holds, checksummed, to a reader that does twice the writer's work for each chunk.
//!
//! Promise: the arena stays below the streams' threshold, and neither side nor node keeps more than a few chunks of its
//! own, however much flows. `cargo xtask chore io` has more flow than each change does.

use std::env;
use std::time::Instant;

use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{ObjectId, blocking};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::process::Process;
use vineyard_tests::{shared_memory, wait};
use xxhash_rust::xxh3::xxh3_64;

use super::{CHUNK_BYTES, PATIENCE, child, connect, is_clean};

pub(super) const WRITER: &str = "much-writer";
pub(super) const READER: &str = "much-reader";
/// How much flows, and through which arena, in bytes and as `--size` takes it.
const BYTES: (&str, u64) = ("VINEYARD_TEST_STREAM_BYTES", 1 << 30);
const ARENA: (&str, &str) = ("VINEYARD_TEST_STREAM_ARENA", "64M");
/// Of the arena: what the node lets streams have.
const THRESHOLD_PERCENT: u64 = 80;
/// What a process may have of its own more than when the bytes began to flow.
const PRIVATE_BYTES_MAX: u64 = 32 << 20;
/// Of a chunk: its number, and the checksum of what is before.
const TAIL_BYTES: usize = 16;

fn bytes() -> u64 {
    let (name, usual) = BYTES;
    env::var(name).map_or(usual, |bytes| bytes.parse().unwrap())
}

fn start(nodes: usize) -> Cluster {
    let (name, usual) = ARENA;
    let plan = Plan {
        size: env::var(name).unwrap_or_else(|_| usual.to_owned()),
        ..Plan::default()
    };
    let cluster = Cluster::start(nodes, &plan).unwrap();
    cluster.wait_settled().unwrap();
    cluster
}

/// What chunks are filled with, each from another place on.
fn pattern() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pattern = Vec::with_capacity(CHUNK_BYTES);
    while pattern.len() < CHUNK_BYTES - TAIL_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pattern.extend_from_slice(&state.to_le_bytes());
    }
    pattern
}

pub(super) fn write(client: &blocking::Client, stream: ObjectId, chunks: u64) {
    let mut writer = client.open_writer(stream).unwrap();
    let pattern = pattern();
    for number in 0..chunks {
        let mut chunk = writer.chunk(CHUNK_BYTES).unwrap();
        let (body, tail) = chunk.as_mut_slice().split_at_mut(pattern.len());
        let (first, last) = pattern.split_at(number as usize * 4099 % pattern.len());
        body[..last.len()].copy_from_slice(last);
        body[last.len()..].copy_from_slice(first);
        tail[..8].copy_from_slice(&number.to_le_bytes());
        tail[8..].copy_from_slice(&xxh3_64(body).to_le_bytes());
        chunk.push().unwrap();
    }
    writer.finish().unwrap();
}

pub(super) fn read(client: &blocking::Client, stream: ObjectId, chunks: u64) {
    let mut reader = client
        .open_reader(stream, &ReaderOptions::default())
        .unwrap();
    for number in 0..chunks {
        let chunk = reader.next().unwrap().expect("the writer writes more");
        let bytes = chunk.blob().expect("the writer writes blobs");
        let (body, tail) = bytes.split_at(CHUNK_BYTES - TAIL_BYTES);
        assert_eq!(tail[..8], number.to_le_bytes());
        // Twice, so that it is half as fast as the writer.
        for _ in 0..2 {
            assert_eq!(tail[8..], xxh3_64(body).to_le_bytes(), "chunk {number}");
        }
    }
    assert!(reader.next().unwrap().is_none());
}

/// A process whose memory is watched.
struct Watched {
    pid: u32,
    private_before: u64,
}

impl Watched {
    fn new(process: &Process) -> Self {
        let pid = process.pid();
        Self {
            pid,
            private_before: shared_memory::private_bytes(pid).unwrap_or_default(),
        }
    }

    /// A process that has ended has nothing.
    fn is_within_bounds(&self) {
        let private = shared_memory::private_bytes(self.pid).unwrap_or_default();
        let more = private.saturating_sub(self.private_before);
        assert!(more <= PRIVATE_BYTES_MAX, "{more} bytes more than before");
    }
}

/// Whether the arena of `node` is within its bounds.
fn has_room(node: &Node, client: &blocking::Client) {
    let status = client.instance_status().unwrap();
    let (used, limit) = (status.memory_usage, status.memory_limit);
    assert!(used <= limit * THRESHOLD_PERCENT / 100, "{used} of {limit}");
    let pid = node.process().unwrap().pid();
    let pages = shared_memory::allocated_bytes(pid).unwrap();
    assert!(pages <= limit + PRIVATE_BYTES_MAX, "{pages} of {limit}");
}

fn ended(process: &mut Process) -> bool {
    let Err(error) = process.check_running() else {
        return false;
    };
    let text = error.to_string();
    assert!(text.contains("exit status: 0"), "{text}");
    true
}

/// Writes on the first node and reads on the last.
fn flows(nodes: &[Node]) {
    let clients: Vec<_> = nodes.iter().map(connect).collect();
    let (first, last) = (&nodes[0], &nodes[nodes.len() - 1]);
    let stream = clients[0].create_stream(StreamOptions::default()).unwrap();
    let chunks = bytes().div_ceil(CHUNK_BYTES as u64);
    let mut sides = [
        child(last, READER, stream, chunks),
        child(first, WRITER, stream, chunks),
    ];
    let started = Instant::now();
    let mut watched: Vec<_> = sides.iter().map(Watched::new).collect();
    watched.extend(
        nodes
            .iter()
            .map(|node| Watched::new(node.process().unwrap())),
    );
    let patience = PATIENCE + PATIENCE * (bytes() >> 30) as u32;
    wait::until("the end of both sides", patience, || {
        for (node, client) in nodes.iter().zip(&clients) {
            has_room(node, client);
        }
        watched.iter().for_each(Watched::is_within_bounds);
        let ended = sides.each_mut().map(ended);
        Ok((ended == [true, true]).then_some(()))
    })
    .unwrap();
    println!("{} bytes in {:?}", bytes(), started.elapsed());
    clients[0].drop_stream(stream).unwrap();
    clients.iter().for_each(is_clean);
}

#[test]
fn much_more_than_the_arena_holds_flows_between_two_processes() {
    flows(&start(1).nodes);
}

#[test]
fn much_more_than_the_arenas_hold_flows_between_two_nodes() {
    flows(&start(2).nodes);
}
