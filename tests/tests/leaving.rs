//! Nodes that are drained and that leave: the bytes that only they had are elsewhere before they go.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::http;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

const WITHIN: Duration = Duration::from_secs(30);
/// More than one batch of a drain.
const LARGE: usize = 70 << 20;

fn id(node: &Node) -> String {
    format!("n{}", node.instance() % 65_536)
}

/// Bytes that tell where they stand.
fn bytes(of: usize) -> Vec<u8> {
    (0..of).map(|at| (at / 7 % 251) as u8).collect()
}

/// Puts bytes, with a name if there is one: the id.
fn put(node: &Node, size: usize, name: Option<&str>) -> String {
    let file = node.folder().join("put");
    std::fs::write(&file, bytes(size)).unwrap();
    let mut arguments = vec!["put", file.to_str().unwrap(), "-o", "json"];
    arguments.extend(name.map(|_| "--name"));
    arguments.extend(name);
    let said: Value = serde_json::from_str(&node.ctl_ok(&arguments).unwrap()).unwrap();
    said["id"].as_str().unwrap().to_owned()
}

/// Gets bytes through `node`, and compares them.
fn get(node: &Node, what: &str, size: usize) {
    let file = node.folder().join("got");
    node.ctl_ok(&["get", what, "-o", file.to_str().unwrap()])
        .unwrap();
    assert!(std::fs::read(&file).unwrap() == bytes(size), "{what}");
}

fn refusal(node: &Node, arguments: &[&str]) -> String {
    let output = node.ctl(arguments).unwrap();
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn cordon_of(asked: &Node, of: &Node) -> Value {
    let status = asked.status().unwrap();
    let nodes = status["nodes"].as_array().unwrap().iter();
    let mut line = nodes.filter(|line| line["endpoint"] == of.endpoint());
    line.next().unwrap()["cordon"].clone()
}

/// TCP serves everybody here: `get` of what is elsewhere reads it from its node.
fn plan() -> Plan {
    Plan {
        arguments: vec!["--rpc-open-to-anyone".to_owned()],
        ..Plan::default()
    }
}

#[test]
fn what_only_a_drained_node_had_outlives_it() {
    let mut cluster = Cluster::start(3, &plan()).unwrap();
    for name in ["a", "b", "c"] {
        put(&cluster.nodes[2], 100_000, Some(name));
    }
    let large = put(&cluster.nodes[2], LARGE, Some("large"));
    let drained = id(&cluster.nodes[2]);
    let transient = put(&cluster.nodes[2], 1_000, None);
    // Asked of another node.
    let said = cluster.nodes[0].ctl_ok(&["drain", &drained]).unwrap();
    assert!(
        said.contains("is drained: 5 blobs"),
        "the large one is two: {said}"
    );
    assert!(said.contains("1 transient objects"), "{said}");
    let again = cluster.nodes[2].ctl_ok(&["drain"]).unwrap();
    assert!(again.contains("is drained: 0 blobs"), "{again}");
    assert_eq!(cordon_of(&cluster.nodes[1], &cluster.nodes[2]), "drains");
    let table = cluster.nodes[1].ctl_ok(&["status"]).unwrap();
    assert!(table.contains("is cordoned"), "{table}");
    let ready = |path| http::get(cluster.nodes[2].endpoint(), path).unwrap();
    let drains = ready("/readyz");
    assert!(
        drains.status == 503 && drains.body.contains("[-]draining"),
        "{drains:?}"
    );
    assert_eq!(ready("/readyz?exclude=draining").status, 200);
    // It goes on to serve: what it has, what it is given, what others have.
    get(&cluster.nodes[2], "large", LARGE);
    get(&cluster.nodes[2], &transient, 1_000);
    put(&cluster.nodes[0], 5_000, Some("elsewhere"));
    get(&cluster.nodes[2], "elsewhere", 5_000);
    cluster.nodes[2].kill().unwrap();
    for name in ["a", "b", "c"] {
        get(&cluster.nodes[0], name, 100_000);
        get(&cluster.nodes[1], name, 100_000);
    }
    get(&cluster.nodes[0], &large, LARGE);
    // The cordon outlives the process, and ends by word.
    cluster.nodes[2].start_again().unwrap();
    cluster.wait_settled().unwrap();
    assert_eq!(cordon_of(&cluster.nodes[1], &cluster.nodes[2]), "drains");
    get(&cluster.nodes[2], "large", LARGE);
    cluster.nodes[0].ctl_ok(&["uncordon", &drained]).unwrap();
    assert_eq!(cordon_of(&cluster.nodes[2], &cluster.nodes[2]), Value::Null);
    let stays = http::get(cluster.nodes[2].endpoint(), "/readyz").unwrap();
    assert_eq!(stays.status, 200, "{stays:?}");
    // What is deleted is freed where it was moved to.
    for name in ["a", "b", "c", "large"] {
        cluster.nodes[2].ctl_ok(&["rm", name]).unwrap();
    }
    wait::until("the copies to be freed", WITHIN, || {
        let used = |node: &Node| Ok::<_, anyhow::Error>(node.figures()?["memory_usage"].clone());
        let used = [used(&cluster.nodes[0])?, used(&cluster.nodes[1])?];
        ensure!(used == [5_000, 0], "{used:?}");
        Ok(Some(()))
    })
    .unwrap();
}

/// Each is told how the one drain ends, or how a look finds that nothing is left.
#[test]
fn several_may_drain_a_node_at_once() {
    let cluster = Cluster::start(2, &plan()).unwrap();
    put(&cluster.nodes[1], LARGE, Some("large"));
    std::thread::scope(|scope| {
        let drains = [(); 6].map(|()| scope.spawn(|| cluster.nodes[1].ctl_ok(&["drain"])));
        for drain in drains {
            let said = drain.join().unwrap().unwrap();
            assert!(said.contains("is drained"), "{said}");
        }
    });
}

#[test]
fn a_drain_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = Plan {
        size: "1M".to_owned(),
        ..plan()
    };
    let first = Node::start(&folder.path().join("0"), small.clone()).unwrap();
    let joins = |size: &str| Plan {
        size: size.to_owned(),
        join: Some(first.invitation().unwrap()),
        ..plan()
    };
    let second = Node::start(&folder.path().join("1"), joins("64M")).unwrap();
    let cluster = Cluster::of(vec![first, second], folder);
    cluster.wait_settled().unwrap();
    let [first, second] = &cluster.nodes[..] else {
        unreachable!("two were started");
    };
    put(second, 3 << 20, Some("large"));
    for verb in [&["drain"][..], &["drain", "--all"], &["leave"]] {
        let refused = refusal(second, verb);
        for figure in [
            "1 blobs with 3145728 bytes",
            "only n1 has",
            "n0 has 1048576",
        ] {
            assert!(refused.contains(figure), "{verb:?}: {refused}");
        }
    }
    assert_eq!(cordon_of(first, second), Value::Null);
    get(second, "large", 3 << 20);
}

