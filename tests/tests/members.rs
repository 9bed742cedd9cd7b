//! Nodes that are dead for good: removed by word, or replaced as voters after a time.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use vineyard_tests::binaries::binary;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

const WITHIN: Duration = Duration::from_secs(30);

/// The id of the node that `node` is, as `remove` takes it.
fn id(node: &Node) -> String {
    format!("n{}", node.instance() % 65_536)
}

fn publish(node: &Node, name: &str) {
    let file = node.folder().join("file");
    std::fs::write(&file, "bytes").unwrap();
    node.ctl_ok(&["put", file.to_str().unwrap(), "--name", name])
        .unwrap();
}

/// Waits until `node` sees so many voters, of which so many may fail.
fn see(node: &Node, voters: u64, tolerates: u64) {
    wait::until(&format!("{voters} voters"), WITHIN, || {
        let cluster = &node.status()?["cluster"];
        let seen = cluster["voters"] == voters && cluster["tolerates"] == tolerates;
        ensure!(seen, "{cluster}");
        Ok(Some(()))
    })
    .unwrap();
}

fn refusal(node: &Node, arguments: &[&str]) -> String {
    let output = node.ctl(arguments).unwrap();
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Removes a node once the leader has noticed that it is dead.
fn remove(node: &Node, dead: &str, more: &[&str]) -> String {
    let mut arguments = vec!["remove", dead, "--yes"];
    arguments.extend(more);
    wait::until(&format!("{dead} to be removed"), WITHIN, || {
        node.ctl_ok(&arguments).map(Some)
    })
    .unwrap()
}

#[test]
fn a_dead_node_is_removed_and_another_takes_its_place() {
    let plan = Plan::default();
    let mut cluster = Cluster::start(3, &plan).unwrap();
    publish(&cluster.nodes[2], "dies");
    let dead = id(&cluster.nodes[2]);
    let lives = refusal(&cluster.nodes[0], &["remove", &dead, "--yes"]);
    assert!(lives.contains("answers"), "{lives}");
    let itself = id(&cluster.nodes[0]);
    let itself = refusal(&cluster.nodes[0], &["remove", &itself, "--yes"]);
    assert!(itself.contains("answers"), "{itself}");
    let unknown = refusal(&cluster.nodes[0], &["remove", "n77", "--yes"]);
    assert!(unknown.contains("no node n77"), "{unknown}");
    cluster.nodes[2].kill().unwrap();
    wait::until("a refusal that counts what dies", WITHIN, || {
        let refused = refusal(&cluster.nodes[0], &["remove", &dead, "--yes"]);
        ensure!(refused.contains("1 persisted objects"), "{refused}");
        Ok(Some(()))
    })
    .unwrap();
    let unasked = refusal(&cluster.nodes[0], &["remove", &dead, "--lose-objects"]);
    assert!(unasked.contains("--yes"), "{unasked}");
    let said = remove(&cluster.nodes[0], &dead, &["--lose-objects"]);
    assert!(said.contains("1 persisted objects"), "{said}");
    see(&cluster.nodes[1], 2, 0);
    let listed = cluster.nodes[1].status().unwrap();
    assert_eq!(listed["nodes"].as_array().unwrap().len(), 2, "{listed}");
    let again = refusal(&cluster.nodes[1], &["remove", &dead, "--yes"]);
    assert!(again.contains("was removed before"), "{again}");
    // Returning, it is told that it was removed: at once, and at each start.
    for _ in 0..2 {
        cluster.nodes[2].launch().unwrap();
        let log = cluster.nodes[2].folder().join("log");
        wait::until("the node to end", WITHIN, || {
            let ended = cluster.nodes[2].ended()?;
            Ok(ended)
        })
        .unwrap();
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.contains(&format!("node {dead} was removed")), "{text}");
    }
    let joins = Plan {
        join: Some(cluster.nodes[0].invitation().unwrap()),
        ..plan
    };
    let fourth = Node::start(&cluster.folder().join("fourth"), joins).unwrap();
    assert_eq!(id(&fourth), "n3", "an id is never given again");
    see(&fourth, 3, 1);
    publish(&fourth, "lives");
}

