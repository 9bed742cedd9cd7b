//! Arbitrary replies, one strategy per type of the table, so that none is forgotten.

use proptest::collection::{btree_map, vec};
use proptest::option::of as maybe;
use proptest::prelude::*;
use vineyard_wire::json::ReplyType;
use vineyard_wire::reply::{
    ClusterStatus, Cordon, DrainProgress, Event, GivenUp, GotObjects, GroupStatus, InstanceInfo,
    InstanceStatus, JoinToken, Left, ListedEvents, Liveness, MadeObject, MemoryPieces, NodeAbout,
    NodeStats, NodeStatus, Payload, PutDone, Quorum, Recovery, Registered, RemovedNode, Role,
    StreamTotals,
};
use vineyard_wire::{Code, InstanceId, NodeId, ObjectId, Reply, Signature, Status, TreeText};

use crate::described::description;
use crate::strategies::{id, ids, settings, text, tree};
use crate::stream_samples;

fn instance() -> impl Strategy<Value = InstanceId> {
    any::<u64>().prop_map(InstanceId)
}

pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    proptest::sample::select(ReplyType::ALL).prop_flat_map(reply_of)
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of reply")]
fn reply_of(kind: ReplyType) -> BoxedStrategy<Reply> {
    use ReplyType as Kind;
    match kind {
        Kind::DebugCommand => Just(Reply::DebugCommand).boxed(),
        Kind::Seal => Just(Reply::Seal).boxed(),
        Kind::DropBuffer => Just(Reply::DropBuffer).boxed(),
        Kind::ShrinkBuffer => Just(Reply::ShrinkBuffer).boxed(),
        Kind::IncreaseReferenceCount => Just(Reply::IncreaseReferenceCount).boxed(),
        Kind::Release => Just(Reply::Release).boxed(),
        Kind::DelData => Just(Reply::DelData).boxed(),
        Kind::Persist => Just(Reply::Persist).boxed(),
        Kind::PersistMany => Just(Reply::PersistMany).boxed(),
        Kind::Label => Just(Reply::Label).boxed(),
        Kind::Clear => Just(Reply::Clear).boxed(),
        Kind::PutName => Just(Reply::PutName).boxed(),
        Kind::DropName => Just(Reply::DropName).boxed(),
        Kind::CreateStream
        | Kind::OpenStream
        | Kind::GetNextStreamChunk
        | Kind::PushNextStreamChunk
        | Kind::PullNextStreamChunk
        | Kind::StopStream
        | Kind::DropStream
        | Kind::StreamStatus => stream_samples::reply_of(kind),
        Kind::CreateBuffer | Kind::CreateBuffers | Kind::GetBuffers => buffers_reply(kind),
        Kind::PutObject => put_done().prop_map(Reply::PutObject).boxed(),
        Kind::GetObject => got_objects().prop_map(Reply::GetObject).boxed(),
        Kind::CreateData => created().prop_map(|c| one_created(&c)).boxed(),
        Kind::CreateDatas => vec(created(), 0..4).prop_map(many_created).boxed(),
        Kind::GetData => btree_map(id(), tree_text(), 0..4)
            .prop_map(|content| Reply::GetData { content })
            .boxed(),
        Kind::DelDataWithFeedbacks => ids()
            .prop_map(|deleted_bids| Reply::DelDataWithFeedbacks { deleted_bids })
            .boxed(),
        Kind::IsInUse => any::<bool>()
            .prop_map(|is_in_use| Reply::IsInUse { is_in_use })
            .boxed(),
        Kind::Exists => any::<bool>()
            .prop_map(|exists| Reply::Exists { exists })
            .boxed(),
        Kind::IfPersist => any::<bool>()
            .prop_map(|persist| Reply::IfPersist { persist })
            .boxed(),
        Kind::MemoryTrim => any::<bool>()
            .prop_map(|trimmed| Reply::MemoryTrim { trimmed })
            .boxed(),
        Kind::ShallowCopy => id()
            .prop_map(|target_id| Reply::ShallowCopy { target_id })
            .boxed(),
        Kind::MigrateObject => id()
            .prop_map(|object_id| Reply::MigrateObject { object_id })
            .boxed(),
        Kind::GetName => id()
            .prop_map(|object_id| Reply::GetName { object_id })
            .boxed(),
        Kind::ListName => btree_map(text(), id(), 0..4)
            .prop_map(|names| Reply::ListName { names })
            .boxed(),
        Kind::Register => registered().prop_map(Reply::Register).boxed(),
        Kind::ClusterMeta => btree_map(instance(), instance_info(), 0..4)
            .prop_map(|meta| Reply::ClusterMeta { meta })
            .boxed(),
        Kind::InstanceStatus => instance_status().prop_map(Reply::InstanceStatus).boxed(),
        Kind::DrainNode => drain_progress().prop_map(Reply::DrainNode).boxed(),
        Kind::UncordonNode => Just(Reply::UncordonNode).boxed(),
        Kind::Configure => settings().prop_map(Reply::Configure).boxed(),
        Kind::LeaveCluster => any::<[u64; 2]>()
            .prop_map(|[blobs_lost, bytes_lost]| {
                Reply::LeaveCluster(Left {
                    blobs_lost,
                    bytes_lost,
                })
            })
            .boxed(),
        Kind::ListEvents => listed_events().prop_map(Reply::ListEvents).boxed(),
        Kind::DescribeNode => Just(Reply::DescribeNode(Box::new(description()))).boxed(),
        Kind::RemoveNode => removed_node().prop_map(Reply::RemoveNode).boxed(),
        Kind::RecoverCluster => recovery().prop_map(Reply::RecoverCluster).boxed(),
        Kind::ClusterStatus => cluster_status().prop_map(Reply::ClusterStatus).boxed(),
        Kind::Token => (text(), any::<Option<u64>>())
            .prop_map(|(token, old_until_unix_ms)| {
                Reply::Token(JoinToken {
                    token,
                    old_until_unix_ms,
                })
            })
            .boxed(),
    }
}

