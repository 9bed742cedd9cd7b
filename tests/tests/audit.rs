//! Who was refused stands in the log of the node that refused, once for each source and minute.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

const LOGGED_WITHIN: Duration = Duration::from_secs(20);
/// The user `ann` with the password `password`.
const PASSWORDS: &str = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
const GUESSES: usize = 30;

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.folder().join("log")).unwrap()
}

/// The lines with all of `words`, once there is one.
fn lines(node: &Node, words: &[&str]) -> Vec<String> {
    wait::until(&format!("{words:?} in the log"), LOGGED_WITHIN, || {
        let log = log(node);
        let said = log
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        let said: Vec<String> = said.map(str::to_owned).collect();
        Ok((!said.is_empty()).then_some(said))
    })
    .unwrap()
}

#[test]
fn a_refused_join_is_logged_by_the_node_that_refused_it() {
    let folder = tempfile::tempdir().unwrap();
    let founder = Node::start(&folder.path().join("0"), Plan::default()).unwrap();
    let (endpoint, token) = founder.invitation().unwrap();
    let (cluster, secret) = token.rsplit_once('.').unwrap();
    let other: String = secret.chars().rev().collect();
    for try_number in 1..=2 {
        let plan = Plan {
            join: Some((endpoint.clone(), format!("{cluster}.{other}"))),
            ..Plan::default()
        };
        let name = try_number.to_string();
        let mut joiner = Node::planned(&folder.path().join(name), plan).unwrap();
        joiner.launch().unwrap();
        lines(&joiner, &["refused this node", "secret"]);
    }
    let said = lines(
        &founder,
        &["WARN", "refused a node", "source=\"127.0.0.1\"", "secret"],
    );
    assert_eq!(said.len(), 1, "one line a minute: {said:#?}");
    // The one that may join is said too.
    let plan = Plan {
        join: Some((endpoint, token)),
        ..Plan::default()
    };
    let joiner = Node::start(&folder.path().join("3"), plan).unwrap();
    assert_eq!(
        lines(&founder, &["admitted a node", joiner.endpoint()]).len(),
        1
    );
}

#[test]
fn guessed_passwords_are_one_line_for_each_source() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    std::fs::write(&passwords, PASSWORDS).unwrap();
    let plan = Plan {
        arguments: vec![format!("--htpasswd={}", passwords.display())],
        ..Plan::default()
    };
    let mut node = Node::planned(&folder.path().join("0"), plan).unwrap();
    node.launch().unwrap();
    let ready = lines(&node, &["ready; to add a node"]).remove(0);
    let endpoint = ready
        .split_whitespace()
        .find_map(|word| word.strip_prefix("endpoint="))
        .context("no endpoint in the log")
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let register = |user: &str, password: &str| {
        json!({"type": "register_request", "version": "0.24.2", "store_type": 1,
            "session_id": 0, "username": user, "password": password})
    };
    for guess in 0..GUESSES {
        let mut tcp = Raw::tcp(&endpoint).unwrap();
        let reply = tcp
            .ask(&register(&format!("user{guess}"), "guess-tcp"))
            .unwrap();
        assert!(reply["code"].is_u64(), "{reply}");
        let mut unix = Raw::unix(&node.socket()).unwrap();
        let reply = unix.ask(&register("ann", "guess-unix")).unwrap();
        assert!(reply["code"].is_u64(), "{reply}");
    }
    let refused = "refused a login";
    let tcp = lines(&node, &[refused, "source=\"127.0.0.1\"", "user=\"user0\""]);
    let unix = lines(
        &node,
        &[refused, "source=\"the Unix socket\"", "user=\"ann\""],
    );
    assert_eq!((tcp.len(), unix.len()), (1, 1), "{tcp:#?} {unix:#?}");
    let log = log(&node);
    assert_eq!(log.matches(refused).count(), 2, "{log}");
    assert!(!log.contains("guess-"), "a password in the log: {log}");
    let mut ann = Raw::tcp(&endpoint).unwrap();
    let reply = ann.ask(&register("ann", "password")).unwrap();
    assert_eq!(reply["type"], "register_reply", "{reply}");
    assert!(node.terminate().unwrap().success());
}