#[test]
fn without_a_majority_nobody_is_removed() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let dead = id(&cluster.nodes[2]);
    for node in &mut cluster.nodes[1..] {
        node.kill().unwrap();
    }
    let refused = refusal(&cluster.nodes[0], &["remove", &dead, "--yes"]);
    assert!(
        refused.contains("majority") || refused.contains("leader"),
        "{refused}"
    );
    for node in &mut cluster.nodes[1..] {
        node.start_again().unwrap();
    }
    cluster.wait_settled().unwrap();
}

#[test]
fn three_voters_become_five_and_three_again() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    for _ in 0..2 {
        let joins = Plan {
            join: Some(cluster.nodes[0].invitation().unwrap()),
            ..Plan::default()
        };
        let folder = cluster.folder().join(cluster.nodes.len().to_string());
        cluster.nodes.push(Node::start(&folder, joins).unwrap());
    }
    cluster.wait_settled().unwrap();
    see(&cluster.nodes[0], 5, 2);
    publish(&cluster.nodes[0], "kept");
    for index in [3, 4] {
        let dead = id(&cluster.nodes[index]);
        cluster.nodes[index].kill().unwrap();
        remove(&cluster.nodes[0], &dead, &[]);
    }
    see(&cluster.nodes[1], 3, 1);
    cluster.nodes[2].ctl_ok(&["name", "get", "kept"]).unwrap();
}

#[test]
fn a_voter_that_stays_dead_loses_its_vote_to_a_live_learner() {
    let plan = Plan {
        arguments: vec!["--replace-after=2s".to_owned()],
        ..Plan::default()
    };
    let mut cluster = Cluster::start(4, &plan).unwrap();
    let is_voter = |node: &Node, of: &Node| -> anyhow::Result<bool> {
        let status = node.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let line = nodes
            .iter()
            .find(|line| line["instance_id"] == of.instance());
        Ok(line.is_some_and(|line| line["role"] != "learner"))
    };
    let learner = (1..4).find(|index| {
        let node = &cluster.nodes[*index];
        !is_voter(&cluster.nodes[0], node).unwrap()
    });
    let learner = learner.expect("one of four learns");
    let dies = (1..4).find(|index| *index != learner).unwrap();
    cluster.nodes[dies].kill().unwrap();
    wait::until("the learner to vote", WITHIN, || {
        let votes = is_voter(&cluster.nodes[0], &cluster.nodes[learner])?;
        Ok(votes.then_some(()))
    })
    .unwrap();
    see(&cluster.nodes[learner], 3, 1);
    // It is a member still, and follows when it is back.
    cluster.nodes[dies].start_again().unwrap();
    cluster.wait_settled().unwrap();
}

#[test]
fn a_token_that_was_made_before_the_cluster_founds_and_joins_it() {
    let folder = tempfile::tempdir().unwrap();
    // No node runs, and none is asked.
    let mut new = Command::new(binary("vineyardctl").unwrap());
    let made = new.args(["token", "new"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    assert_eq!((parts[0], &lengths[1..]), ("vy1", &[12, 64][..]), "{token}");
    let file = folder.path().join("token");
    std::fs::write(&file, &token).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let founder = Plan {
        arguments: vec![format!("--token-file={}", file.display())],
        ..Plan::default()
    };
    let founder = Node::start(&folder.path().join("founder"), founder).unwrap();
    for arguments in [&["token"][..], &["token", "show"]] {
        assert_eq!(founder.ctl_ok(arguments).unwrap(), token);
    }
    let joins = Plan {
        join: Some((founder.endpoint().to_owned(), token.clone())),
        ..Plan::default()
    };
    let joiner = Node::start(&folder.path().join("joiner"), joins).unwrap();
    let status = joiner.status().unwrap();
    assert_eq!(status["cluster"]["id"], parts[1], "{status}");
}
