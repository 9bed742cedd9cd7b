//! What another user has put in a node's place is refused by name, and nobody else can read what a node writes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, chown};
use serde_json::{Value, json};
use vineyard_tests::binaries::binary;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::skips::skipped;

use crate::ledger;

/// `nobody`.
const OTHER: u32 = 65534;
/// A record of more than this stands in a file of its own.
const LARGE_RECORD: usize = 256 << 10;

fn give_away(path: &Path) {
    chown(path, Some(Uid::from_raw(OTHER)), Some(Gid::from_raw(OTHER))).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Starts a node that is expected to refuse `path`: it says so, and leaves everything as it is.
fn is_refused(args: &[String], path: &Path) {
    let output = Command::new("timeout")
        .args(["--signal=TERM", "20"])
        .arg(binary("vineyardd").unwrap())
        .args(["--listen", "127.0.0.1:0", "--size", "1M"])
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ended = matches!(output.status.code(), Some(1 | 2));
    let named = said.contains(&path.display().to_string());
    assert!(ended && named, "{path:?}, {:?}: {said}", output.status);
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[test]
fn another_users_files_are_refused_by_name() {
    let root = nix::unistd::geteuid().is_root();
    if skipped("another_users_files_are_refused_by_name", &[("root", root)]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o1777);
    let at = |name: &str| folder.path().join(name);
    let socket = flag("socket", &at("sock"));
    let starts = |dir: &Path| [flag("data-dir", dir), socket.clone(), "--found".to_owned()];

    for mode in [0o700, 0o777] {
        let planted = at(&format!("planted-{mode:o}"));
        fs::create_dir(&planted).unwrap();
        set_mode(&planted, mode);
        give_away(&planted);
        is_refused(&starts(&planted), &planted);
        assert_eq!(
            fs::read_dir(&planted).unwrap().count(),
            0,
            "nothing is written"
        );
        let below = planted.join("data");
        is_refused(&starts(&below), &planted);
    }
    // As finding 3: beside the socket, where a node looks for it by itself.
    give_away_beside(&at("sock"));
    let beside = at("sock.data");
    is_refused(std::slice::from_ref(&socket), &beside);

    let (real, link) = (at("real"), at("link"));
    fs::create_dir(&real).unwrap();
    set_mode(&real, 0o700);
    symlink(&real, &link).unwrap();
    is_refused(&starts(&link), &link);

    let open = at("open");
    fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    is_refused(&starts(&open.join("data")), &open);
    let in_the_open = flag("socket", &open.join("sock"));
    let closed = flag("data-dir", &at("closed"));
    is_refused(&[closed, in_the_open, "--found".to_owned()], &open);
}

/// What another user would make before the first start of a node.
fn give_away_beside(socket: &Path) {
    let mut beside = socket.as_os_str().to_owned();
    beside.push(".data");
    let beside = Path::new(&beside);
    fs::create_dir(beside).unwrap();
    set_mode(beside, 0o700);
    give_away(beside);
}

#[test]
fn a_file_in_the_data_directory_that_is_not_the_nodes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    assert!(node.terminate().unwrap().success());
    let link = node.data_dir().join("meta/blobs/link");
    fs::create_dir_all(node.data_dir().join("meta/blobs")).unwrap();
    symlink("/etc/hostname", &link).unwrap();
    is_refused(&[flag("data-dir", &node.data_dir())], &link);
    fs::remove_file(&link).unwrap();
    node.start_again().unwrap();
}

#[test]
fn every_file_is_for_the_nodes_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    persist_large(&node);
    assert_private(&node.data_dir());
    assert!(node.terminate().unwrap().success());
    // As an earlier build left them.
    let meta = node.data_dir().join("meta");
    set_mode(&meta, 0o755);
    set_mode(&meta.join("journal"), 0o644);
    node.start_again().unwrap();
    assert_private(&node.data_dir());
    let mode = fs::metadata(node.socket()).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o660, "who may connect is said by --socket-mode");
}

fn persist_large(node: &Node) {
    let mut connection = ledger::connect(&node.socket()).unwrap();
    let content: Value = json!({"typename": "test::Large", "nbytes": 0, "global": false,
        "transient": true, "instance_id": node.instance(), "text": "x".repeat(LARGE_RECORD)});
    let made = json!({"type": "create_data_request", "content": content});
    let made = ledger::succeed(&mut connection, &made).unwrap();
    let persist = json!({"type": "persist_request", "id": made["id"]});
    ledger::succeed(&mut connection, &persist).unwrap();
}

fn assert_private(path: &Path) {
    let found = fs::symlink_metadata(path).unwrap();
    if found.is_symlink() {
        return; // Whose it is matters, and it has no mode of its own.
    }
    assert_eq!(
        found.mode() & 0o077,
        0,
        "{path:?} is open: {:o}",
        found.mode()
    );
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            assert_private(&entry.unwrap().path());
        }
    }
}

#[test]
fn a_token_comes_from_a_file_of_its_own_user() {
    let root = nix::unistd::geteuid().is_root();
    if skipped(
        "a_token_comes_from_a_file_of_its_own_user",
        &[("root", root)],
    ) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let founder = Node::start(&folder.path().join("a"), Plan::default()).unwrap();
    let (endpoint, token) = founder.invitation().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let joins = |file: &Path| {
        let dir = flag("data-dir", &folder.path().join("b"));
        let socket = flag("socket", &folder.path().join("sock"));
        [
            dir,
            socket,
            format!("--join={endpoint}"),
            flag("token-file", file),
        ]
    };
    set_mode(&file, 0o644);
    is_refused(&joins(&file), &file);
    set_mode(&file, 0o600);
    give_away(&file);
    is_refused(&joins(&file), &file);
    chown(&file, Some(Uid::from_raw(0)), None).unwrap();
    let link = folder.path().join("link");
    symlink(&file, &link).unwrap();
    is_refused(&joins(&link), &link);
    let plan = Plan {
        join: Some((endpoint.clone(), String::new())),
        environment: vec![
            ("VINEYARD_TOKEN".into(), "".into()),
            ("VINEYARD_TOKEN_FILE".into(), file.into_os_string()),
        ],
        ..Plan::default()
    };
    let joined = Node::start(&folder.path().join("c"), plan).unwrap();
    assert_eq!(joined.invitation().unwrap().1, token);
}
