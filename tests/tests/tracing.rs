//! One id follows a request through the logs of all nodes that have a part in it.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use vineyard_client::blocking::Client;
use vineyard_client::{GetOptions, Options, PutBlob, PutObject};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

const LOGGED_WITHIN: Duration = Duration::from_secs(10);

fn plan(arguments: &[&str]) -> Plan {
    Plan {
        arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        ..Plan::default()
    }
}

fn connect(node: &Node) -> Client {
    Client::connect_ipc(&node.socket().display().to_string(), &Options::default()).unwrap()
}

fn put(client: &Client, name: &str) -> vineyard_client::ObjectId {
    let tree = json!({"typename": "test::One", "b": {"typename": "vineyard::Blob", "inline": 0}});
    let put = PutObject {
        content: tree.as_object().unwrap().clone(),
        blobs: vec![PutBlob::Bytes(b"bytes")],
        persist: true,
        name: Some(name.to_owned()),
    };
    client.put_object(put).unwrap().id
}

/// The lines of the node's log that have `trace`, once one of them says each of `said`.
fn lines(node: &Node, trace: &str, said: &[&str]) -> Vec<Value> {
    let logged = wait::until(&format!("{said:?} of {trace}"), LOGGED_WITHIN, || {
        let log = fs::read_to_string(node.folder().join("log"))?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(trace)).collect();
        let is_said = |text: &&&str| lines.iter().any(|line| line.contains(**text));
        let missing: Vec<_> = said.iter().filter(|text| !is_said(text)).collect();
        ensure!(missing.is_empty(), "{missing:?} are not in {lines:#?}");
        Ok(Some(
            lines.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        ))
    });
    let parse = |line: String| serde_json::from_str(&line).unwrap();
    logged.unwrap().into_iter().map(parse).collect()
}

#[test]
fn a_put_with_persist_and_name_is_followed_from_the_client_over_the_follower_to_the_leader() {
    let verbose = plan(&[
        "--log=info,openraft=error,vineyard_node=debug,vineyard_raft=debug",
        "--log-format=json",
    ]);
    let cluster = Cluster::start(3, &verbose).unwrap();
    let leader = cluster.leader().unwrap();
    let follower = &cluster.nodes[(leader + 1) % 3];
    let client = connect(follower);
    let id = put(&client, "followed").to_string();
    let trace = client
        .last_trace()
        .expect("the node knows traces")
        .to_string();

    let here = lines(follower, &trace, &[&id, "forwarded", "answered"]);
    let answered = here
        .iter()
        .find(|line| line["fields"]["message"] == "answered");
    let answered = answered.expect("it was answered");
    let span = &answered["span"];
    assert_eq!(span["verb"], "put_object_request", "{answered}");
    assert!(
        span["session"].is_u64() && span["request"].is_u64(),
        "{answered}"
    );
    assert!(answered["fields"]["ms"].is_f64(), "{answered}");
    let there = lines(&cluster.nodes[leader], &trace, &["agreed"]);
    assert_eq!(there.len(), 1, "one entry: {there:#?}");
    assert_eq!(there[0]["fields"]["command"], "Publish");

    // The bytes of a remote object, the same way.
    let reader = connect(&cluster.nodes[(leader + 2) % 3]);
    let mut fetch = GetOptions::default();
    fetch.fetch = true;
    reader.get_object_named("followed", &fetch).unwrap();
    let moved = fs::read_to_string(follower.folder().join("log")).unwrap();
    let sent = moved
        .lines()
        .find(|line| line.contains("sending bytes to a node"));
    let sent: Value = serde_json::from_str(sent.expect("the follower has them")).unwrap();
    let trace = sent["fields"]["trace"].as_str().unwrap().to_owned();
    let asked = &cluster.nodes[(leader + 2) % 3];
    lines(asked, &trace, &["get_object_request", "answered"]);
}

#[test]
fn slow_requests_are_logged_once_with_what_they_waited_for_and_waits_that_were_asked_for_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let every = plan(&["--slow-request-ms=0", "--log-format=json"]);
    let node = Node::start(&folder.path().join("every"), every).unwrap();
    let client = connect(&node);
    put(&client, "slow");
    let trace = client.last_trace().unwrap().to_string();
    let slow = lines(&node, &trace, &["a request was slow"]);
    assert_eq!(slow.len(), 1, "{slow:#?}");
    let fields = &slow[0]["fields"];
    assert_eq!(fields["verb"], "put_object_request");
    let waited = fields["waited_for"].as_str().unwrap();
    assert!(waited.contains("the cluster to agree"), "{waited}");

    // At the default level: what the caller asked to wait does not count, and what it asked wrong is no failure.
    let quick = plan(&["--slow-request-ms=200", "--log-format=json"]);
    let node = Node::start(&folder.path().join("quick"), quick).unwrap();
    let mut raw = Raw::unix(&node.socket()).unwrap();
    raw.register().unwrap();
    let wait =
        json!({"type": "get_name_request", "name": "never", "wait": true, "timeout_ms": 600});
    assert_eq!(raw.ask(&wait).unwrap()["code"], 4);
    let wrong = json!({"type": "get_name_request", "name": "never", "wait": false});
    assert_eq!(raw.ask(&wrong).unwrap()["code"], 12);
    let vast = json!({"type": "create_buffer_request", "size": 1u64 << 40});
    assert_eq!(raw.ask(&vast).unwrap()["code"], 41);
    let log = wait::until("the failed request", LOGGED_WITHIN, || {
        let log = fs::read_to_string(node.folder().join("log"))?;
        ensure!(log.contains("create_buffer_request"), "not there yet");
        Ok(Some(log))
    });
    let log = log.unwrap();
    assert!(
        log.contains("a request failed") && !log.contains("a request was slow"),
        "{log}"
    );
    assert_eq!(
        log.matches("get_name_request").count(),
        0,
        "its own deadline passed: {log}"
    );
}
