//! Data directories of builds of before open, and serve what was acknowledged there.

use std::time::Duration;

use serde_json::{Value, json};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::recorded::{Recorded, listen};
use vineyard_tests::wait;

use crate::ledger;

const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Opens the `count` nodes of a fixture and reads everything on each of them; then each persists and names.
fn open(name: &str, count: usize) {
    let recorded = Recorded::unpack(name).unwrap();
    let mut nodes: Vec<Node> = (0..count)
        .map(|index| {
            let plan = Plan {
                size: "16M".to_owned(),
                listen: listen(count, index),
                // It was copied here whole.
                arguments: vec!["--moved".to_owned()],
                ..Plan::default()
            };
            let folder = recorded.folder.path().join(index.to_string());
            Node::planned(&folder, plan).unwrap()
        })
        .collect();
    for node in &mut nodes {
        node.launch().unwrap();
    }
    for node in &mut nodes {
        node.wait_ready().unwrap();
    }
    for (index, node) in nodes.iter().enumerate() {
        let mut connection = ledger::connect(&node.socket()).unwrap();
        read_all(&mut connection, &recorded.expected);
        let id = until_done(&mut connection, |connection| ledger::create(connection, 77));
        let persist = json!({"type": "persist_request", "id": id});
        ledger::succeed(&mut connection, &persist).unwrap();
        let name =
            json!({"type": "put_name_request", "object_id": id, "name": format!("new {index}")});
        ledger::succeed(&mut connection, &name).unwrap();
        assert_eq!(named(&mut connection, &format!("new {index}")), json!(id));
    }
    for node in &mut nodes {
        assert!(node.terminate().unwrap().success());
    }
}

fn until_done<T>(connection: &mut Raw, what: impl Fn(&mut Raw) -> anyhow::Result<T>) -> T {
    wait::until("an answer", ANSWERS_WITHIN, || what(connection).map(Some)).unwrap()
}

fn named(connection: &mut Raw, name: &str) -> Value {
    let asked = json!({"type": "get_name_request", "name": name, "wait": false});
    until_done(connection, |connection| ledger::succeed(connection, &asked))["object_id"].clone()
}

fn read_all(connection: &mut Raw, expected: &Value) {
    let rows = |of: &str| expected[of].as_array().unwrap().clone();
    for name in rows("names") {
        assert_eq!(
            named(connection, name["name"].as_str().unwrap()),
            name["id"]
        );
    }
    for object in rows("objects") {
        let asked = json!({"type": "get_data_request", "id": [object["id"]], "sync_remote": true, "wait": false});
        let reply = ledger::succeed(connection, &asked).unwrap();
        let found = reply["content"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        assert_eq!(found["row"], object["row"], "{reply}");
        let labels = found["__labels"].to_string();
        let is_labelled = object["of"].as_str().is_none_or(|of| labels.contains(of));
        assert!(is_labelled, "{reply}");
    }
    for id in rows("deleted") {
        let asked = json!({"type": "exists_request", "id": id});
        let reply = ledger::succeed(connection, &asked).unwrap();
        assert_eq!(reply["exists"], false, "{reply}");
    }
}

#[test]
fn the_directory_of_a_node_of_79c9b97_opens() {
    open("79c9b97-one", 1);
}

#[test]
fn the_directories_of_three_nodes_of_79c9b97_with_a_snapshot_open() {
    open("79c9b97-three", 3);
}

#[test]
fn the_directory_of_a_node_of_76c53c3_opens() {
    open("76c53c3-one", 1);
}
