//! What a node says of itself, with every field set, and requests of operators.

use vineyard_wire::describe::{DescribeNode, NodeDescription, SessionHolds, SettingShown};
use vineyard_wire::request::DrainNode;
use vineyard_wire::{InstanceId, NodeId, ObjectId, Request};

pub(crate) fn description() -> NodeDescription {
    NodeDescription {
        instance_id: InstanceId(65_537),
        version: "0.1.0".into(),
        status: None,
        events: None,
        settings: vec![SettingShown {
            name: "size".into(),
            value: "256M".into(),
            origin: "flag".into(),
        }],
        sessions: vec![SessionHolds {
            session: 7,
            caller: "process 4711".into(),
            user: Some(1000),
            blobs: 3,
            bytes: 4096,
            deleted_blobs: 1,
            deleted_bytes: 64,
        }],
        sessions_left_out: 2,
        held: vec![ObjectId(1 << 63 | 5)],
    }
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let told = DescribeNode {
        node: Some(NodeId(3)),
        held_by: Some(7),
    };
    let drain = DrainNode {
        node: NodeId(3),
        all: false,
        begin: true,
    };
    vec![
        ("begin", Request::DrainNode(drain)),
        ("", Request::DescribeNode(DescribeNode::default())),
        ("told", Request::DescribeNode(told)),
    ]
}
