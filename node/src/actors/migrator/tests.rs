//! Migrations from a source that the test simulates: the error names its fault, and nothing is left on this node.

use std::cell::Cell;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{NoFaults, Stream};
use vineyard_raft::command::{Applied, Command};
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_raft::state::objects::{BlobRow, Link, Lost, Record};
use vineyard_wire::peer::{Answer, Ask, MAGIC, Range};
use vineyard_wire::{NodeId, Signature};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::config::Limits;
use crate::peer::stats;
use crate::peer::{frames, handshake};
use crate::testing::{TestNode, with_node};

const DEADLINE: Duration = Duration::from_secs(5);
const SMALL: u64 = 1000;
const LARGE: u64 = 3 << 20;

fn migrate_to(
    node: &Rc<NodeContext>,
    id: ObjectId,
) -> LocalBoxFuture<'static, Result<ObjectId, Status>> {
    node.migrator.migrate(node, id)
}

#[derive(Clone, Copy)]
enum Source {
    Answers,
    /// Closes after half of the bytes.
    Dies,
    /// Sends half of the bytes, and then nothing.
    Stalls,
    /// Changes a byte before sending.
    Lies,
}

/// A node of the cluster that the test simulates.
struct Actor {
    instance: InstanceId,
    endpoint: String,
    connections: Rc<Cell<usize>>,
}

async fn submit(test_node: &TestNode, instance: InstanceId, command: Command) -> Applied {
    let meta = &test_node.node.context.meta;
    meta.submit(instance, command, DEADLINE).await.unwrap()
}

impl Actor {
    async fn enter(test_node: &TestNode, source: Source) -> Self {
        let mut door = test_node.env.network.listen("127.0.0.1:0").await.unwrap();
        let endpoint = door.address();
        let me = test_node.node.instance_id();
        let admit = Command::Admit {
            key: 77,
            endpoint: endpoint.clone(),
        };
        let Applied::Admitted { node, .. } = submit(test_node, me, admit).await else {
            panic!("not admitted")
        };
        let instance = InstanceId::new(node, 0);
        let register = Command::Register {
            instance: Instance {
                id: instance,
                hostid: 1,
                hostname: "stage".to_owned(),
                ipc_socket: String::new(),
                endpoint: endpoint.clone(),
                liveness: Liveness::Up,
                since_unix_ms: 0,
            },
        };
        submit(test_node, instance, register).await;
        let connections = Rc::new(Cell::new(0));
        let (context, count) = (test_node.node.context.clone(), connections.clone());
        tokio::task::spawn_local(async move {
            while let Ok(stream) = door.accept().await {
                count.set(count.get() + 1);
                tokio::task::spawn_local(play(context.clone(), stream, node, source));
            }
        });
        Self {
            instance,
            endpoint,
            connections,
        }
    }

    /// A persistent object of the simulated node with one blob of `size` bytes.
    async fn persist(&self, test_node: &TestNode, number: u64, size: u64) -> ObjectId {
        let id = ObjectId(self.instance.node().0 << 47 | number);
        let blob = ObjectId(id.0 | 1 << 63);
        let link = Link::Blob {
            id: blob,
            instance: self.instance,
        };
        let record = Record {
            id,
            signature: Signature(number),
            instance: self.instance,
            typename: "test".to_owned(),
            global: false,
            timestamp_ms: 0,
            attributes: BTreeMap::new(),
            members: [("bytes".to_owned(), link)].into(),
            labels: BTreeMap::new(),
        };
        let row = BlobRow {
            id: blob,
            size,
            checksum: None,
            locations: [self.instance].into(),
            lost: Lost::No,
        };
        let persist = Command::Persist {
            records: vec![record],
            blobs: vec![row],
        };
        submit(test_node, self.instance, persist).await;
        id
    }
}

async fn play(context: Rc<NodeContext>, mut stream: Box<dyn Stream>, me: NodeId, source: Source) {
    stream.read_exact(&mut [0; MAGIC.len()]).await.unwrap();
    let (credentials, random) = (context.credentials.clone(), context.env.random.clone());
    handshake::accept(
        stream.as_mut(),
        &credentials,
        me,
        random.as_ref(),
        &NoFaults,
        |_| Ok(()),
    )
    .await
    .unwrap();
    while let Ok(Ask::Read { ranges }) =
        frames::read(stream.as_mut(), frames::MESSAGE_BYTES_MAX).await
    {
        let len = ranges.iter().map(|Range { len, .. }| len).sum();
        let mut bytes = vec![7; len as usize];
        let checksum = xxh3_64(&bytes).to_le_bytes();
        frames::write(stream.as_mut(), &Answer::Bytes { len })
            .await
            .unwrap();
        // The node may close first, when the test has seen what it needs.
        let half = len as usize / 2;
        match source {
            Source::Answers => {}
            Source::Lies => bytes[half] ^= 1,
            Source::Dies => return drop(stream.write_all(&bytes[..half]).await),
            Source::Stalls => {
                drop(stream.write_all(&bytes[..half]).await);
                return std::future::pending().await;
            }
        }
        drop(stream.write_all(&bytes).await);
        drop(stream.write_all(&checksum).await);
    }
}

