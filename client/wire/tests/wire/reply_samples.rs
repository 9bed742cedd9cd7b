//! One example of each reply and refusal. Where the original's traffic was captured, the example is that message.

use std::collections::BTreeMap;

use vineyard_wire::reply::{
    ClusterSettings, ClusterStatus, Cordon, DrainProgress, Event, GivenUp, GotObjects, GroupStatus,
    InstanceInfo, InstanceStatus, JoinToken, Left, ListedEvents, Liveness, MadeObject,
    MemoryPieces, NodeAbout, NodeStats, NodeStatus, Payload, PutDone, Quorum, Recovery, Registered,
    RemovedNode, Role, StreamTotals,
};
use vineyard_wire::{Code, InstanceId, NodeId, ObjectId, Reply, Signature, Status, TreeText};

use crate::described::description;
use crate::samples::{BLOB, OBJECT, OTHER_BLOB, OTHER_OBJECT, content};

pub(crate) fn replies() -> Vec<(&'static str, Reply)> {
    let mut all = buffer_replies();
    all.extend(object_replies());
    all.extend(data_replies());
    all.extend(cluster_replies());
    all.extend(crate::stream_samples::replies());
    all
}

pub(crate) fn payload(
    object_id: ObjectId,
    data_offset: i64,
    data_size: i64,
    is_sealed: bool,
) -> Payload {
    Payload {
        object_id,
        store_fd: 17,
        data_offset,
        data_size,
        map_size: 268_435_464,
        pointer: 140_569_716_191_232 + data_offset.unsigned_abs(),
        is_sealed,
        is_owner: true,
        is_gpu: false,
    }
}

fn object_replies() -> Vec<(&'static str, Reply)> {
    let object = MadeObject {
        id: OBJECT,
        signature: Signature(7_530_267_542_464_495_620),
        instance_id: InstanceId(0),
    };
    let blobs = vec![BLOB, ObjectId::EMPTY_BLOB];
    let got = GotObjects {
        content: BTreeMap::from([(OBJECT, TreeText::of(&content()))]),
        payloads: vec![payload(OTHER_BLOB, 512, 48, true)],
        fds: vec![17],
        compress: false,
    };
    vec![
        (
            "",
            Reply::PutObject(PutDone {
                object: Some(object),
                blobs: blobs.clone(),
            }),
        ),
        (
            "bytes",
            Reply::PutObject(PutDone {
                object: None,
                blobs,
            }),
        ),
        ("", Reply::GetObject(got)),
        ("none", Reply::GetObject(GotObjects::default())),
    ]
}

fn buffer_replies() -> Vec<(&'static str, Reply)> {
    let created = payload(BLOB, 64, 100, false);
    let two = vec![
        payload(BLOB, 64, 100, true),
        payload(OTHER_BLOB, 512, 48, true),
    ];
    let none = Reply::GetBuffers {
        payloads: vec![],
        fds: vec![],
        compress: false,
    };
    vec![
        (
            "",
            Reply::CreateBuffer {
                id: BLOB,
                created,
                fd: 17,
            },
        ),
        (
            "empty",
            Reply::CreateBuffer {
                id: ObjectId::EMPTY_BLOB,
                created: Payload::empty(),
                fd: -1,
            },
        ),
        (
            "",
            Reply::CreateBuffers {
                ids: vec![BLOB, OTHER_BLOB],
                payloads: two.clone(),
                fds: vec![17],
            },
        ),
        ("", Reply::Seal),
        (
            "",
            Reply::GetBuffers {
                payloads: two,
                fds: vec![],
                compress: false,
            },
        ),
        ("none", none),
        ("", Reply::DropBuffer),
        ("", Reply::ShrinkBuffer),
        ("", Reply::IncreaseReferenceCount),
        ("", Reply::Release),
        ("", Reply::IsInUse { is_in_use: true }),
        ("", Reply::MigrateObject { object_id: OBJECT }),
    ]
}

fn data_replies() -> Vec<(&'static str, Reply)> {
    let found = BTreeMap::from([(OBJECT, TreeText::of(&content()))]);
    let instance_id = InstanceId(0);
    let names = BTreeMap::from([("a/b~c".into(), OTHER_OBJECT), ("n1".into(), OBJECT)]);
    let signature = Signature(7_530_267_542_464_495_620);
    vec![
        (
            "",
            Reply::CreateData {
                id: OBJECT,
                signature,
                instance_id,
            },
        ),
        (
            "",
            Reply::CreateDatas {
                ids: vec![OBJECT, OTHER_OBJECT],
                signatures: vec![signature, Signature(u64::MAX)],
                instance_ids: vec![instance_id, InstanceId::UNSPECIFIED],
            },
        ),
        ("", Reply::GetData { content: found }),
        (
            "none",
            Reply::GetData {
                content: BTreeMap::new(),
            },
        ),
        ("", Reply::DelData),
        (
            "",
            Reply::DelDataWithFeedbacks {
                deleted_bids: vec![BLOB],
            },
        ),
        ("", Reply::Exists { exists: true }),
        ("", Reply::Persist),
        ("", Reply::PersistMany),
        ("", Reply::IfPersist { persist: false }),
        (
            "",
            Reply::ShallowCopy {
                target_id: OTHER_OBJECT,
            },
        ),
        ("", Reply::Label),
        ("", Reply::Clear),
        ("", Reply::MemoryTrim { trimmed: false }),
        ("", Reply::PutName),
        ("", Reply::GetName { object_id: OBJECT }),
        ("", Reply::ListName { names }),
        ("", Reply::DropName),
    ]
}

