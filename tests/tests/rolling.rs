//! Nodes of a build of before are replaced one by one, while clients go on.
//!
//! The build of before is this one, told by `--feature-level` to know no more than that one did.
//! `cargo xtask chore rolling` runs the same with its real binary.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

use crate::ledger::{self, Writers};

const WRITES_WITHIN: Duration = Duration::from_secs(60);
const RISES_WITHIN: Duration = Duration::from_secs(30);
/// Writes between two replacements.
const WRITES: u64 = 60;

/// A node of before: the real one, if its binary is given.
fn before() -> Plan {
    match std::env::var_os("VINEYARD_TEST_BEFORE") {
        Some(binary) => Plan {
            before: Some(PathBuf::from(binary)),
            ..Plan::default()
        },
        None => Plan {
            arguments: vec!["--feature-level".to_owned(), "0".to_owned()],
            ..Plan::default()
        },
    }
}

/// Two nodes of before, which founded the cluster, and one of today.
fn mixed() -> Cluster {
    let mut cluster = Cluster::start(2, &before()).unwrap();
    let plan = Plan {
        join: Some(cluster.nodes[0].invitation().unwrap()),
        ..Plan::default()
    };
    let folder = cluster.folder().join("2");
    cluster.nodes.push(Node::start(&folder, plan).unwrap());
    cluster.wait_settled().unwrap();
    cluster
}

/// The same data directory, the binary and the flags of today.
fn replace(node: &mut Node) {
    assert!(node.terminate().unwrap().success());
    let plan = node.plan_mut();
    plan.before = None;
    plan.arguments.clear();
    node.start_again().unwrap();
}

/// What a node logs when all nodes of its cluster know what this build does.
fn latest() -> String {
    format!("level={}", vineyard_raft::features::LATEST)
}

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.folder().join("log")).unwrap()
}

#[test]
fn nodes_of_before_are_replaced_one_by_one_while_clients_go_on() {
    let began = Instant::now();
    let mut cluster = mixed();
    let sockets: Vec<_> = cluster.nodes.iter().map(|node| node.socket()).collect();
    let writers = Writers::start("rolling", &sockets);
    writers.wait_for(WRITES, WRITES_WITHIN).unwrap();
    for index in [1, 0] {
        assert!(!log(&cluster.nodes[2]).contains(&latest()), "too early");
        replace(&mut cluster.nodes[index]);
        cluster.wait_settled().unwrap();
        let so_far = writers.acknowledged();
        writers.wait_for(so_far + WRITES, WRITES_WITHIN).unwrap();
    }
    for node in &cluster.nodes {
        wait::until("the feature level to rise", RISES_WITHIN, || {
            let log = log(node);
            ensure!(log.contains(&latest()), "{log}");
            Ok(Some(()))
        })
        .unwrap();
    }
    let so_far = writers.acknowledged();
    writers.wait_for(so_far + WRITES, WRITES_WITHIN).unwrap();
    let lines = writers.stop();
    for node in &cluster.nodes {
        ledger::read_back(&node.socket(), &lines).unwrap();
        // What it says no member of before could have read.
        assert!(!log(node).contains("upgrade this node"), "{}", log(node));
    }
    println!(
        "{} persists and names while two of three nodes were replaced, in {:.0} s",
        lines.len(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(entries_of_a_put(&cluster.nodes[1]).unwrap(), 1);
}

/// How many entries of the log a put with persist and a name makes, when nobody else writes.
fn entries_of_a_put(node: &Node) -> Result<u64> {
    let mut connection = ledger::connect(&node.socket())?;
    let index = || -> Result<u64> {
        let status = node.status()?;
        let index = status["cluster"]["commit_index"].as_u64();
        index.context("no index in the status")
    };
    let before = index()?;
    let put = json!({"type": "put_object_request", "seal": [], "inline": [], "compress": false, "persist": true,
        "name": "rolled", "content": {"typename": "test::Row", "row": 1, "nbytes": 0, "global": false,
        "transient": true, "instance_id": node.instance()}});
    ledger::succeed(&mut connection, &put)?;
    Ok(index()? - before)
}
