//! Signals that a node does not act on, and what removes the file of its socket.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

/// The node looks every 2 s.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);
const AGAIN: &str = "listening there again";
const CANNOT: &str = "no new client can connect";

fn start() -> (TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    (folder, node)
}

fn said(node: &Node, words: &str) -> usize {
    let log = std::fs::read_to_string(node.folder().join("log")).unwrap();
    log.matches(words).count()
}

fn wait_said(node: &Node, words: &str) {
    let said = || Ok((said(node, words) > 0).then_some(()));
    wait::until(words, NOTICED_WITHIN, said).unwrap();
}

fn wait_served(node: &Node) {
    let served = || -> Result<_> { Raw::unix(&node.socket())?.register().map(Some) };
    wait::until("new clients to be served", NOTICED_WITHIN, served).unwrap();
}

fn asks(client: &mut Raw) {
    let status = json!({"type": "instance_status_request"});
    let reply = client.ask(&status).unwrap();
    assert_eq!(reply["type"], "instance_status_reply", "{reply}");
}

#[test]
fn a_closed_terminal_and_mistaken_signals_end_no_node() {
    let (_folder, mut node) = start();
    let mut client = Raw::unix(&node.socket()).unwrap();
    client.register().unwrap();
    let blob = client.create_sealed_blob(4096).unwrap();
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        node.process().unwrap().signal(signal).unwrap();
        wait_said(&node, &format!("signal=\"{signal}\""));
    }
    asks(&mut client);
    let held = client
        .ask(&json!({"type": "get_buffers_request", "ids": [blob], "num": 1, "unsafe": false}))
        .unwrap();
    assert_eq!(held["num"], 1, "{held}");
    assert!(node.terminate().unwrap().success());
    assert!(!node.socket().exists());
}

#[test]
fn a_removed_socket_file_is_there_again_and_says_so_once() {
    let (_folder, mut node) = start();
    let mut client = Raw::unix(&node.socket()).unwrap();
    client.register().unwrap();
    std::fs::remove_file(node.socket()).unwrap();
    wait_served(&node);
    asks(&mut client);
    wait_said(&node, AGAIN);
    assert_eq!((said(&node, AGAIN), said(&node, CANNOT)), (1, 0));
    assert!(node.terminate().unwrap().success());
    assert!(!node.socket().exists(), "a clean stop removes the new file");
}

#[test]
fn a_socket_that_another_process_took_is_left_to_it_until_it_goes() {
    let (_folder, node) = start();
    let moved: PathBuf = node.folder().join("moved");
    std::fs::rename(node.socket(), &moved).unwrap();
    let other = UnixListener::bind(node.socket()).unwrap();
    wait_said(&node, CANNOT);
    assert_eq!(said(&node, AGAIN), 0);
    // Its file stays behind, stale.
    drop(other);
    wait_served(&node);
    wait_said(&node, AGAIN);
    assert_eq!((said(&node, AGAIN), said(&node, CANNOT)), (1, 1));
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let (_folder, node) = start();
    std::fs::remove_file(node.socket()).unwrap();
    std::fs::write(node.socket(), "precious").unwrap();
    wait_said(&node, CANNOT);
    assert_eq!(std::fs::read_to_string(node.socket()).unwrap(), "precious");
    std::fs::remove_file(node.socket()).unwrap();
    wait_served(&node);
}