#[test]
fn a_restart_after_a_drain_of_all_loses_nothing() {
    let mut cluster = Cluster::start(3, &plan()).unwrap();
    let transient = put(&cluster.nodes[1], 300_000, None);
    put(&cluster.nodes[1], 200_000, Some("named"));
    let said = cluster.nodes[1].ctl_ok(&["drain", "--all", "-o", "json"]);
    let said: Value = serde_json::from_str(&said.unwrap()).unwrap();
    assert_eq!(said["objects_persisted"], 1, "{said}");
    assert_eq!(said["blobs_moved"], 2, "{said}");
    assert_eq!(said["objects_kept"], 0, "{said}");
    assert!(cluster.nodes[1].terminate().unwrap().success());
    let log = std::fs::read_to_string(cluster.nodes[1].folder().join("log")).unwrap();
    assert!(!log.contains("only copy here"), "{log}");
    cluster.nodes[1].start_again().unwrap();
    cluster.wait_settled().unwrap();
    cluster.nodes[1].ctl_ok(&["uncordon"]).unwrap();
    for node in &cluster.nodes {
        get(node, &transient, 300_000);
        get(node, "named", 200_000);
    }
}

#[test]
fn a_stop_says_which_bytes_have_no_other_copy() {
    let mut cluster = Cluster::start(2, &plan()).unwrap();
    put(&cluster.nodes[1], 1_234, Some("lost"));
    put(&cluster.nodes[1], 10, None);
    assert!(cluster.nodes[1].terminate().unwrap().success());
    let log = std::fs::read_to_string(cluster.nodes[1].folder().join("log")).unwrap();
    let line = log.lines().find(|line| line.contains("only copy here"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for figure in ["persisted_objects=1", "bytes=1234", "transient_objects=1"] {
        assert!(line.contains(figure), "{line}");
    }
}

/// Waits until the process ends by itself, and expects code 0.
fn ends_well(node: &mut Node) {
    let ended = wait::until("the node that left to end", WITHIN, || node.ended());
    let log = std::fs::read_to_string(node.folder().join("log")).unwrap();
    assert_eq!(ended.unwrap().code(), Some(0), "{log}");
}

fn members(node: &Node, members: usize, voters: u64) {
    wait::until(&format!("{members} members"), WITHIN, || {
        let status = node.status()?;
        let listed = status["nodes"].as_array().map_or(0, Vec::len);
        let seen = &status["cluster"]["voters"];
        ensure!(listed == members && *seen == voters, "{status}");
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_leader_that_leaves_loses_nothing_and_is_replaced() {
    let mut cluster = Cluster::start(4, &plan()).unwrap();
    let leader = cluster.leader().unwrap();
    put(&cluster.nodes[leader], 400_000, Some("kept"));
    let leaver = id(&cluster.nodes[leader]);
    let begun = Instant::now();
    let said = cluster.nodes[leader].ctl_ok(&["leave"]).unwrap();
    assert!(said.contains("is no member any more"), "{said}");
    ends_well(&mut cluster.nodes[leader]);
    eprintln!("left after {:?}", begun.elapsed());
    let other = (leader + 1) % 4;
    members(&cluster.nodes[other], 3, 3);
    for node in cluster.nodes.iter().filter(|node| node.runs()) {
        get(node, "kept", 400_000);
    }
    // Its directory says so.
    cluster.nodes[leader].launch().unwrap();
    let ended = wait::until("the node to end", WITHIN, || cluster.nodes[leader].ended());
    assert_eq!(ended.unwrap().code(), Some(1));
    let log = std::fs::read_to_string(cluster.nodes[leader].folder().join("log")).unwrap();
    assert!(log.contains(&format!("{leaver} has left")), "{log}");
    put(&cluster.nodes[other], 10, Some("goes-on"));
}

/// Puts named objects through `node` until it refuses: the names that were acknowledged, and the refusal.
fn write_until_refused(node: &Node, writer: &str) -> (Vec<String>, String) {
    let file = node.folder().join(format!("load-{writer}"));
    std::fs::write(&file, bytes(3_000)).unwrap();
    let mut acknowledged = Vec::new();
    let until = Instant::now() + WITHIN;
    while Instant::now() < until {
        let name = format!("load-{writer}-{}", acknowledged.len());
        let put = node.ctl(&["put", file.to_str().unwrap(), "--name", &name]);
        let put = put.unwrap();
        match put.status.success() {
            true => acknowledged.push(name),
            false => return (acknowledged, String::from_utf8(put.stderr).unwrap()),
        }
    }
    panic!(
        "{} objects were persisted, and none refused",
        acknowledged.len()
    );
}

/// The writers are faster than a drain looks.
#[test]
fn a_node_leaves_under_load_and_every_acknowledged_object_is_whole() {
    let mut cluster = Cluster::start(3, &plan()).unwrap();
    let node = &cluster.nodes[1];
    let written = std::thread::scope(|scope| {
        let writers =
            ["a", "b", "c"].map(|writer| scope.spawn(move || write_until_refused(node, writer)));
        // It leaves once there is something to move.
        wait::until("the first objects", WITHIN, || {
            let names = node.ctl_ok(&["name", "ls"])?;
            Ok(names.contains("load-a-2").then_some(()))
        })
        .unwrap();
        node.ctl_ok(&["leave", "--timeout", "20"]).unwrap();
        writers.map(|writer| writer.join().unwrap())
    });
    ends_well(&mut cluster.nodes[1]);
    members(&cluster.nodes[0], 2, 2);
    let refused: Vec<_> = written.iter().map(|(_, refused)| refused).collect();
    let tells = |said: &&String| said.contains("leaves the cluster");
    assert!(refused.iter().any(tells), "{refused:?}");
    for name in written.iter().flat_map(|(acknowledged, _)| acknowledged) {
        get(&cluster.nodes[0], name, 3_000);
    }
}

#[test]
fn nodes_leave_until_one_is_left() {
    let mut cluster = Cluster::start(3, &plan()).unwrap();
    put(&cluster.nodes[0], 10_000, Some("moves"));
    put(&cluster.nodes[1], 20_000, Some("given-up"));
    let asked = cluster.nodes[1].ctl_ok(&["leave", "--discard", "-o", "json"]);
    let said: Value = serde_json::from_str(&asked.unwrap()).unwrap();
    assert_eq!(said["bytes_lost"], 20_000, "{said}");
    ends_well(&mut cluster.nodes[1]);
    members(&cluster.nodes[2], 2, 2);
    cluster.nodes[0].ctl_ok(&["leave"]).unwrap();
    ends_well(&mut cluster.nodes[0]);
    members(&cluster.nodes[2], 1, 1);
    get(&cluster.nodes[2], "moves", 10_000);
    let lost = refusal(&cluster.nodes[2], &["get", "given-up", "-o", "-"]);
    assert!(lost.contains("lost"), "{lost}");
    let last = refusal(&cluster.nodes[2], &["leave"]);
    assert!(last.contains("no other node is up"), "{last}");
    put(&cluster.nodes[2], 10, Some("goes-on"));
}
