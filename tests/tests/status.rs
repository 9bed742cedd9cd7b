//! What `status` says is what the node that is asked knows now.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::{preload, wait};

use crate::failing_disk;

/// A lone node says so within this.
const SAID_WITHIN: Duration = Duration::from_secs(3);
/// A cluster whose nodes are back is well within this.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// The commands that ask take a while themselves on a machine that does much else.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// The figures hold a machine that is not busy to its bound; beside other tests there is this much on top.
const BUSY: Duration = Duration::from_secs(10);

/// The exit code of `status --check`, and what it said.
fn check(node: &Node) -> Result<(i32, String)> {
    let output = node.ctl(&["status", "--check"])?;
    let code = output.status.code().context("ended by a signal")?;
    let complaint = String::from_utf8(output.stderr)?;
    Ok((code, String::from_utf8(output.stdout)? + &complaint))
}

/// Waits until `node` says that `answering` of `voters` answer and no quorum is there, in all its words.
fn says_no_quorum(node: &Node, answering: u64, voters: u64, since: Instant) {
    let awaited = format!("{} to say that it has no quorum", node.endpoint());
    let status = wait::until(&awaited, SAID_WITHIN + BUSY, || {
        let status = node.status()?;
        let cluster = &status["cluster"];
        let lost = cluster["leader"].is_null() && cluster["quorum"] == false;
        ensure!(
            lost && cluster["voters_answering"] == answering,
            "{cluster}"
        );
        Ok(Some(status))
    });
    let (status, took) = (status.unwrap(), since.elapsed());
    println!("{}: said after {took:?}", node.endpoint());
    assert!(took < SAID_WITHIN + ASKED_WITHIN + BUSY, "{took:?}");
    assert_eq!(status["cluster"]["tolerates"], 0);
    assert_eq!(unreachable(&status) as u64, voters - answering, "{status}");
    let (code, text) = check(node).unwrap();
    assert_eq!(code, 2, "{text}");
    let verb = if answering == 1 { "answers" } else { "answer" };
    let needed = voters / 2 + 1;
    let counts = format!("s: {answering} of {voters} voters {verb}, {needed} needed");
    assert!(
        text.contains("NO QUORUM for ") && text.contains(&counts),
        "{text}"
    );
}

fn unreachable(status: &Value) -> usize {
    let nodes = status["nodes"].as_array().unwrap();
    nodes
        .iter()
        .filter(|node| node["state"] == "unreachable")
        .count()
}

/// Waits until every node says that the cluster is ready.
fn is_well(cluster: &Cluster, since: Instant) {
    for node in &cluster.nodes {
        let awaited = format!("{} to be ready", node.endpoint());
        wait::until(&awaited, WELL_WITHIN + BUSY, || {
            let (code, text) = check(node)?;
            ensure!(code == 0, "{code}: {text}");
            Ok(Some(()))
        })
        .unwrap();
    }
    println!("ready again after {:?}", since.elapsed());
}

#[test]
fn a_survivor_of_three_says_that_there_is_no_quorum() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let leader = cluster.leader().unwrap();
    is_well(&cluster, Instant::now());
    // Once the leader is left, once a follower.
    for survivor in [leader, (leader + 1) % 3] {
        let killed = (0..3).filter(|index| *index != survivor);
        let killed: Vec<usize> = killed.collect();
        for index in &killed {
            cluster.nodes[*index].kill().unwrap();
        }
        says_no_quorum(&cluster.nodes[survivor], 1, 3, Instant::now());
        for index in &killed {
            cluster.nodes[*index].launch().unwrap();
        }
        for index in &killed {
            cluster.nodes[*index].wait_ready().unwrap();
        }
        is_well(&cluster, Instant::now());
    }
}

#[test]
fn one_dead_voter_is_a_degraded_cluster() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    cluster.nodes[2].kill().unwrap();
    let asked = &cluster.nodes[0];
    wait::until("a degraded cluster", SAID_WITHIN + BUSY, || {
        let (code, text) = check(asked)?;
        ensure!(
            code == 1 && text.contains("tolerates 0 failures"),
            "{code}: {text}"
        );
        Ok(Some(()))
    })
    .unwrap();
    let status = asked.status().unwrap();
    assert!(status["cluster"]["leader"].is_u64(), "{status}");
    assert_eq!(unreachable(&status), 1, "{status}");
    let doctor = asked.ctl(&["doctor"]).unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        doctor.status.code() == Some(1) && said.contains("fail  members"),
        "{said}"
    );
    wait::until("an event of it", SAID_WITHIN + BUSY, || {
        let events = String::from_utf8(asked.ctl(&["events"])?.stdout)?;
        Ok(events.contains("node_unreachable").then_some(()))
    })
    .unwrap();
    one_file_has_what_all_tell(&cluster);
}