fn limits() -> Limits {
    Limits {
        transfer_deadline_base: Duration::from_millis(500),
        ..Limits::default()
    }
}

async fn nothing_is_left(test_node: &TestNode) {
    let stats = stats::here(&test_node.node.context).await.unwrap();
    let left = [
        stats.blobs,
        stats.unsealed,
        stats.references,
        stats.memory_usage,
    ];
    assert_eq!(left, [0; 4]);
    let state = test_node.node.context.meta.state();
    let me = test_node.node.instance_id();
    assert!(state.objects().all(|record| record.instance != me));
}

fn a_failure_is_named_and_leaves_nothing(source: Source, reason: &str) {
    with_node(limits(), async |test_node| {
        let actor = Actor::enter(test_node, source).await;
        for (number, size) in [(1, SMALL), (2, LARGE)] {
            let id = actor.persist(test_node, number, size).await;
            let status = migrate_to(&test_node.node.context, id)
                .await
                .expect_err("failed");
            let named = [
                format!("node {}", actor.instance.node()),
                actor.endpoint.clone(),
                reason.to_owned(),
            ];
            for part in named {
                assert!(status.message.contains(&part), "no {part:?} in {status}");
            }
            nothing_is_left(test_node).await;
        }
    });
}

#[test]
fn a_source_that_dies_half_way_is_named_and_leaves_nothing() {
    a_failure_is_named_and_leaves_nothing(Source::Dies, "eof");
}

#[test]
fn a_source_that_stops_sending_fails_at_the_deadline() {
    a_failure_is_named_and_leaves_nothing(Source::Stalls, "the bytes did not arrive within 5");
}

#[test]
fn bytes_that_changed_in_transit_are_an_error() {
    a_failure_is_named_and_leaves_nothing(Source::Lies, "checksum");
}

#[test]
fn however_many_ask_an_object_is_fetched_once() {
    with_node(limits(), async |test_node| {
        let actor = Actor::enter(test_node, Source::Answers).await;
        let id = actor.persist(test_node, 1, SMALL).await;
        let node = &test_node.node.context;
        let asked = (0..10).map(|_| migrate_to(node, id));
        let copies = futures::future::try_join_all(asked).await.unwrap();
        assert!(copies.iter().all(|copy| *copy == copies[0] && *copy != id));
        assert_eq!(actor.connections.get(), 1);
        let stats = stats::here(node).await.unwrap();
        assert_eq!((stats.blobs, stats.references), (1, 0));
        assert_eq!(
            migrate_to(node, id).await.unwrap(),
            copies[0],
            "it is here now"
        );
        assert_eq!(actor.connections.get(), 1);
    });
}

#[test]
fn a_checksum_is_known_once_the_bytes_have_moved_and_binds_the_next_move() {
    with_node(limits(), async |test_node| {
        let actor = Actor::enter(test_node, Source::Answers).await;
        let node = &test_node.node.context;
        let row_of = |object| {
            let state = node.meta.state();
            let blob = state.object(object).unwrap().members["bytes"].id();
            state.blob(blob).unwrap().clone()
        };
        let source = actor.persist(test_node, 1, SMALL).await;
        assert_eq!(row_of(source).checksum, None);
        let copy = migrate_to(node, source).await.unwrap();
        let moved = Some(xxh3_64(&vec![7; SMALL as usize]));
        assert_eq!(
            [row_of(source), row_of(copy)].map(|row| row.checksum),
            [moved; 2]
        );
        assert_eq!(row_of(source).locations, [actor.instance].into());

        let other = actor.persist(test_node, 2, SMALL).await;
        let known = BlobRow {
            checksum: Some(5),
            ..row_of(other)
        };
        let persist = Command::Persist {
            records: Vec::new(),
            blobs: vec![known],
        };
        submit(test_node, actor.instance, persist).await;
        let status = migrate_to(node, other).await.expect_err("other bytes");
        assert!(status.message.contains("checksum"), "{status}");
        let stats = stats::here(node).await.unwrap();
        assert_eq!((stats.blobs, stats.references), (1, 0));
    });
}

#[test]
fn copies_queue_for_permits() {
    let limits = Limits {
        migrations_max: 2,
        ..limits()
    };
    with_node(limits, async |test_node| {
        let actor = Actor::enter(test_node, Source::Stalls).await;
        let mut asked = Vec::new();
        for number in 1..=5 {
            let id = actor.persist(test_node, number, SMALL).await;
            asked.push(tokio::task::spawn_local(migrate_to(
                &test_node.node.context,
                id,
            )));
        }
        while actor.connections.get() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(actor.connections.get(), 2);
        for outcome in asked {
            outcome.await.unwrap().expect_err("the source stalls");
        }
        assert_eq!(actor.connections.get(), 5, "each had its turn");
        nothing_is_left(test_node).await;
    });
}
