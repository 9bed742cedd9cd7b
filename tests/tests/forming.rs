//! New nodes that are told the same become one cluster.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::ensure;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::{http, wait};

use crate::addresses::free_addresses;

const WITHIN: Duration = Duration::from_secs(30);
const CLUSTER: &str = "0123456789ab";

#[test]
fn three_nodes_that_are_told_the_same_form_one_cluster_and_restart_alike() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(3);
    let token = folder.path().join("token");
    std::fs::write(&token, format!("vy1.{CLUSTER}.{}", "5a".repeat(32))).unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let join = addresses.join(",");
    let line = Plan {
        join: Some((join.clone(), String::new())),
        // Without --listen, each takes an address of --join that is free on its machine.
        arguments: vec![
            "--listen=".to_owned(),
            format!("--join={join}"),
            "--expect=3".to_owned(),
            format!("--token-file={}", token.display()),
        ],
        ..Plan::default()
    };
    let planned = |index: usize| {
        let folder = folder.path().join(index.to_string());
        Node::planned(&folder, line.clone()).unwrap()
    };
    let mut nodes: Vec<Node> = (0..3).map(planned).collect();
    nodes[2].launch().unwrap();
    let missing = format!(
        "joined: waiting for 2 of 3: {} does not answer",
        addresses[1]
    );
    wait::until("what it waits for", WITHIN, || {
        let ready = http::get(&addresses[0], "/readyz")?;
        ensure!(
            ready.status == 503 && ready.body.contains(&missing),
            "{ready:?}"
        );
        Ok(Some(()))
    })
    .unwrap();
    assert_eq!(http::get(&addresses[0], "/healthz").unwrap().status, 200);
    let status = nodes[2].ctl(&["status"]).unwrap();
    let said = String::from_utf8(status.stderr).unwrap();
    assert!(said.contains("waiting for 2 of 3"), "{said}");
    nodes[0].launch().unwrap();
    nodes[1].launch().unwrap();
    nodes.iter_mut().for_each(|node| node.wait_ready().unwrap());
    let mut cluster = Cluster::of(nodes, folder);
    cluster.wait_settled().unwrap();
    of_one_cluster(&cluster);
    for node in &mut cluster.nodes {
        node.terminate().unwrap();
    }
    for node in &mut cluster.nodes {
        node.launch().unwrap();
    }
    for node in &mut cluster.nodes {
        node.wait_ready().unwrap();
    }
    cluster.wait_settled().unwrap();
    of_one_cluster(&cluster);
}

fn of_one_cluster(cluster: &Cluster) {
    for node in &cluster.nodes {
        let status = node.status().unwrap();
        assert_eq!(status["cluster"]["id"], CLUSTER, "{status}");
        assert_eq!(status["cluster"]["voters"], 3, "{status}");
    }
}

#[test]
fn a_rotated_token_ends_no_connection_and_the_old_one_lets_nobody_in() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let lives: Vec<u64> = cluster.nodes.iter().map(Node::instance).collect();
    let (endpoint, old) = cluster.nodes[0].invitation().unwrap();
    let new = cluster.nodes[1]
        .ctl_ok(&["token", "rotate", "--grace", "1s"])
        .unwrap();
    assert_ne!(new, old);
    for node in &cluster.nodes {
        wait::until("the new token everywhere", WITHIN, || {
            ensure!(node.ctl_ok(&["token"])? == new, "the old one");
            Ok(Some(()))
        })
        .unwrap();
    }
    wait::until("the end of the grace", WITHIN, || {
        let shown = cluster.nodes[0].ctl_ok(&["token", "-o", "json", "show"])?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        Ok(shown["old_until"].is_null().then_some(()))
    })
    .unwrap();
    let joiner = |name: &str, token: &str| {
        let plan = Plan {
            join: Some((endpoint.clone(), token.to_owned())),
            ..Plan::default()
        };
        Node::planned(&cluster.folder().join(name), plan).unwrap()
    };
    let mut late = joiner("late", &old);
    late.launch().unwrap();
    wait::until("the old token to be refused", WITHIN, || late.ended()).unwrap();
    let told = std::fs::read_to_string(late.folder().join("log")).unwrap();
    let logged = std::fs::read_to_string(cluster.nodes[0].folder().join("log")).unwrap();
    for log in [told, logged] {
        assert!(
            log.contains("was replaced by `vineyardctl token rotate`"),
            "{log}"
        );
    }
    let mut fresh = joiner("fresh", &new);
    fresh.start_again().unwrap();
    // A restart needs no token, new or old.
    cluster.nodes[2].terminate().unwrap();
    cluster.nodes[2].start_again().unwrap();
    cluster.nodes.push(fresh);
    cluster.wait_settled().unwrap();
    for (node, life) in cluster.nodes.iter().zip(&lives[..2]) {
        assert_eq!(node.instance(), *life);
        assert_eq!(node.status().unwrap()["cluster"]["quorum"], true);
    }
}
