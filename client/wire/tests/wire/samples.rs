//! One example of each request. Where the original's traffic was captured, the example is that message.

use serde_json::{Value, json};
use vineyard_wire::request::{
    Configure, DelData, DrainNode, GetName, GetObject, PutName, PutObject, RecoverCluster,
    Register, RemoveNode,
};
use vineyard_wire::{NodeId, ObjectId, Request, Tree};

pub(crate) const BLOB: ObjectId = ObjectId(16_753_639_578_027_425_792);
pub(crate) const OTHER_BLOB: ObjectId = ObjectId(16_753_639_579_315_077_123);
pub(crate) const OBJECT: ObjectId = ObjectId(7_530_267_542_464_495_621);
pub(crate) const OTHER_OBJECT: ObjectId = ObjectId(7_530_267_542_464_495_625);

fn tree(value: Value) -> Tree {
    match value {
        Value::Object(tree) => tree,
        other => panic!("not an object: {other}"),
    }
}

pub(crate) fn content() -> Tree {
    tree(json!({
        "buffer_": {
            "id": "oe880e26ecc000003", "instance_id": 0, "length": 48, "nbytes": 48,
            "transient": true, "typename": "vineyard::Blob"
        },
        "global": false, "instance_id": 0, "nbytes": 48, "order_": "\"C\"",
        "partition_index_": "[]", "shape_": "[2, 3]", "transient": true,
        "typename": "vineyard::Tensor<int64>", "value_type_": "int64", "value_type_meta_": "<i8"
    }))
}

/// Each request with what tells its golden file from another of the same type.
pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let mut all = connection_requests();
    all.extend(buffer_requests());
    all.extend(object_requests());
    all.extend(data_requests());
    all.extend(name_requests());
    all.extend(crate::stream_samples::requests());
    all.extend(crate::described::requests());
    all
}

fn configure() -> (&'static str, Request) {
    let told = Configure {
        round_trip_ms: Some(300),
        metadata_quota_bytes: None,
    };
    ("", Request::Configure(told))
}

fn connection_requests() -> Vec<(&'static str, Request)> {
    let register = Register {
        version: "0.24.2".into(),
        store_type: 1,
        session_id: 0,
        username: String::new(),
        password: String::new(),
        features: vec![],
        deadline_ms: None,
    };
    let ours = Register {
        features: vec!["persist_many".into()],
        ..register.clone()
    };
    let hasty = Register {
        deadline_ms: Some(5000),
        ..ours.clone()
    };
    vec![
        ("", Request::Register(register)),
        ("features", Request::Register(ours)),
        ("deadline", Request::Register(hasty)),
        ("", Request::Exit),
        ("", Request::DebugCommand),
        ("", Request::ClusterMeta),
        ("", Request::InstanceStatus),
        ("", Request::ClusterStatus),
        (
            "",
            Request::RemoveNode(RemoveNode {
                node: NodeId(3),
                lose_objects: true,
                dry_run: false,
            }),
        ),
        (
            "",
            Request::DrainNode(DrainNode {
                node: NodeId(3),
                all: true,
                begin: false,
            }),
        ),
        ("", Request::UncordonNode { node: NodeId(3) }),
        configure(),
        (
            "",
            Request::ListEvents {
                after: 7,
                limit: 100,
            },
        ),
        ("", Request::LeaveCluster { discard: true }),
        ("", Request::RecoverCluster(RecoverCluster::default())),
        (
            "confirm",
            Request::RecoverCluster(RecoverCluster {
                confirm: Some("5d1f2c3b4a59".into()),
            }),
        ),
        ("", Request::Token),
        (
            "",
            Request::RotateToken {
                grace_ms: 86_400_000,
            },
        ),
        ("", Request::Clear),
        ("", Request::MemoryTrim),
    ]
}

fn buffer_requests() -> Vec<(&'static str, Request)> {
    let remote = ObjectId(16_753_641_220_235_853_856);
    let two = vec![BLOB, OTHER_BLOB];
    vec![
        ("", Request::CreateBuffer { size: 100 }),
        (
            "",
            Request::CreateBuffers {
                sizes: vec![0, 1, u64::MAX],
            },
        ),
        (
            "",
            Request::CreateRemoteBuffer {
                size: 300,
                compress: false,
            },
        ),
        (
            "",
            Request::CreateRemoteBuffers {
                sizes: vec![300, 5],
                compress: true,
            },
        ),
        ("", Request::Seal { object_id: BLOB }),
        (
            "",
            Request::GetBuffers {
                ids: vec![OTHER_BLOB],
                unsafe_: false,
            },
        ),
        (
            "none",
            Request::GetBuffers {
                ids: vec![],
                unsafe_: true,
            },
        ),
        (
            "",
            Request::GetRemoteBuffers {
                ids: vec![remote],
                unsafe_: false,
                compress: false,
            },
        ),
        ("", Request::DropBuffer { id: BLOB }),
        ("", Request::ShrinkBuffer { id: BLOB, size: 64 }),
        ("", Request::ReleaseNotice { ids: two.clone() }),
        ("", Request::IncreaseReferenceCount { ids: two }),
        ("", Request::Release { object_id: BLOB }),
        ("", Request::IsInUse { id: BLOB }),
        ("", Request::MigrateObject { object_id: OBJECT }),
    ]
}

