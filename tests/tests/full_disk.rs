//! A node whose file system others fill up, and free again.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;
use serde_json::json;
use vineyard_tests::binaries::binary;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::skips::{skipped, works};
use vineyard_tests::{http, wait};

use crate::ledger;

const PIECE_BYTES: usize = 64 << 10;
/// Of the 16 MiB six are kept back.
const SHORT_BYTES: u64 = 3 << 20;
const SAID_WITHIN: Duration = Duration::from_secs(5);
/// What nobody is to read.
const INTERNALS: [&str; 3] = ["Os {", "LogId", "StorageError"];

/// A script that runs a node where `data_dir` is a file system of 16 MiB.
fn on_a_small_disk(folder: &Path, data_dir: &Path) -> PathBuf {
    let script = folder.join("on-a-small-disk");
    let (node, data) = (binary("vineyardd").unwrap(), data_dir.display());
    let mounted = format!("mount -t tmpfs -o size=16m,mode=0700 none '{data}'");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount sh -c \"{mounted} && exec '{}' \\\"\\$@\\\"\" sh \"$@\"\n",
        node.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn start_on_a_small_disk(folder: &Path) -> Node {
    let home = folder.join("n");
    let data = Node::planned(&home, Plan::default()).unwrap().data_dir();
    fs::create_dir(&data).unwrap();
    let plan = Plan {
        size: "16M".to_owned(),
        arguments: vec!["--found".to_owned()],
        before: Some(on_a_small_disk(folder, &data)),
        ..Plan::default()
    };
    Node::start(&home, plan).unwrap()
}

/// Fills the file system of `ballast` until no more than `left_bytes` are free.
fn fill(ballast: &Path, left_bytes: u64) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(ballast)?;
    loop {
        let found = statvfs(ballast)?;
        if found.blocks_available() * found.fragment_size() <= left_bytes {
            return Ok(());
        }
        match file.write(&[7; PIECE_BYTES]) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            written => drop(written?),
        }
    }
}

fn name(connection: &mut Raw, id: u64, name: &str) -> Result<()> {
    let request = json!({"type": "put_name_request", "object_id": id, "name": name});
    ledger::succeed(connection, &request).map(drop)
}

fn disk_check(node: &Node) -> Result<Option<String>> {
    let answer = http::get(node.endpoint(), "/readyz")?;
    let line = answer.body.lines().find(|line| line.contains("disk"));
    Ok(line.filter(|_| answer.status == 503).map(ToOwned::to_owned))
}

#[test]
fn a_full_disk_refuses_with_figures_and_goes_on_when_it_has_room() {
    let test = "a_full_disk_refuses_with_figures_and_goes_on_when_it_has_room";
    let unshared = works(&["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    let can = Uid::effective().is_root() && unshared;
    let needs = [("root and unshare (util-linux) with mount namespaces", can)];
    if skipped(test, &needs) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut node = start_on_a_small_disk(folder.path());
    let mut connection = ledger::connect(&node.socket()).unwrap();
    let kept = ledger::create(&mut connection, 1).unwrap();
    let persist = json!({"type": "persist_request", "id": kept});
    ledger::succeed(&mut connection, &persist).unwrap();
    name(&mut connection, kept, "before").unwrap();
    name(&mut connection, kept, "dropped").unwrap();

    // As the node sees it.
    let pid = node.process().unwrap().pid();
    let ballast = format!("/proc/{pid}/root{}/ballast", node.data_dir().display());
    let ballast = Path::new(&ballast);
    fill(ballast, SHORT_BYTES).unwrap();
    let mut names = 0..;
    let refused = wait::until("a name to be refused", SAID_WITHIN, || {
        let next = names.next().unwrap_or(0);
        Ok(name(&mut connection, kept, &format!("more {next}")).err())
    });
    let refused = refused.unwrap().to_string();
    assert!(
        refused.contains("MiB free, 6 MiB kept back on the file system of the data directory"),
        "{refused}"
    );
    let ready = wait::until("the check to say it", SAID_WITHIN, || disk_check(&node)).unwrap();
    assert!(ready.contains("6 MiB kept back"), "{ready}");
    let status = node.ctl_ok(&["status"]).unwrap();
    assert!(status.contains("is short of room"), "{status}");
    let events = wait::until("the event", SAID_WITHIN, || {
        let events = node.ctl_ok(&["events"])?;
        Ok(events.contains("is short of room").then_some(events))
    });
    let events = events.unwrap();

    // Not even one byte is left: what is there is read, and a name is dropped.
    fill(ballast, 0).unwrap();
    let read = json!({"type": "get_name_request", "name": "before", "wait": false});
    let found = ledger::succeed(&mut connection, &read).unwrap();
    assert_eq!(found["object_id"], kept);
    let drop_name = json!({"type": "drop_name_request", "name": "dropped"});
    ledger::succeed(&mut connection, &drop_name).unwrap();

    fs::remove_file(ballast).unwrap();
    wait::until("a name to be taken", SAID_WITHIN, || {
        name(&mut connection, kept, "after").map(Some)
    })
    .unwrap();
    wait::until("the check to pass", SAID_WITHIN, || {
        let answer = http::get(node.endpoint(), "/readyz")?;
        ensure!(answer.status == 200, "{}", answer.body);
        Ok(Some(()))
    })
    .unwrap();
    assert_eq!(node.process().unwrap().pid(), pid);
    let log = fs::read_to_string(node.folder().join("log")).unwrap();
    for text in [&refused, &ready, &status, &events, &log] {
        let internal = INTERNALS.iter().find(|internal| text.contains(**internal));
        assert_eq!(internal, None, "{text}");
    }
    assert!(node.terminate().unwrap().success());
}
