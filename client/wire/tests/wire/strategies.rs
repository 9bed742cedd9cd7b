//! Arbitrary requests, one strategy per type of the table, so that none is forgotten.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Number, Value};
use vineyard_wire::describe::DescribeNode;
use vineyard_wire::json::RequestType;
use vineyard_wire::reply::ClusterSettings;
use vineyard_wire::request::{
    Configure, DelData, DrainNode, GetName, GetObject, PutName, PutObject, RecoverCluster,
    Register, RemoveNode,
};
use vineyard_wire::{NodeId, ObjectId, Request, Tree};

use crate::stream_samples;

pub(crate) fn id() -> impl Strategy<Value = ObjectId> {
    any::<u64>().prop_map(ObjectId)
}

pub(crate) fn ids() -> impl Strategy<Value = Vec<ObjectId>> {
    vec(id(), 0..14)
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |f| Number::from_f64(f).map(Value::Number)),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            btree_map(text(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    btree_map(text(), value(), 0..6).prop_map(|members| members.into_iter().collect())
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    proptest::sample::select(RequestType::ALL).prop_flat_map(request_of)
}

#[expect(clippy::too_many_lines, reason = "one arm for each verb")]
fn request_of(verb: RequestType) -> BoxedStrategy<Request> {
    use RequestType as Verb;
    match verb {
        Verb::Register => register().prop_map(Request::Register).boxed(),
        Verb::Exit => Just(Request::Exit).boxed(),
        Verb::DebugCommand => Just(Request::DebugCommand).boxed(),
        Verb::Clear => Just(Request::Clear).boxed(),
        Verb::MemoryTrim => Just(Request::MemoryTrim).boxed(),
        Verb::ClusterMeta => Just(Request::ClusterMeta).boxed(),
        Verb::InstanceStatus => Just(Request::InstanceStatus).boxed(),
        Verb::ClusterStatus => Just(Request::ClusterStatus).boxed(),
        Verb::RemoveNode => (any::<u64>(), any::<[bool; 2]>())
            .prop_map(|(node, [lose_objects, dry_run])| {
                Request::RemoveNode(RemoveNode {
                    node: NodeId(node),
                    lose_objects,
                    dry_run,
                })
            })
            .boxed(),
        Verb::DrainNode => (any::<u64>(), any::<bool>())
            .prop_map(|(node, all)| {
                let node = NodeId(node);
                Request::DrainNode(DrainNode {
                    node,
                    all,
                    begin: !all,
                })
            })
            .boxed(),
        Verb::UncordonNode => any::<u64>()
            .prop_map(|node| Request::UncordonNode { node: NodeId(node) })
            .boxed(),
        Verb::Configure => any::<[Option<u64>; 2]>()
            .prop_map(|[round_trip_ms, metadata_quota_bytes]| {
                Request::Configure(Configure {
                    round_trip_ms,
                    metadata_quota_bytes,
                })
            })
            .boxed(),
        Verb::LeaveCluster => any::<bool>()
            .prop_map(|discard| Request::LeaveCluster { discard })
            .boxed(),
        Verb::RecoverCluster => proptest::option::of(text())
            .prop_map(|confirm| Request::RecoverCluster(RecoverCluster { confirm }))
            .boxed(),
        Verb::ListEvents => any::<[u64; 2]>()
            .prop_map(|[after, limit]| Request::ListEvents { after, limit })
            .boxed(),
        Verb::DescribeNode => any::<[Option<u64>; 2]>()
            .prop_map(|[node, held_by]| {
                let node = node.map(NodeId);
                Request::DescribeNode(DescribeNode { node, held_by })
            })
            .boxed(),
        Verb::RotateToken => any::<u64>()
            .prop_map(|grace_ms| Request::RotateToken { grace_ms })
            .boxed(),
        Verb::Token => Just(Request::Token).boxed(),
        Verb::CreateBuffer
        | Verb::CreateBuffers
        | Verb::CreateRemoteBuffer
        | Verb::CreateRemoteBuffers
        | Verb::GetBuffers
        | Verb::GetRemoteBuffers
        | Verb::ShrinkBuffer => buffers_request(verb),
        Verb::Seal => id()
            .prop_map(|object_id| Request::Seal { object_id })
            .boxed(),
        Verb::Release => id()
            .prop_map(|object_id| Request::Release { object_id })
            .boxed(),
        Verb::MigrateObject => id()
            .prop_map(|object_id| Request::MigrateObject { object_id })
            .boxed(),
        Verb::CreateStream
        | Verb::OpenStream
        | Verb::GetNextStreamChunk
        | Verb::PushNextStreamChunk
        | Verb::PullNextStreamChunk
        | Verb::StopStream
        | Verb::DropStream
        | Verb::StreamStatus => stream_samples::request_of(verb),
        Verb::DropBuffer => id().prop_map(|id| Request::DropBuffer { id }).boxed(),
        Verb::IsInUse => id().prop_map(|id| Request::IsInUse { id }).boxed(),
        Verb::Exists => id().prop_map(|id| Request::Exists { id }).boxed(),
        Verb::Persist => id().prop_map(|id| Request::Persist { id }).boxed(),
        Verb::IfPersist => id().prop_map(|id| Request::IfPersist { id }).boxed(),
        Verb::IncreaseReferenceCount => ids()
            .prop_map(|ids| Request::IncreaseReferenceCount { ids })
            .boxed(),
        Verb::ReleaseNotice => ids().prop_map(|ids| Request::ReleaseNotice { ids }).boxed(),
        Verb::PersistMany => ids().prop_map(|ids| Request::PersistMany { ids }).boxed(),
        Verb::CreateData
        | Verb::CreateDatas
        | Verb::GetData
        | Verb::DelData
        | Verb::DelDataWithFeedbacks
        | Verb::ShallowCopy
        | Verb::Label => data_request(verb),
        Verb::ListData | Verb::ListName => listing_request(verb),
        Verb::PutObject => put_object().prop_map(Request::PutObject).boxed(),
        Verb::GetObject => get_object().prop_map(Request::GetObject).boxed(),
        Verb::PutName => put_name().prop_map(Request::PutName).boxed(),
        Verb::GetName => get_name().prop_map(Request::GetName).boxed(),
        Verb::DropName => text().prop_map(|name| Request::DropName { name }).boxed(),
    }
}

fn buffers_request(verb: RequestType) -> BoxedStrategy<Request> {
    let sizes = vec(any::<u64>(), 0..14);
    let parts = (
        sizes,
        ids(),
        any::<u64>(),
        id(),
        any::<bool>(),
        any::<bool>(),
    );
    parts
        .prop_map(
            move |(sizes, ids, size, id, compress, unsafe_)| match verb {
                RequestType::CreateBuffer => Request::CreateBuffer { size },
                RequestType::CreateBuffers => Request::CreateBuffers { sizes },
                RequestType::CreateRemoteBuffer => Request::CreateRemoteBuffer { size, compress },
                RequestType::CreateRemoteBuffers => {
                    Request::CreateRemoteBuffers { sizes, compress }
                }
                RequestType::GetBuffers => Request::GetBuffers { ids, unsafe_ },
                RequestType::GetRemoteBuffers => Request::GetRemoteBuffers {
                    ids,
                    unsafe_,
                    compress,
                },
                _ => Request::ShrinkBuffer { id, size },
            },
        )
        .boxed()
}

fn data_request(verb: RequestType) -> BoxedStrategy<Request> {
    let flags = any::<[bool; 4]>();
    let parts = (
        ids(),
        id(),
        tree(),
        vec(tree(), 0..3),
        vec(text(), 0..4),
        flags,
    );
    parts
        .prop_map(move |(ids, id, extra, contents, keys, flags)| {
            let [force, deep, memory_trim, fastpath] = flags;
            let del_data = DelData {
                ids: ids.clone(),
                force,
                deep,
                memory_trim,
                fastpath,
            };
            match verb {
                RequestType::CreateData => Request::CreateData { content: extra },
                RequestType::CreateDatas => Request::CreateDatas { contents },
                RequestType::GetData => Request::GetData {
                    ids,
                    sync_remote: force,
                    wait: deep,
                },
                RequestType::DelData => Request::DelData(del_data),
                RequestType::DelDataWithFeedbacks => Request::DelDataWithFeedbacks(del_data),
                RequestType::ShallowCopy => Request::ShallowCopy { id, extra },
                _ => Request::Label {
                    id,
                    values: keys.clone(),
                    keys,
                },
            }
        })
        .boxed()
}

fn listing_request(verb: RequestType) -> BoxedStrategy<Request> {
    (text(), any::<bool>(), any::<u64>())
        .prop_map(move |(pattern, regex, limit)| match verb {
            RequestType::ListData => Request::ListData {
                pattern,
                regex,
                limit,
            },
            _ => Request::ListName {
                pattern,
                regex,
                limit,
            },
        })
        .boxed()
}

fn register() -> impl Strategy<Value = Register> {
    (
        text(),
        any::<u64>(),
        any::<i64>(),
        text(),
        text(),
        vec(text(), 0..3),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(version, store_type, session_id, username, password, features, deadline_ms)| {
                Register {
                    version,
                    store_type,
                    session_id,
                    username,
                    password,
                    features,
                    deadline_ms,
                }
            },
        )
}

fn put_object() -> impl Strategy<Value = PutObject> {
    let parts = (
        ids(),
        vec(any::<u64>(), 0..14),
        proptest::option::of(tree()),
        proptest::option::of(text()),
        any::<[bool; 2]>(),
        vec(vec(any::<u8>(), 0..20), 0..4),
    );
    parts.prop_map(|(seal, sizes, content, name, [compress, persist], blobs)| {
        let bytes = blobs.concat();
        let inline = match bytes.is_empty() {
            true => sizes,
            false => blobs.iter().map(|blob| blob.len() as u64).collect(),
        };
        PutObject {
            seal,
            inline,
            compress,
            content,
            persist,
            name,
            bytes,
        }
    })
}

fn get_object() -> impl Strategy<Value = GetObject> {
    (ids(), proptest::option::of(text()), any::<[bool; 2]>()).prop_map(
        |(ids, name, [compress, fetch])| GetObject {
            ids,
            name,
            compress,
            fetch,
        },
    )
}

fn put_name() -> impl Strategy<Value = PutName> {
    (id(), text(), any::<bool>(), proptest::option::of(id())).prop_map(
        |(object_id, name, if_absent, if_equals)| PutName {
            object_id,
            name,
            if_absent,
            if_equals,
        },
    )
}

fn get_name() -> impl Strategy<Value = GetName> {
    (text(), any::<bool>(), any::<Option<u64>>()).prop_map(|(name, wait, timeout_ms)| GetName {
        name,
        wait,
        timeout_ms,
    })
}

pub(crate) fn settings() -> impl Strategy<Value = ClusterSettings> {
    any::<[u64; 3]>().prop_map(|[round_trip_ms, metadata_bytes, metadata_quota_bytes]| {
        ClusterSettings {
            round_trip_ms,
            metadata_bytes,
            metadata_quota_bytes,
        }
    })
}