/// Of the node that is dead it has the reason.
fn one_file_has_what_all_tell(cluster: &Cluster) {
    let file = cluster.nodes[0].folder().join("bundle");
    let asked = &cluster.nodes[0];
    asked.ctl_ok(&["bundle", file.to_str().unwrap()]).unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    for node in &cluster.nodes {
        let mut all = found["nodes"].as_array().unwrap().iter();
        let told = all.find(|one| one["endpoint"] == node.endpoint()).unwrap();
        match node.runs() {
            true => {
                let told = &told["told"];
                assert_eq!(told["instance_id"], node.instance(), "{told}");
                assert!(told["status"]["nodes"].is_array(), "{told}");
            }
            false => assert!(told["told"]["missing"].is_string(), "{told}"),
        }
    }
    let token = asked.ctl_ok(&["token"]).unwrap();
    assert!(!text.contains(token.rsplit('.').next().unwrap()));
}

#[test]
fn two_paused_nodes_are_no_quorum_until_they_go_on() {
    let cluster = Cluster::start(3, &Plan::default()).unwrap();
    let leader = cluster.leader().unwrap();
    let paused = [leader, (leader + 1) % 3];
    let signal = |signal| {
        for index in paused {
            cluster.nodes[index]
                .process()
                .unwrap()
                .signal(signal)
                .unwrap();
        }
    };
    signal(Signal::SIGSTOP);
    says_no_quorum(&cluster.nodes[(leader + 2) % 3], 1, 3, Instant::now());
    signal(Signal::SIGCONT);
    is_well(&cluster, Instant::now());
}

/// The follower goes on to hear the leader, which hears too few.
#[test]
fn a_follower_of_a_leader_without_a_majority_says_so() {
    let mut cluster = Cluster::start(5, &Plan::default()).unwrap();
    let leader = cluster.leader().unwrap();
    for index in (1..=3).map(|step| (leader + step) % 5) {
        cluster.nodes[index].kill().unwrap();
    }
    let since = Instant::now();
    says_no_quorum(&cluster.nodes[(leader + 4) % 5], 2, 5, since);
    says_no_quorum(&cluster.nodes[leader], 2, 5, since);
}

#[test]
fn a_node_whose_disk_failed_says_so_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("fail");
    let environment = vec![
        preload::compile(folder.path(), failing_disk::PRELOADED).unwrap(),
        ("FAIL_SYNC_WHILE".into(), flag.clone().into_os_string()),
    ];
    let plan = Plan {
        environment,
        ..Plan::default()
    };
    let node = Node::start(&folder.path().join("n"), plan).unwrap();
    node.ctl_ok(&["wait", "--ready"]).unwrap();
    std::fs::write(&flag, "").unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let put = node.ctl(&["put", file.to_str().unwrap(), "--name", "n"]);
    assert!(!put.unwrap().status.success());
    let (code, text) = check(&node).unwrap();
    assert_eq!(code, 2, "{text}{}", node.process().unwrap().log_end());
    assert!(
        text.contains("takes no part any more: the disk failed"),
        "{text}"
    );
    let mine = node.figures().unwrap();
    assert!(
        mine["failure"].is_string() && mine["memory_limit"].is_u64(),
        "{mine}"
    );
}

#[test]
fn wait_returns_when_the_cluster_is_ready_and_says_what_is_missing() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let node = |index: usize| &cluster.nodes[index];
    node(0)
        .ctl_ok(&["wait", "--ready", "--nodes", "3"])
        .unwrap();
    let late = node(0).ctl(&["wait", "--ready", "--nodes", "4", "--timeout", "1"]);
    let late = late.unwrap();
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert_eq!(late.status.code(), Some(5), "{said}");
    assert!(said.contains("3 of 4 nodes are up"), "{said}");
    for index in [1, 2] {
        cluster.nodes[index].kill().unwrap();
    }
    says_no_quorum(&cluster.nodes[0], 1, 3, Instant::now());
    let late = cluster.nodes[0]
        .ctl(&["wait", "--ready", "--timeout", "1"])
        .unwrap();
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert_eq!(late.status.code(), Some(5), "{said}");
    assert!(said.contains("NO QUORUM"), "{said}");
    cluster.nodes[1].launch().unwrap();
    let ready = cluster.nodes[0].ctl_ok(&["wait", "--ready", "--nodes", "2", "--timeout", "30"]);
    ready.unwrap();
}
