//! A cluster whose majority is gone for ever goes on from the node that is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

const WITHIN: Duration = Duration::from_secs(30);
/// The exit code of wrong usage, and of bytes that are lost.
const USAGE: i32 = 2;
const LOST: i32 = 6;

fn publish(node: &Node, name: &str) {
    let file = node.folder().join("file");
    std::fs::write(&file, name).unwrap();
    node.ctl_ok(&["put", file.to_str().unwrap(), "--name", name])
        .unwrap();
}

/// The exit code, and all that was printed.
fn recover(node: &Node, more: &[&str]) -> (i32, String) {
    let arguments = [&["recover", "--from-this-node"], more].concat();
    let output = node.ctl(&arguments).unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn see(node: &Node, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
    wait::until(what, WITHIN, || {
        let status = node.status()?;
        ensure!(holds(&status["cluster"]), "{status}");
        Ok(Some(()))
    })
    .unwrap();
}

fn says(node: &Node, words: &[&str]) {
    let log = node.folder().join("log");
    wait::until(&format!("{words:?} in {}", log.display()), WITHIN, || {
        let log = std::fs::read_to_string(&log)?;
        let said = |line: &str| words.iter().all(|word| line.contains(word));
        Ok(log.lines().any(said).then_some(()))
    })
    .unwrap();
}

/// Where a disk is that was taken out of its machine.
fn shelf(node: &Node) -> PathBuf {
    node.folder().join("shelf")
}

/// With the disk that it had a node of before is refused, with a line on both sides.
fn is_refused(old: &mut Node, survivor: &Node) {
    std::fs::rename(shelf(old), old.data_dir()).unwrap();
    old.launch().unwrap();
    let remedy = [
        "left behind",
        "at epoch 1",
        "at epoch 2",
        "empty --data-dir",
    ];
    says(old, &remedy);
    says(survivor, &[&["refused a node"], &remedy[..]].concat());
    see(survivor, "one voter of the next epoch", |seen| {
        seen["voters"] == 1 && seen["epoch"] == 2
    });
    old.kill().unwrap();
}

fn join(folder: &Path, through: &Node) -> Node {
    let joins = Plan {
        join: Some(through.invitation().unwrap()),
        ..Plan::default()
    };
    Node::start(folder, joins).unwrap()
}

#[test]
fn the_survivor_of_three_goes_on_alone_and_the_left_behind_come_back_empty_only() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    for (number, node) in cluster.nodes.iter().enumerate() {
        publish(node, &format!("on-{number}"));
    }
    let id = cluster.nodes[0].status().unwrap()["cluster"]["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let (code, refused) = recover(&cluster.nodes[0], &["--confirm", &id]);
    assert!(code == 1 && refused.contains("a majority"), "{refused}");
    for node in &mut cluster.nodes[1..] {
        node.kill().unwrap();
        std::fs::rename(node.data_dir(), shelf(node)).unwrap();
    }
    let [survivor, old, _] = &mut cluster.nodes[..] else {
        unreachable!("three were started")
    };
    see(survivor, "no quorum", |seen| seen["quorum"] == false);

    let (code, told) = recover(survivor, &[]);
    assert_eq!(code, USAGE, "{told}");
    for part in [
        &id,
        "3 names",
        "n1 ",
        "n2 ",
        "does not answer",
        "2 blobs, 8 B, a part of 2 persisted objects",
        "--confirm",
    ] {
        assert!(told.contains(part), "{part:?}: {told}");
    }
    let (code, refused) = recover(survivor, &["--confirm", "0123456789ab"]);
    assert!(code == 1 && refused.contains(&id), "{refused}");
    see(survivor, "no quorum yet", |seen| seen["quorum"] == false);

    let began = Instant::now();
    let (code, recovered) = recover(survivor, &["--confirm", &id]);
    assert_eq!(code, 0, "{recovered}");
    publish(survivor, "after");
    println!("recovered, and a name put, after {:?}", began.elapsed());
    see(survivor, "one voter", |seen| seen["voters"] == 1);
    let names = survivor.ctl_ok(&["name", "ls"]).unwrap();
    for name in ["on-0", "on-1", "on-2", "after"] {
        assert!(names.contains(name), "{names}");
    }
    assert_eq!(
        survivor.ctl_ok(&["get", "on-0", "-o", "-"]).unwrap(),
        "on-0"
    );
    let lost = survivor.ctl(&["get", "on-1", "-o", "-"]).unwrap();
    assert_eq!(lost.status.code(), Some(LOST), "{lost:?}");

    is_refused(old, survivor);

    let folder = survivor.folder().parent().unwrap().to_owned();
    let next = join(&folder.join("3"), survivor);
    let last = join(&folder.join("4"), &next);
    see(&last, "three voters", |seen| {
        seen["voters"] == 3 && seen["tolerates"] == 1
    });
    survivor.kill().unwrap();
    publish(&next, "of-three");
    survivor.start_again().unwrap();
    let found = survivor.ctl_ok(&["name", "get", "of-three", "--wait", "20"]);
    assert!(!found.unwrap().is_empty());
}
