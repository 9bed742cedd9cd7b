//! kill -9 of every node, at any moment, keeps what was acknowledged; bytes that died are one named error, at once.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use serde_json::json;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;

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
    let owner = cluster.nodes[0].socket();
    let mut connection = ledger::connect(&owner).unwrap();
    let blob = connection.create_sealed_blob(BLOB_BYTES).unwrap();
    let instance = connection.register().unwrap()["instance_id"]
        .as_u64()
        .unwrap();
    let content = json!({"typename": "test::Bytes", "nbytes": BLOB_BYTES, "global": false, "transient": true,
        "instance_id": instance, "buffer_": {"id": format!("o{blob:016x}"), "typename": "vineyard::Blob",
        "instance_id": instance, "length": BLOB_BYTES, "nbytes": BLOB_BYTES, "transient": true}});
    let made = json!({"type": "create_data_request", "content": content});
    let id = ledger::succeed(&mut connection, &made).unwrap()["id"]
        .as_u64()
        .unwrap();
    ledger::succeed(
        &mut connection,
        &json!({"type": "persist_request", "id": id}),
    )
    .unwrap();
    drop(connection);

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
            let asked = Instant::now();
            let reply = connection.ask(&request).unwrap();
            assert!(
                asked.elapsed() < LOST_IS_SAID_WITHIN,
                "{request} took {:?}",
                asked.elapsed()
            );
            let message = reply["message"]
                .as_str()
                .unwrap_or_else(|| panic!("{request}: {reply}"));
            let names_blob = message.contains(&format!("o{blob:016x}"));
            assert!(
                names_blob && message.contains(&format!("i{instance}")),
                "{message}"
            );
        }
    }
}