fn tree_text() -> impl Strategy<Value = TreeText> {
    tree().prop_map(|tree| TreeText::of(&tree))
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    (
        id(),
        any::<i32>(),
        any::<[i64; 3]>(),
        any::<u64>(),
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(object_id, store_fd, [data_offset, data_size, map_size], pointer, flags)| Payload {
                object_id,
                store_fd,
                data_offset,
                data_size,
                map_size,
                pointer,
                is_sealed: flags[0],
                is_owner: flags[1],
                is_gpu: flags[2],
            },
        )
}

fn buffers_reply(kind: ReplyType) -> BoxedStrategy<Reply> {
    let fds = vec(any::<i32>(), 0..3);
    (
        payload(),
        vec(payload(), 0..14),
        fds,
        any::<i32>(),
        any::<bool>(),
    )
        .prop_map(move |(created, payloads, fds, fd, compress)| match kind {
            ReplyType::CreateBuffer => Reply::CreateBuffer {
                id: created.object_id,
                created,
                fd,
            },
            ReplyType::CreateBuffers => {
                let ids = payloads.iter().map(|payload| payload.object_id).collect();
                Reply::CreateBuffers { ids, payloads, fds }
            }
            _ => Reply::GetBuffers {
                payloads,
                fds,
                compress,
            },
        })
        .boxed()
}

type Created = (ObjectId, Signature, InstanceId);

fn created() -> impl Strategy<Value = Created> {
    (id(), any::<u64>().prop_map(Signature), instance())
}

fn one_created(&(id, signature, instance_id): &Created) -> Reply {
    Reply::CreateData {
        id,
        signature,
        instance_id,
    }
}

fn many_created(created: Vec<Created>) -> Reply {
    Reply::CreateDatas {
        ids: created.iter().map(|c| c.0).collect(),
        signatures: created.iter().map(|c| c.1).collect(),
        instance_ids: created.iter().map(|c| c.2).collect(),
    }
}

fn put_done() -> impl Strategy<Value = PutDone> {
    (maybe(created()), ids()).prop_map(|(made, blobs)| PutDone {
        object: made.map(|(id, signature, instance_id)| MadeObject {
            id,
            signature,
            instance_id,
        }),
        blobs,
    })
}