fn registered() -> Registered {
    Registered {
        ipc_socket: "run/a.sock".into(),
        rpc_endpoint: "vm:9601".into(),
        instance_id: InstanceId(0),
        session_id: 0,
        version: "0.24.2".into(),
        store_match: true,
        support_rpc_compression: true,
        features: vec![],
        fetch_ms_max: 0,
        first_trace: 0,
    }
}

#[expect(clippy::too_many_lines, reason = "one example after the other")]
fn cluster_replies() -> Vec<(&'static str, Reply)> {
    let registered = registered();
    let features = vec!["persist_many".into()];
    let info = InstanceInfo {
        hostid: 1_442_236_531_971,
        hostname: "vm".into(),
        nodename: "vm".into(),
        ipc_socket: "run/a.sock".into(),
        rpc_endpoint: "vm:9601".into(),
        timestamp: 7_710_993_947_468_515_978,
    };
    vec![
        ("", Reply::Register(registered.clone())),
        (
            "features",
            Reply::Register(Registered {
                features,
                ..registered.clone()
            }),
        ),
        (
            "fetch",
            Reply::Register(Registered {
                features: vec!["fetch".into()],
                fetch_ms_max: 56_845,
                ..registered.clone()
            }),
        ),
        (
            "trace",
            Reply::Register(Registered {
                features: vec!["trace".into()],
                first_trace: 0xfeed_0000_0000_0001,
                ..registered
            }),
        ),
        ("", Reply::DebugCommand),
        (
            "",
            Reply::ClusterMeta {
                meta: BTreeMap::from([(InstanceId(0), info)]),
            },
        ),
        ("", Reply::InstanceStatus(instance_status(None))),
        (
            "pieces",
            Reply::InstanceStatus(instance_status(Some(pieces()))),
        ),
        ("", Reply::RemoveNode(removed_node())),
        ("", Reply::RecoverCluster(recovery())),
        ("", Reply::DrainNode(drain_progress())),
        ("", Reply::UncordonNode),
        ("", Reply::Configure(settings())),
        (
            "",
            Reply::ListEvents(ListedEvents {
                events: vec![Event {
                    number: 7,
                    unix_ms: 1_790_000_000_000,
                    kind: "node_stopped".into(),
                    node: Some(NodeId(2)),
                    text: "blue (n2) was stopped".into(),
                }],
                last: 9,
            }),
        ),
        ("", Reply::DescribeNode(Box::new(description()))),
        (
            "",
            Reply::LeaveCluster(Left {
                blobs_lost: 3,
                bytes_lost: 4_096,
            }),
        ),
        ("", Reply::ClusterStatus(cluster_status())),
        (
            "pieces",
            Reply::ClusterStatus(with_pieces(cluster_status())),
        ),
        (
            "streams",
            Reply::ClusterStatus(with_streams(cluster_status())),
        ),
        ("known", Reply::ClusterStatus(known(cluster_status()))),
        ("cordoned", Reply::ClusterStatus(cordoned(cluster_status()))),
        ("epoch", Reply::ClusterStatus(of_epoch(cluster_status()))),
        (
            "traffic",
            Reply::ClusterStatus(with_traffic(cluster_status())),
        ),
        ("", Reply::Token(token(None))),
        ("rotated", Reply::Token(token(Some(1_790_000_000_000)))),
    ]
}

fn instance_status(pieces: Option<MemoryPieces>) -> InstanceStatus {
    InstanceStatus {
        deployment: "local".into(),
        instance_id: InstanceId(0),
        memory_usage: 250,
        memory_limit: 268_435_456,
        deferred_requests: 0,
        ipc_connections: 1,
        rpc_connections: 0,
        pieces,
    }
}

/// A leader with its stats, and a node that did not answer.
pub(crate) fn drain_progress() -> DrainProgress {
    DrainProgress {
        done: true,
        bytes_moved: 64 << 20,
        bytes_left: 1,
        blobs_moved: 300,
        blobs_left: 2,
        objects_persisted: 3,
        objects_kept: 4,
        loose_blobs: 5,
        loose_bytes: 6,
    }
}

