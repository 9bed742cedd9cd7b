//! What an operator meets on the first day: words that name the place and the next step.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::ensure;
use vineyard_tests::binaries::binary;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

const WITHIN: Duration = Duration::from_secs(30);
/// Well below the time after which silence alone would be noticed.
const AT_ONCE: Duration = Duration::from_millis(1500);

fn daemon(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(binary("vineyardd").unwrap())
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

#[test]
fn a_node_that_was_stopped_is_shown_so_at_once_and_until_it_starts_again() {
    let plan = Plan {
        arguments: vec!["--name".to_owned(), "blue".to_owned()],
        ..Plan::default()
    };
    let mut cluster = Cluster::start(3, &plan).unwrap();
    let leader = cluster.leader().unwrap();
    let (left, asked) = (leader, (leader + 1) % 3);
    let instance = cluster.nodes[left].instance();
    assert_eq!(cluster.nodes[asked].figures().unwrap()["name"], "blue");
    cluster.nodes[left].terminate().unwrap();
    let state = |cluster: &Cluster| {
        let status = cluster.nodes[asked].status()?;
        let nodes = status["nodes"].as_array().unwrap().clone();
        let it = nodes
            .into_iter()
            .find(|node| node["instance_id"] == instance);
        anyhow::Ok(it.map(|node| node["state"].clone()))
    };
    wait::until("the node to be shown as stopped", AT_ONCE, || {
        let state = state(&cluster)?;
        ensure!(state == Some("stopped".into()), "{state:?}");
        Ok(Some(()))
    })
    .unwrap();
    // It stays so when its silence has been noticed.
    let silent = wait::until("its silence", WITHIN, || {
        let output = cluster.nodes[asked].ctl(&["status", "--check"])?;
        Ok((output.status.code() == Some(1)).then_some(()))
    });
    silent.unwrap();
    assert_eq!(state(&cluster).unwrap(), Some("stopped".into()));
    cluster.nodes[left].start_again().unwrap();
    cluster.wait_settled().unwrap();
    // The name is remembered: the restart may name the data directory alone.
    assert_eq!(cluster.nodes[left].figures().unwrap()["name"], "blue");
}

#[test]
fn a_leader_that_stops_hands_over_though_a_voter_is_dead() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let leader = cluster.leader().unwrap();
    let (dead, asked) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.nodes[dead].kill().unwrap();
    wait::until("the death to be known", WITHIN, || {
        let output = cluster.nodes[asked].ctl(&["status", "--check"])?;
        Ok((output.status.code() == Some(1)).then_some(()))
    })
    .unwrap();
    let log = cluster.nodes[leader].folder().join("log");
    cluster.nodes[leader].terminate().unwrap();
    let text = fs::read_to_string(log).unwrap();
    assert!(text.contains("handing leadership over"), "{text}");
    assert!(!text.contains("not taken over in time"), "{text}");
}

#[test]
fn a_data_directory_in_use_names_the_process_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let dir = node.data_dir();
    let (output, text) = daemon(&["--data-dir", dir.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let process = format!("pid {} (vineyardd) uses it", node.process().unwrap().pid());
    assert!(text.contains(&process), "{text}");
    assert!(text.contains(dir.to_str().unwrap()), "{text}");
}

#[test]
fn a_mistyped_socket_path_makes_one_folder_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("mistyped");
    let socket = above.join("deeper").join("sock");
    let data = folder.path().join("data");
    let found = ["--found", "--listen", "127.0.0.1:0", "--size", "64M"];
    let places = [
        "--socket",
        socket.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let (output, text) = daemon(&[&found[..], &places[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("there is no folder"), "{text}");
    assert!(!above.exists(), "{text}");
}

#[test]
fn the_ready_line_shows_the_way_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let said = wait::until("the ready line", WITHIN, || {
        let log = fs::read_to_string(node.folder().join("log"))?;
        Ok(log
            .lines()
            .find(|line| line.contains("ready; to add"))
            .map(str::to_owned))
    });
    let said = said.unwrap();
    assert!(
        said.contains("token > token)") && said.contains("--token-file token"),
        "{said}"
    );
}

#[test]
fn a_list_that_is_cut_short_says_so_and_counts_bytes_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, vec![7; 1 << 20]).unwrap();
    for _ in 0..3 {
        node.ctl_ok(&["put", file.to_str().unwrap()]).unwrap();
    }
    let whole = node.ctl(&["ls"]).unwrap();
    let table = String::from_utf8(whole.stdout).unwrap();
    assert_eq!(table.lines().last(), Some("6 objects, 3 MiB"), "{table}");
    assert!(
        whole.stderr.is_empty(),
        "{:?}",
        String::from_utf8_lossy(&whole.stderr)
    );
    let cut = node.ctl(&["ls", "--limit", "4"]).unwrap();
    let text = String::from_utf8(cut.stderr).unwrap();
    assert!(text.contains("4 of 6 objects were listed"), "{text}");
    let all = node.ctl(&["ls", "--all"]).unwrap();
    assert!(all.stderr.is_empty());
    let unnamed = node.ctl_ok(&["ls", "--unnamed", "--sort", "size"]).unwrap();
    assert!(unnamed.ends_with("3 objects, 3 MiB"), "{unnamed}");
}

#[test]
fn a_pipe_can_be_stored() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i as u8).collect();
    let mut command = Command::new(binary("vineyardctl").unwrap());
    command.args(["put", "-", "--name", "piped", "--socket"]);
    command.arg(node.socket()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    let got = node.ctl(&["get", "piped", "-o", "-"]).unwrap();
    assert!(got.stdout == bytes);
}