fn got_objects() -> impl Strategy<Value = GotObjects> {
    let content = btree_map(id(), tree_text(), 0..4);
    let payloads = vec(payload(), 0..6);
    (content, payloads, vec(any::<i32>(), 0..3), any::<bool>()).prop_map(
        |(content, payloads, fds, compress)| GotObjects {
            content,
            payloads,
            fds,
            compress,
        },
    )
}

fn registered() -> impl Strategy<Value = Registered> {
    let texts = (text(), text(), text(), vec(text(), 0..3));
    let numbers = (any::<i64>(), any::<u32>(), any::<u64>());
    (texts, instance(), numbers, any::<[bool; 2]>()).prop_map(
        |((ipc_socket, rpc_endpoint, version, features), instance_id, numbers, flags)| {
            let (session_id, fetch_ms_max, first_trace) = numbers;
            Registered {
                ipc_socket,
                rpc_endpoint,
                instance_id,
                session_id,
                version,
                store_match: flags[0],
                support_rpc_compression: flags[1],
                features,
                fetch_ms_max,
                first_trace,
            }
        },
    )
}

fn instance_info() -> impl Strategy<Value = InstanceInfo> {
    (any::<[u64; 2]>(), text(), text(), text(), text()).prop_map(
        |([hostid, timestamp], hostname, nodename, ipc_socket, rpc_endpoint)| InstanceInfo {
            hostid,
            hostname,
            nodename,
            ipc_socket,
            rpc_endpoint,
            timestamp,
        },
    )
}

fn instance_status() -> impl Strategy<Value = InstanceStatus> {
    let told = (text(), instance(), any::<[u64; 5]>(), maybe(pieces()));
    told.prop_map(|(deployment, instance_id, numbers, pieces)| {
        let [
            memory_usage,
            memory_limit,
            deferred_requests,
            ipc_connections,
            rpc_connections,
        ] = numbers;
        InstanceStatus {
            deployment,
            instance_id,
            memory_usage,
            memory_limit,
            deferred_requests,
            ipc_connections,
            rpc_connections,
            pieces,
        }
    })
}

pub(crate) fn pieces() -> impl Strategy<Value = MemoryPieces> {
    any::<[u64; 2]>().prop_map(|[deleted_bytes, largest_free_bytes]| MemoryPieces {
        deleted_bytes,
        largest_free_bytes,
    })
}

pub(crate) fn drain_progress() -> impl Strategy<Value = DrainProgress> {
    let numbers = any::<[u64; 8]>();
    (any::<bool>(), numbers).prop_map(|(done, numbers)| {
        let [
            bytes_moved,
            bytes_left,
            blobs_moved,
            blobs_left,
            objects_persisted,
            objects_kept,
            loose_blobs,
            loose_bytes,
        ] = numbers;
        DrainProgress {
            done,
            bytes_moved,
            bytes_left,
            blobs_moved,
            blobs_left,
            objects_persisted,
            objects_kept,
            loose_blobs,
            loose_bytes,
        }
    })
}

fn given_up() -> impl Strategy<Value = GivenUp> {
    let applied_index = maybe(any::<u64>());
    (
        any::<u64>(),
        [text(), text()],
        any::<[bool; 2]>(),
        applied_index,
    )
        .prop_map(
            |(node, [name, endpoint], [votes, answers], applied_index)| GivenUp {
                node: NodeId(node),
                name,
                endpoint,
                votes,
                answers,
                applied_index,
            },
        )
}

fn recovery() -> impl Strategy<Value = Recovery> {
    let (written_ms, given_up) = (maybe(any::<u64>()), vec(given_up(), 0..3));
    (text(), any::<[u64; 9]>(), written_ms, given_up).prop_map(
        |(cluster, figures, written_ms, given_up)| {
            let [epoch, last_index, agreed_index, quorum_ms, names, ..] = figures;
            let [.., objects, objects_lost, blobs_lost, bytes_lost] = figures;
            Recovery {
                cluster,
                epoch,
                last_index,
                agreed_index,
                written_ms,
                quorum_ms,
                names,
                objects,
                objects_lost,
                blobs_lost,
                bytes_lost,
                given_up,
            }
        },
    )
}

fn removed_node() -> impl Strategy<Value = RemovedNode> {
    (any::<[u64; 2]>(), text()).prop_map(|([node, objects_lost], endpoint)| RemovedNode {
        node: NodeId(node),
        endpoint,
        objects_lost,
    })
}

