//! Text from strangers reaches no terminal raw: names, types, errors and log lines show control characters escaped.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use vineyard_tests::binaries::binary;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::process::Process;
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

/// Clears a screen, forges a line, deletes, says CSI in one character, and turns the direction of what follows.
const EVIL: &str = "a\u{1b}[2J\nroot\t\u{7f}\u{9b}31m\u{202e}b\u{2028}\u{85}";
const ESCAPED: &str = "a\\u{1b}[2J\\u{a}root\\u{9}\\u{7f}\\u{9b}31m\\u{202e}b\\u{2028}\\u{85}";
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

fn start() -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    (folder, node)
}

/// A persisted object whose type and name are `EVIL`.
fn plant(node: &Node) {
    let mut raw = Raw::unix(&node.socket()).unwrap();
    let instance = raw.register().unwrap()["instance_id"].clone();
    let content = json!({"typename": EVIL, "instance_id": instance, "nbytes": 0, "global": false});
    let made = raw.ask(&json!({"type": "create_data_request", "content": content}));
    let id = made.unwrap()["id"].clone();
    for request in [
        json!({"type": "persist_request", "id": id}),
        json!({"type": "put_name_request", "object_id": id, "name": EVIL}),
    ] {
        let reply = raw.ask(&request).unwrap();
        assert!(reply.get("code").is_none(), "{reply}");
    }
}

/// What a terminal would get is harmless: no control characters but the ends of lines, none that turn text around.
fn is_harmless(what: &str, printed: &[u8]) -> String {
    let text = String::from_utf8(printed.to_vec()).unwrap();
    let is_bad = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c != '\n' && (c.is_control() || turns)
    };
    assert!(!text.contains(is_bad), "{what}: {text:?}");
    text
}

fn both(what: &str, output: &Output) -> (String, String) {
    (
        is_harmless(what, &output.stdout),
        is_harmless(what, &output.stderr),
    )
}

#[test]
fn the_command_line_prints_names_and_types_escaped() {
    let (_folder, node) = start();
    plant(&node);
    // `ls` ends with an empty line and a sum.
    for (verb, lines) in [(&["name", "ls"][..], 2), (&["ls"], 4)] {
        let (table, _) = both("table", &node.ctl(verb).unwrap());
        assert!(table.contains(ESCAPED), "{verb:?}: {table}");
        assert_eq!(table.lines().count(), lines, "{verb:?}: {table}");
        let json = node.ctl(&[verb, &["-o", "json"]].concat()).unwrap();
        let (json, _) = both("json", &json);
        let value: Value = serde_json::from_str(&json).unwrap();
        let names = match verb {
            ["ls"] => value[0]["names"][0].as_str(),
            _ => value.as_object().unwrap().keys().next().map(String::as_str),
        };
        assert_eq!(names, Some(EVIL), "the JSON still says exactly what it is");
    }
    let (removed, _) = both("rm", &node.ctl(&["name", "rm", EVIL]).unwrap());
    assert!(removed.contains(ESCAPED), "{removed}");
}

#[test]
fn the_command_line_prints_errors_escaped() {
    let (_folder, node) = start();
    for arguments in [
        &["name", "get", EVIL][..],
        &["name", "rm", EVIL],
        &["get", EVIL, "-o", "-"],
        &["rm", EVIL],
        &["rm", EVIL, EVIL],
        &["put", EVIL],
        &["ls", "--limit", EVIL],
        &["ls", "--wrong", EVIL],
        &["name", "ls", EVIL, "surplus\u{1b}[2J"],
    ] {
        let output = node.ctl(arguments).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let (_, complaint) = both(&format!("{arguments:?}"), &output);
        assert!(!complaint.is_empty(), "{arguments:?}");
    }
    let (_, complaint) = both("missing", &node.ctl(&["rm", EVIL]).unwrap());
    assert!(complaint.contains(ESCAPED), "{complaint}");
}

#[test]
fn the_log_prints_text_escaped_and_each_event_on_one_line() {
    let (folder, node) = start();
    let (_, token) = node.invitation().unwrap();
    let mut command = Command::new(binary("vineyardd").unwrap());
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.arg("--socket").arg(folder.path().join("sock"));
    command.args(["--listen", "127.0.0.1:0", "--token", &token]);
    command.args(["--join", &format!("{EVIL}:1")]);
    let log = folder.path().join("log");
    let _joins = Process::start("joins", &mut command, &log).unwrap();
    let logged = wait::until("a line about the address", LOGGED_WITHIN, || {
        let text = fs::read_to_string(&log)?;
        ensure!(text.contains("cannot reach the cluster"), "{text:?}");
        Ok(Some(text))
    });
    let text = is_harmless("log", logged.unwrap().as_bytes());
    let line = text.lines().find(|line| line.contains("cannot reach"));
    assert!(line.unwrap().contains(ESCAPED), "{text}");
}

#[test]
fn the_node_prints_errors_of_its_command_line_escaped() {
    for flag in [
        "--listen=",
        "--log=x=",
        "--",
        "--size=",
        "--flagfile=",
        "--htpasswd=",
    ] {
        let mut command = Command::new(binary("vineyardd").unwrap());
        let output = command.arg(format!("{flag}{EVIL}")).output().unwrap();
        assert!(!output.status.success(), "{flag}");
        let (_, complaint) = both(flag, &output);
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}
