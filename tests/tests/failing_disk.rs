//! When the disk does not confirm, nobody is told that it did.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::preload;
use vineyard_tests::raw::Raw;

use crate::ledger;

/// Fails every way to make bytes durable while the file named by `FAIL_SYNC_WHILE` exists.
pub(crate) const PRELOADED: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <stddef.h>
#include <unistd.h>
static int refused(void) {
    const char *flag = getenv("FAIL_SYNC_WHILE");
    if (flag && access(flag, F_OK) == 0) { errno = EIO; return 1; }
    return 0;
}
int fdatasync(int fd) { (void)fd; return refused() ? -1 : 0; }
int fsync(int fd) { (void)fd; return refused() ? -1 : 0; }
int msync(void *at, size_t len, int flags) { (void)at; (void)len; (void)flags; return refused() ? -1 : 0; }
"#;
const TRIES: u64 = 2;

#[test]
fn nothing_is_acknowledged_while_fdatasync_fails() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("fail");
    let environment = vec![
        preload::compile(folder.path(), PRELOADED).unwrap(),
        ("FAIL_SYNC_WHILE".into(), flag.clone().into_os_string()),
    ];
    let plan = Plan {
        environment,
        ..Plan::default()
    };
    let mut node = Node::start(&folder.path().join("n"), plan).unwrap();

    let mut connection = ledger::connect(&node.socket()).unwrap();
    let kept = ledger::create(&mut connection, 1).unwrap();
    ledger::succeed(
        &mut connection,
        &json!({"type": "persist_request", "id": kept}),
    )
    .unwrap();
    let name = |connection: &mut Raw, name: &str| {
        let request = json!({"type": "put_name_request", "object_id": kept, "name": name});
        ledger::succeed(connection, &request)
    };
    name(&mut connection, "before").unwrap();

    fs::write(&flag, "").unwrap();
    for attempt in 0..TRIES {
        let refused = name(&mut connection, &format!("after-{attempt}"));
        assert!(
            refused.is_err(),
            "a name was acknowledged while the disk fails: {refused:?}"
        );
        let refused = persist_new(&node.socket(), attempt);
        assert!(
            refused.is_err(),
            "a persist was acknowledged while the disk fails: {refused:?}"
        );
        // The node may have ended or may have closed the connection: both are answers.
        if let Ok(again) = ledger::connect(&node.socket()) {
            connection = again;
        }
    }

    fs::remove_file(&flag).unwrap();
    node.kill().unwrap();
    node.start_again().unwrap();
    let mut connection = ledger::connect(&node.socket()).unwrap();
    let asked = json!({"type": "get_name_request", "name": "before", "wait": false});
    assert_eq!(
        ledger::succeed(&mut connection, &asked).unwrap()["object_id"],
        kept
    );
    name(&mut connection, "again").unwrap();
}

fn persist_new(socket: &Path, row: u64) -> Result<Value> {
    let mut connection = ledger::connect(socket)?;
    let id = ledger::create(&mut connection, row)?;
    ledger::succeed(
        &mut connection,
        &json!({"type": "persist_request", "id": id}),
    )
}
