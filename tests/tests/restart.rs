//! kill -9 of every node, at any moment, keeps what was acknowledged; bytes that died are one named error, at once.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;

use crate::ledger::{self, Writers};

const MOMENT_MS_MAX: u64 = 1500;
const WRITES_WITHIN: Duration = Duration::from_secs(60);
const LOST_IS_SAID_WITHIN: Duration = Duration::from_secs(1);
const BLOB_BYTES: u64 = 4096;

#[test]
fn kill_of_all_nodes_keeps_every_acknowledged_persist_and_name() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let sockets: Vec<_> = cluster.nodes.iter().map(|node| node.socket()).collect();
    let writers = Writers::start("all", &sockets);
    writers.wait_for(300, WRITES_WITHIN).unwrap();
    // The moment is meant to be any: there is no condition to wait for.
    let moment = Duration::from_millis(RandomState::new().hash_one(0) % MOMENT_MS_MAX);
    std::thread::sleep(moment);
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    let lines = writers.stop();
    for node in &mut cluster.nodes {
        node.launch().unwrap();
    }
    for node in &mut cluster.nodes {
        node.wait_ready().unwrap();
    }
    cluster.wait_settled().unwrap();
    println!(
        "killed {moment:?} after the first writes; {} persists and names",
        lines.len()
    );
    for socket in &sockets {
        ledger::read_back(socket, &lines).unwrap();
    }
}

#[test]
fn bytes_that_died_with_their_process_are_named_at_once() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let Persisted { blob, id, instance } = persist_on(&cluster.nodes[0]);

    cluster.nodes[0].kill().unwrap();
    cluster.nodes[0].start_again().unwrap();
    cluster.wait_settled().unwrap();

    for node in &cluster.nodes {
        let mut connection = ledger::connect(&node.socket()).unwrap();
        // What the metadata says is still readable.
        let asked =
            json!({"type": "get_data_request", "id": [id], "sync_remote": true, "wait": false});
        let reply = ledger::succeed(&mut connection, &asked).unwrap();
        assert_eq!(
            reply["content"][format!("o{id:016x}")]["typename"],
            "test::Bytes",
            "{reply}"
        );
        for request in [
            json!({"type": "get_buffers_request", "num": 1, "0": blob, "unsafe": false}),
            json!({"type": "migrate_object_request", "object_id": id}),
        ] {
            if request["type"] == "migrate_object_request"
                && node.endpoint() == cluster.nodes[0].endpoint()
            {
                continue;
            }
            assert_named_as_lost(&mut connection, &request, blob, instance);
        }
    }
}

/// Most nodes are down: nobody can be asked, and what the node knows of its own past is enough.
#[test]
fn a_node_that_is_back_alone_names_what_died_with_its_process() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let Persisted { blob, instance, .. } = persist_on(&cluster.nodes[0]);
    let writers = Writers::start("alone", &[cluster.nodes[0].socket()]);
    // So many that the node has noted on its disk that the persist is committed.
    writers.wait_for(150, WRITES_WITHIN).unwrap();
    writers.stop();
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    cluster.nodes[0].start_again().unwrap();
    let mut connection = ledger::connect(&cluster.nodes[0].socket()).unwrap();
    let request = json!({"type": "get_buffers_request", "num": 1, "0": blob, "unsafe": false});
    assert_named_as_lost(&mut connection, &request, blob, instance);
}

struct Persisted {
    blob: u64,
    id: u64,
    instance: u64,
}

/// An object with one blob, whose bytes are only on `node`.
fn persist_on(node: &Node) -> Persisted {
    let mut connection = ledger::connect(&node.socket()).unwrap();
    let instance = node.instance();
    let blob = connection.create_sealed_blob(BLOB_BYTES).unwrap();
    let content = json!({"typename": "test::Bytes", "nbytes": BLOB_BYTES, "global": false, "transient": true,
        "instance_id": instance, "buffer_": {"id": format!("o{blob:016x}"), "typename": "vineyard::Blob",
        "instance_id": instance, "length": BLOB_BYTES, "nbytes": BLOB_BYTES, "transient": true}});
    let made = json!({"type": "create_data_request", "content": content});
    let made = ledger::succeed(&mut connection, &made).unwrap();
    let id = made["id"].as_u64().unwrap();
    let persist = json!({"type": "persist_request", "id": id});
    ledger::succeed(&mut connection, &persist).unwrap();
    Persisted { blob, id, instance }
}

fn assert_named_as_lost(connection: &mut Raw, request: &Value, blob: u64, instance: u64) {
    let asked = Instant::now();
    let reply = connection.ask(request).unwrap();
    let took = asked.elapsed();
    assert!(took < LOST_IS_SAID_WITHIN, "{request} took {took:?}");
    let message = reply["message"].as_str();
    let message = message.unwrap_or_else(|| panic!("{request}: {reply}"));
    let names_blob = message.contains(&format!("o{blob:016x}"));
    let names_instance = message.contains(&format!("i{instance})"));
    assert!(names_blob && names_instance, "{message}");
}