fn recovery() -> Recovery {
    let given_up = |node, applied_index: Option<u64>| GivenUp {
        node: NodeId(node),
        name: format!("host{node}"),
        endpoint: format!("10.0.0.{node}:9600"),
        votes: true,
        answers: applied_index.is_some(),
        applied_index,
    };
    Recovery {
        cluster: "5d1f2c3b4a59".into(),
        epoch: 2,
        last_index: 217,
        agreed_index: 215,
        written_ms: Some(43_000),
        quorum_ms: 42_500,
        names: 12,
        objects: 14,
        objects_lost: 2,
        blobs_lost: 3,
        bytes_lost: 4_096,
        given_up: vec![given_up(1, None), given_up(2, Some(216))],
    }
}

fn removed_node() -> RemovedNode {
    RemovedNode {
        node: NodeId(3),
        endpoint: "n3.test:9600".into(),
        objects_lost: 12,
    }
}

pub(crate) fn cluster_status() -> ClusterStatus {
    let node = |number, role, state, stats| NodeStatus {
        instance_id: InstanceId(number),
        role,
        state,
        endpoint: format!("127.0.0.1:{}", 9_600 + number),
        ipc_socket: format!("run/{number}.sock"),
        about: NodeAbout::default(),
        stats,
        pieces: None,
        streams: None,
    };
    ClusterStatus {
        cluster: GroupStatus {
            id: "c1".into(),
            leader: Some(InstanceId(0)),
            voters: 1,
            tolerates: 0,
            commit_index: 42,
            quorum: None,
            epoch: None,
            settings: None,
            traffic: None,
        },
        nodes: vec![
            node(0, Role::Leader, Liveness::Up, Some(stats())),
            node(1, Role::Learner, Liveness::Unreachable, None),
        ],
    }
}

fn token(old_until_unix_ms: Option<u64>) -> JoinToken {
    JoinToken {
        token: "c1-00ff".into(),
        old_until_unix_ms,
    }
}

fn with_traffic(mut status: ClusterStatus) -> ClusterStatus {
    status.cluster.traffic = Some("encrypted".to_owned());
    status
}

fn of_epoch(mut status: ClusterStatus) -> ClusterStatus {
    status.cluster.epoch = Some(2);
    status
}

fn settings() -> ClusterSettings {
    ClusterSettings {
        round_trip_ms: 300,
        metadata_bytes: 4096,
        metadata_quota_bytes: 1 << 30,
    }
}

/// Without a quorum, and with all that is known of a node.
fn known(mut status: ClusterStatus) -> ClusterStatus {
    status.cluster.leader = None;
    status.cluster.quorum = Some(Quorum {
        quorum: false,
        quorum_ms: 43_000,
        voters_answering: 1,
        voters_needed: 2,
    });
    status.nodes[0].about = NodeAbout {
        name: Some("blue".into()),
        version: Some("0.1.0".into()),
        uptime_ms: Some(300_000),
        unix_ms: Some(1_790_000_000_000),
        lag: Some(3),
        silent_ms: Some(45),
        failure: Some("the disk failed".into()),
        shortage: Some("12 MiB free".into()),
        cordon: None,
        transient_bytes: Some(300),
        transient_quota_bytes: Some(1 << 30),
    };
    status.cluster.settings = Some(settings());
    status
}

fn cordoned(mut status: ClusterStatus) -> ClusterStatus {
    status.nodes[0].about.cordon = Some(Cordon::Drains);
    status
}

fn with_pieces(mut status: ClusterStatus) -> ClusterStatus {
    status.nodes[0].pieces = Some(pieces());
    status
}

fn with_streams(status: ClusterStatus) -> ClusterStatus {
    let mut status = with_pieces(status);
    status.nodes[0].streams = Some(streams());
    status
}

pub(crate) fn streams() -> StreamTotals {
    StreamTotals {
        streams: 2,
        stream_chunks: 5,
        stream_bytes: 5 << 20,
        stream_waits: 1,
    }
}

pub(crate) fn pieces() -> MemoryPieces {
    MemoryPieces {
        deleted_bytes: 8_388_608,
        largest_free_bytes: 262_144,
    }
}

pub(crate) fn stats() -> NodeStats {
    NodeStats {
        memory_usage: 250,
        memory_limit: 268_435_456,
        references: 3,
        unsealed: 1,
        blobs: 2,
        objects: 4,
        ipc_connections: 1,
        rpc_connections: 0,
        waiting: 0,
        open_fds: 23,
        rss: 9_000_000,
    }
}

pub(crate) fn statuses() -> Vec<(&'static str, Status)> {
    vec![
        ("", Status::not_exists("failed to find name: nope")),
        ("invalid", Status::invalid("Got unexpected command: foo")),
        ("unknown", Status::new(Code::UnknownError, "")),
    ]
}
