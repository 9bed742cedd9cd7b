//! A data directory that is missing, emptied, restored or copied is never taken for a new node in silence.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::json;
use vineyard_tests::binaries::binary;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::process::Process;
use vineyard_tests::wait;

use crate::ledger;

/// The protocol's code of what was not answered in time.
const IO_ERROR: u64 = 4;
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// Starts a node that is expected to end by itself with an error: what it said.
fn refused(args: &[&str]) -> String {
    // A node that starts after all is ended, and its exit code then says so.
    let output: Output = Command::new("timeout")
        .args(["--signal=TERM", "20"])
        .arg(binary("vineyardd").unwrap())
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{:?}: {said}",
        output.status
    );
    said
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// As `cp -a`.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

fn stop(node: &mut Node) {
    assert!(node.terminate().unwrap().success());
}

#[test]
fn a_directory_that_was_named_and_is_empty_founds_only_by_word() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, socket) = (folder.path().join("data"), folder.path().join("sock"));
    let start = ["--data-dir", &text(&dir), "--socket", &text(&socket)];
    let said = refused(&start);
    assert!(
        said.contains("--found") && said.contains(&text(&dir)),
        "{said}"
    );
    assert!(!dir.exists() && !socket.exists(), "nothing is made");
    fs::create_dir(&dir).unwrap();
    let said = refused(&start);
    assert!(said.contains("--found"), "{said}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing is made");
    let both = [
        &start[..],
        &["--found", "--join", "127.0.0.1:1", "--token", "t"],
    ]
    .concat();
    assert!(refused(&both).contains("--found and --join"));
}

#[test]
fn the_first_run_needs_no_word_where_no_directory_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let mut command = Command::new(binary("vineyardd").unwrap());
    command.arg("--socket").arg(&socket);
    command.args(["--listen", "127.0.0.1:0", "--size", "1M"]);
    let mut process = Process::start("alone", &mut command, &folder.path().join("log")).unwrap();
    wait::until("the node to serve", ENDS_WITHIN, || {
        process.check_running()?;
        ledger::connect(&socket).map(Some)
    })
    .unwrap();
    assert!(process.terminate(ENDS_WITHIN).unwrap().success());
    let said = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(said.contains("founding a new cluster"), "{said}");
}

#[test]
fn a_directory_of_which_a_part_is_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    stop(&mut node);
    let dir = node.data_dir();
    let away = folder.path().join("away");
    for (part, reason) in [("node.json", "node.json"), ("meta", "meta/ has no node")] {
        fs::rename(dir.join(part), &away).unwrap();
        for more in [&[][..], &["--found"]] {
            let said = refused(&[&["--data-dir", &text(&dir)], more].concat());
            assert!(said.contains(reason) && said.contains("missing"), "{said}");
        }
        if part == "meta" {
            fs::remove_dir_all(dir.join(part)).unwrap();
        }
        fs::rename(&away, dir.join(part)).unwrap();
        node.start_again().unwrap();
        stop(&mut node);
    }
}

#[test]
fn a_copy_is_refused_and_a_directory_that_was_moved_is_taken_by_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    let (dir, copied) = (node.data_dir(), folder.path().join("copy"));
    // Beside the running original, too.
    copy(&dir, &copied);
    let said = refused(&["--data-dir", &text(&copied)]);
    assert!(
        said.contains("is a copy") && said.contains("--moved"),
        "{said}"
    );
    fs::remove_dir_all(&copied).unwrap();
    stop(&mut node);
    copy(&dir, &copied);
    fs::remove_dir_all(&dir).unwrap();
    copy(&copied, &dir);
    let said = refused(&["--data-dir", &text(&dir)]);
    assert!(said.contains("is a copy"), "{said}");
    let mut moved = Command::new(binary("vineyardd").unwrap());
    moved.arg("--data-dir").arg(&dir).arg("--moved");
    let mut process = Process::start("moved", &mut moved, &folder.path().join("log")).unwrap();
    wait::until("the moved node to serve", ENDS_WITHIN, || {
        process.check_running()?;
        ledger::connect(&node.socket()).map(Some)
    })
    .unwrap();
    assert!(process.terminate(ENDS_WITHIN).unwrap().success());
    node.start_again().unwrap();
}

/// Puts the older state `saved` in the place of `dir`.
type PutBack = fn(saved: &Path, dir: &Path);

#[test]
fn a_restored_voter_undoes_no_acknowledged_name() {
    undoes_nothing(true, |saved, dir| {
        fs::remove_dir_all(dir).unwrap();
        fs::rename(saved, dir).unwrap();
    });
}

/// The usual way: over the files that are there.
#[test]
fn a_voter_restored_in_place_to_a_state_of_the_same_life_undoes_no_acknowledged_name() {
    undoes_nothing(false, |saved, dir| copy(&saved.join("."), dir));
}

/// `earlier_life`: the copy is of the life before the last one.
fn undoes_nothing(earlier_life: bool, put_back: PutBack) {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let saved = cluster.folder().join("saved");
    let dir = cluster.nodes[1].data_dir();
    if earlier_life {
        stop(&mut cluster.nodes[1]);
    }
    copy(&dir, &saved);
    if earlier_life {
        cluster.nodes[1].start_again().unwrap();
        cluster.wait_settled().unwrap();
    }
    cluster.nodes[2].kill().unwrap();
    let named = name_something(&cluster.nodes[0]).unwrap();

    cluster.nodes[0].kill().unwrap();
    cluster.nodes[1].kill().unwrap();
    put_back(&saved, &dir);
    cluster.nodes[2].start_again().unwrap();
    let said = refused(&["--data-dir", &text(&dir)]);
    assert!(said.contains("is a copy"), "{said}");
    // Nobody who knows the name is up: the one that does not must not deny it.
    let denied = name_of(&cluster.nodes[2]);
    assert!(matches!(denied, Err(Some(IO_ERROR))), "{denied:?}");

    cluster.nodes[0].start_again().unwrap();
    let found = wait::until("the name", ENDS_WITHIN, || {
        let found = name_of(&cluster.nodes[2]);
        found.map(Some).map_err(|code| anyhow!("code {code:?}"))
    });
    assert_eq!(found.unwrap(), named);
}

/// Persists an object and names it; returns its id.
fn name_something(node: &Node) -> Result<u64> {
    let mut connection = ledger::connect(&node.socket())?;
    let id = ledger::create(&mut connection, 1)?;
    ledger::succeed(
        &mut connection,
        &json!({"type": "persist_request", "id": id}),
    )?;
    let named = json!({"type": "put_name_request", "object_id": id, "name": "kept"});
    ledger::succeed(&mut connection, &named)?;
    Ok(id)
}

/// What the name points to, or the code of the refusal, if there was an answer.
fn name_of(node: &Node) -> Result<u64, Option<u64>> {
    let asked = json!({"type": "get_name_request", "name": "kept", "wait": false});
    let reply = ledger::connect(&node.socket()).and_then(|mut connection| connection.ask(&asked));
    let reply = reply.map_err(|_| None)?;
    match reply["code"].as_u64() {
        None | Some(0) => reply["object_id"].as_u64().ok_or(None),
        refused => Err(refused),
    }
}
