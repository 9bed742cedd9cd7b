//! Every exit code of the manual is produced, and one fact has one code whatever the verb and the flags.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vineyard_tests::binaries::{binary, root};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::wait;

/// What a command said, and the code that it ended with.
fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ended by itself"), text)
}

fn fails(node: &Node, arguments: &[&str], code: i32, words: &str) {
    let began = Instant::now();
    let (ended, text) = said(&node.ctl(arguments).unwrap());
    println!("{arguments:?}: {ended} after {:?}: {text}", began.elapsed());
    assert_eq!(ended, code, "{arguments:?}: {text}");
    assert!(text.contains(words), "{arguments:?}: {text}");
}

/// A node, and a file that is stored there under the name `kept`.
fn alone(folder: &tempfile::TempDir) -> Node {
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "some bytes").unwrap();
    node.ctl_ok(&["put", file.to_str().unwrap(), "--name", "kept"])
        .unwrap();
    node
}

#[test]
fn the_manual_has_the_codes_that_these_tests_produce() {
    let manual = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let table = manual
        .split("| exit code | `kind` | meaning |")
        .nth(1)
        .unwrap();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let first = |row: &str| row.split('|').nth(1).unwrap().trim().to_owned();
    let codes: Vec<String> = rows.map(first).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "130"]);
}

#[test]
fn done_refused_misused_unreachable_and_unknown_are_0_to_4() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(&folder);
    fails(&node, &["name", "get", "kept"], 0, "");
    let id = node.ctl_ok(&["name", "get", "kept"]).unwrap();
    fails(
        &node,
        &["name", "set", "kept", &id, "--if-absent"],
        1,
        "already points to",
    );
    fails(&node, &["name", "frobnicate"], 2, "");
    fails(&node, &["name", "get", "nothing"], 4, "failed to find name");
    fails(&node, &["get", "nothing", "-o", "-"], 4, "nothing");
    let nowhere = folder.path().join("nowhere");
    let mut command = Command::new(binary("vineyardctl").unwrap());
    command.arg("--socket").arg(&nowhere).arg("status");
    let (code, text) = said(&command.output().unwrap());
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("no node could be reached"), "{text}");
}

#[test]
fn a_node_that_hangs_is_connected_and_gives_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(&folder);
    node.process().unwrap().signal(Signal::SIGSTOP).unwrap();
    fails(
        &node,
        &["status", "--timeout", "1"],
        5,
        "connected, and no answer",
    );
    node.process().unwrap().signal(Signal::SIGCONT).unwrap();
}

#[test]
fn without_a_majority_the_reason_comes_in_time_and_the_code_is_5() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let file = cluster.folder().join("file");
    fs::write(&file, "some bytes").unwrap();
    let file = file.to_str().unwrap().to_owned();
    cluster.nodes[0]
        .ctl_ok(&["put", &file, "--name", "kept"])
        .unwrap();
    for index in [1, 2] {
        cluster.nodes[index].kill().unwrap();
    }
    let node = &cluster.nodes[0];
    let waited = "was waiting for";
    fails(node, &["name", "ls"], 5, waited);
    fails(node, &["name", "ls", "--timeout", "10"], 5, waited);
    fails(node, &["name", "ls", "--timeout", "2"], 5, waited);
    fails(node, &["name", "get", "kept", "--wait", "20"], 5, waited);
    fails(node, &["put", &file, "--name", "other"], 5, waited);
    fails(node, &["wait", "--ready", "--timeout", "1"], 5, "NO QUORUM");
}

#[test]
fn lost_bytes_are_6_wherever_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = alone(&folder);
    let id = node.ctl_ok(&["name", "get", "kept"]).unwrap();
    node.terminate().unwrap();
    node.start_again().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    fails(&node, &["get", "kept", "-o", out], 6, "lost");
    fails(&node, &["get", &id, "-o", "-"], 6, "lost");
    assert!(!std::path::Path::new(out).exists());
}

#[test]
fn a_wrong_password_is_said_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    // As `htpasswd -s` writes it: the SHA-1 of the word "right".
    fs::write(&users, "somebody:{SHA}0nofEXcSAJSXFLGvmfBIpBb11vQ=\n").unwrap();
    let plan = Plan {
        arguments: vec!["--htpasswd".to_owned(), users.to_str().unwrap().to_owned()],
        ..Plan::default()
    };
    let mut node = Node::planned(&folder.path().join("n"), plan).unwrap();
    node.launch().unwrap();
    let refused = wait::until("the node to refuse", Duration::from_secs(30), || {
        let (code, text) = said(&node.ctl(&["status"])?);
        Ok((code != 3).then_some((code, text)))
    });
    let (code, text) = refused.unwrap();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("Incorrect username or password"), "{text}");
    assert!(!text.contains("no node could be reached"), "{text}");
}

#[test]
fn an_interrupted_command_is_130() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(&folder);
    let mut command = Command::new(binary("vineyardctl").unwrap());
    command.args(["name", "get", "never", "--wait", "60", "--socket"]);
    command.arg(node.socket()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait::until("the command to wait", Duration::from_secs(30), || {
        Ok((node.figures()?["waiting"] == 1).then_some(()))
    })
    .unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let (code, text) = said(&child.wait_with_output().unwrap());
    assert_eq!((code, text.trim()), (130, "vineyardctl: interrupted"));
}