fn cluster_status() -> impl Strategy<Value = ClusterStatus> {
    let quorum = (any::<bool>(), any::<[u64; 3]>()).prop_map(
        |(quorum, [quorum_ms, voters_answering, voters_needed])| Quorum {
            quorum,
            quorum_ms,
            voters_answering,
            voters_needed,
        },
    );
    let quorum = maybe(quorum);
    let leader = maybe(instance());
    let told = (maybe(settings()), maybe(text()));
    let known = (quorum, any::<Option<u64>>(), told);
    let group = (text(), leader, any::<[u64; 3]>(), known).prop_map(
        |(id, leader, [voters, tolerates, commit_index], (quorum, epoch, (settings, traffic)))| {
            GroupStatus {
                id,
                leader,
                voters,
                tolerates,
                commit_index,
                quorum,
                epoch,
                settings,
                traffic,
            }
        },
    );
    (group, vec(node_status(), 0..4)).prop_map(|(cluster, nodes)| ClusterStatus { cluster, nodes })
}

pub(crate) fn streams() -> impl Strategy<Value = StreamTotals> {
    any::<[u64; 4]>().prop_map(|[streams, stream_chunks, stream_bytes, stream_waits]| {
        StreamTotals {
            streams,
            stream_chunks,
            stream_bytes,
            stream_waits,
        }
    })
}

fn listed_events() -> impl Strategy<Value = ListedEvents> {
    let event = (any::<[u64; 2]>(), text(), any::<Option<u64>>(), text());
    let event = event.prop_map(|([number, unix_ms], kind, node, text)| Event {
        number,
        unix_ms,
        kind,
        node: node.map(NodeId),
        text,
    });
    let events = proptest::collection::vec(event, 0..4);
    (events, any::<u64>()).prop_map(|(events, last)| ListedEvents { events, last })
}

fn about() -> impl Strategy<Value = NodeAbout> {
    let text = || maybe(text());
    let number = || maybe(any::<u64>());
    let cordon = proptest::sample::select(&[None, Some(Cordon::Drains), Some(Cordon::Leaves)]);
    let numbers = (number(), number(), number(), number());
    let transient = any::<[Option<u64>; 2]>();
    (text(), text(), numbers, (text(), text()), cordon, transient).prop_map(
        |(name, version, numbers, (failure, shortage), cordon, transient)| {
            let (uptime_ms, unix_ms, lag, silent_ms) = numbers;
            let [transient_bytes, transient_quota_bytes] = transient;
            NodeAbout {
                name,
                version,
                uptime_ms,
                unix_ms,
                lag,
                silent_ms,
                failure,
                shortage,
                cordon,
                transient_bytes,
                transient_quota_bytes,
            }
        },
    )
}

fn node_status() -> impl Strategy<Value = NodeStatus> {
    let role = proptest::sample::select(&[Role::Leader, Role::Voter, Role::Learner]);
    let state = proptest::sample::select(&[
        Liveness::Up,
        Liveness::Unreachable,
        Liveness::Gone,
        Liveness::Stopped,
    ]);
    (
        instance(),
        role,
        state,
        (text(), text(), about()),
        maybe(stats()),
        maybe(pieces()),
        maybe(streams()),
    )
        .prop_map(
            |(instance_id, role, state, (endpoint, ipc_socket, about), stats, pieces, streams)| {
                NodeStatus {
                    instance_id,
                    role,
                    state,
                    endpoint,
                    ipc_socket,
                    about,
                    stats,
                    pieces,
                    streams,
                }
            },
        )
}

pub(crate) fn stats() -> impl Strategy<Value = NodeStats> {
    any::<[u64; 11]>().prop_map(|n| NodeStats {
        memory_usage: n[0],
        memory_limit: n[1],
        references: n[2],
        unsealed: n[3],
        blobs: n[4],
        objects: n[5],
        ipc_connections: n[6],
        rpc_connections: n[7],
        waiting: n[8],
        open_fds: n[9],
        rss: n[10],
    })
}

pub(crate) fn status() -> impl Strategy<Value = Status> {
    (1_u64..=255, text()).prop_map(|(number, text)| Status::new(Code::from_number(number), text))
}