fn object_requests() -> Vec<(&'static str, Request)> {
    let content = tree(json!({
        "typename": "vineyard::DataFrame", "columns": 2, "bytes": 18446744073709551615_u64,
        "a": {"typename": "vineyard::Tensor<int64>", "buffer_": {"typename": "vineyard::Blob", "inline": 0}},
        "b": {"typename": "vineyard::Tensor<int64>", "buffer_": {"typename": "vineyard::Blob", "id": "oe880e26ecc000003"}},
        "c": {"id": OBJECT.to_string()}
    }));
    let whole = PutObject {
        seal: vec![OTHER_BLOB],
        inline: vec![5, 0, 3],
        compress: false,
        content: Some(content),
        persist: true,
        name: Some("n1".into()),
        bytes: b"helloyou".to_vec(),
    };
    let bytes = PutObject {
        inline: vec![300],
        compress: true,
        ..PutObject::default()
    };
    let by_id = GetObject {
        ids: vec![OBJECT, BLOB],
        ..GetObject::default()
    };
    let by_name = GetObject {
        name: Some("n1".into()),
        compress: true,
        ..GetObject::default()
    };
    let fetched = GetObject {
        ids: vec![OBJECT],
        fetch: true,
        ..GetObject::default()
    };
    vec![
        ("", Request::PutObject(whole)),
        ("bytes", Request::PutObject(bytes)),
        ("", Request::GetObject(by_id)),
        ("name", Request::GetObject(by_name)),
        ("fetch", Request::GetObject(fetched)),
    ]
}

fn data_requests() -> Vec<(&'static str, Request)> {
    let del_data = DelData {
        ids: vec![OBJECT],
        force: false,
        deep: true,
        memory_trim: false,
        fastpath: false,
    };
    let mixed = tree(json!({"integer": 42, "float": 42.0, "list": [1, null], "max": u64::MAX}));
    vec![
        ("", Request::CreateData { content: content() }),
        (
            "",
            Request::CreateDatas {
                contents: vec![mixed, content()],
            },
        ),
        (
            "",
            Request::GetData {
                ids: vec![OBJECT],
                sync_remote: true,
                wait: false,
            },
        ),
        (
            "",
            Request::ListData {
                pattern: "*".into(),
                regex: false,
                limit: 5,
            },
        ),
        ("", Request::DelData(del_data.clone())),
        (
            "",
            Request::DelDataWithFeedbacks(DelData {
                ids: vec![],
                ..del_data
            }),
        ),
        ("", Request::Exists { id: OBJECT }),
        ("", Request::Persist { id: OBJECT }),
        (
            "",
            Request::PersistMany {
                ids: vec![OBJECT, OTHER_OBJECT],
            },
        ),
        ("", Request::IfPersist { id: OBJECT }),
        (
            "",
            Request::ShallowCopy {
                id: OBJECT,
                extra: tree(json!({"note": "a copy"})),
            },
        ),
        (
            "",
            Request::Label {
                id: OBJECT,
                keys: vec!["lk".into()],
                values: vec!["lv".into()],
            },
        ),
    ]
}

fn name_requests() -> Vec<(&'static str, Request)> {
    let put_name = PutName {
        object_id: OBJECT,
        name: "n1".into(),
        if_absent: false,
        if_equals: None,
    };
    let if_equals = PutName {
        if_equals: Some(OTHER_OBJECT),
        ..put_name.clone()
    };
    let get_name = GetName {
        name: "n1".into(),
        wait: false,
        timeout_ms: None,
    };
    let in_time = GetName {
        wait: true,
        timeout_ms: Some(1_500),
        ..get_name.clone()
    };
    vec![
        ("", Request::PutName(put_name.clone())),
        (
            "if_absent",
            Request::PutName(PutName {
                if_absent: true,
                ..put_name
            }),
        ),
        ("if_equals", Request::PutName(if_equals)),
        ("", Request::GetName(get_name)),
        ("timeout", Request::GetName(in_time)),
        (
            "",
            Request::ListName {
                pattern: "*".into(),
                regex: false,
                limit: 5,
            },
        ),
        ("", Request::DropName { name: "n1".into() }),
    ]
}
