//! Probes over HTTP on the port of clients and nodes: what they say is so, and they take nothing from the others.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::http::{self, Answer};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

const CHECKS: [&str; 7] = [
    "joined",
    "registered",
    "caught_up",
    "quorum",
    "raft",
    "disk",
    "draining",
];
const NO_QUORUM_SAID_WITHIN: Duration = Duration::from_secs(3);
const QUORUM_BACK_WITHIN: Duration = Duration::from_secs(5);
/// Within this time no answer is no answer.
const SILENT_FOR: Duration = Duration::from_secs(2);
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
const CLOSED_WITHIN: Duration = Duration::from_secs(12);
const IDLE: usize = 1000;
const SERVED_WITHIN: Duration = Duration::from_secs(2);
const GONE_WITHIN: Duration = Duration::from_secs(20);

fn start(arguments: &[&str]) -> (TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        ..Plan::default()
    };
    let node = Node::start(&folder.path().join("n"), plan).unwrap();
    (folder, node)
}

fn get(node: &Node, path: &str) -> Answer {
    http::get(node.endpoint(), path).unwrap()
}

#[test]
fn a_node_that_is_well_says_so_and_refuses_the_rest() {
    let (_folder, node) = start(&["--http-host=probe.example"]);
    let health = get(&node, "/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert!(
        health.head.contains("x-content-type-options: nosniff"),
        "{health:?}"
    );
    // It serves its socket a moment before the cluster has registered it.
    becomes(&node, "/readyz", 200, &["ready"], QUORUM_BACK_WITHIN);
    let ready = get(&node, "/readyz?verbose");
    assert_eq!(ready.status, 200, "{ready:?}");
    for check in CHECKS {
        assert!(ready.body.contains(&format!("[+]{check} ok")), "{ready:?}");
    }
    let ask = |method, path, host: &str| http::ask(node.endpoint(), method, path, host).unwrap();
    let head = ask("HEAD", "/healthz", "localhost");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let post = ask("POST", "/healthz", "localhost");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{post:?}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask("GET", path, "evil.example").status, 421);
        assert_eq!(ask("GET", path, "probe.example:80").status, 200);
    }
    assert_eq!(get(&node, "/").status, 404);
    let unknown = get(&node, "/readyz?exclude=quorm");
    assert!(
        unknown.status == 400 && unknown.body.contains("quorum"),
        "{unknown:?}"
    );
    // The port still speaks the other protocols.
    Raw::tcp(node.endpoint()).unwrap().register().unwrap();
}

#[test]
fn a_node_without_http_closes_such_connections_also_after_a_restart() {
    let (_folder, mut node) = start(&["--http=off"]);
    for _ in 0..2 {
        assert!(http::get(node.endpoint(), "/healthz").is_err());
        Raw::tcp(node.endpoint()).unwrap().register().unwrap();
        node.terminate().unwrap();
        node.plan_mut().arguments.clear();
        node.start_again().unwrap();
    }
}

/// Asks until the answer has `status` and says all of `words`, and returns how long that took.
fn becomes(node: &Node, path: &str, status: u16, words: &[&str], within: Duration) -> Duration {
    let asked = Instant::now();
    wait::until(&format!("{status} from {path}"), within, || {
        let answer = http::get(node.endpoint(), path)?;
        let as_expected =
            answer.status == status && words.iter().all(|word| answer.body.contains(word));
        ensure!(as_expected, "{answer:?}");
        Ok(Some(()))
    })
    .unwrap();
    asked.elapsed()
}

#[test]
fn a_lost_majority_makes_a_node_not_ready_and_leaves_it_healthy() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let leader = cluster.leader().unwrap();
    // Once the leader stays, once a follower.
    for stays in [leader, (leader + 1) % 3] {
        let others = [(stays + 1) % 3, (stays + 2) % 3];
        becomes(
            &cluster.nodes[stays],
            "/readyz",
            200,
            &["ready"],
            QUORUM_BACK_WITHIN,
        );
        for index in others {
            cluster.nodes[index].kill().unwrap();
        }
        let node = &cluster.nodes[stays];
        let lost = becomes(node, "/readyz", 503, &["[-]quorum"], NO_QUORUM_SAID_WITHIN);
        assert_eq!(get(node, "/healthz").status, 200);
        let rest = get(node, "/readyz?exclude=quorum");
        assert_eq!(rest.status, 200, "all else is well: {rest:?}");
        for index in others {
            cluster.nodes[index].launch().unwrap();
        }
        for index in others {
            cluster.nodes[index].wait_ready().unwrap();
        }
        let back = becomes(
            &cluster.nodes[stays],
            "/readyz",
            200,
            &["ready"],
            QUORUM_BACK_WITHIN,
        );
        println!("503 after {lost:?}, 200 {back:?} after the return");
        cluster.wait_settled().unwrap();
    }
}

#[test]
fn a_stopped_process_answers_nothing_and_goes_on_where_it_was() {
    let (_folder, node) = start(&[]);
    node.process().unwrap().signal(Signal::SIGSTOP).unwrap();
    let mut probe = TcpStream::connect(node.endpoint()).unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", node.endpoint());
    probe.write_all(head.as_bytes()).unwrap();
    probe.set_read_timeout(Some(SILENT_FOR)).unwrap();
    let silence = probe.read(&mut [0]).unwrap_err().kind();
    assert!(
        matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{silence}"
    );
    node.process().unwrap().signal(Signal::SIGCONT).unwrap();
    assert_eq!(http::answer(&mut probe).unwrap().status, 200);
}

#[test]
fn a_head_that_does_not_end_and_one_that_is_too_long_are_closed() {
    let (_folder, node) = start(&[]);
    let mut slow = TcpStream::connect(node.endpoint()).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        .unwrap();
    let begun = Instant::now();
    slow.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    wait::until("the end of a slow connection", CLOSED_WITHIN, || {
        // Each byte is progress, and the deadline is for the whole head.
        let sent = slow.write_all(b"x");
        Ok(match (sent, slow.read(&mut [0; 512])) {
            (Err(_), _) | (_, Ok(0)) => Some(()),
            (_, Err(error)) if error.kind() == ErrorKind::ConnectionReset => Some(()),
            _ => None,
        })
    })
    .unwrap();
    let lasted = begun.elapsed();
    assert!(
        lasted >= HEADER_DEADLINE - Duration::from_millis(500),
        "{lasted:?}"
    );

    let mut long = TcpStream::connect(node.endpoint()).unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    // It may be closed before all of it is sent.
    let refused = long.write_all(head.as_bytes()).is_err()
        || http::answer(&mut long).is_ok_and(|answer| answer.status == 431)
        || long.read(&mut [0]).is_err();
    assert!(refused);
    assert_eq!(get(&node, "/healthz").status, 200);
}

fn asks(client: &mut Raw) -> Result<Duration> {
    let asked = Instant::now();
    let reply = client.ask(&json!({"type": "instance_status_request"}))?;
    ensure!(reply["type"] == "instance_status_reply", "{reply}");
    Ok(asked.elapsed())
}

#[test]
fn a_thousand_connections_that_only_begin_take_nothing_from_clients() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let (_folder, node) = start(&[]);
    let mut old = Raw::tcp(node.endpoint()).unwrap();
    old.register().unwrap();
    let before = node.figures().unwrap()["open_fds"].as_u64().unwrap();
    let begun = |_| {
        let mut stream = TcpStream::connect(node.endpoint()).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        stream
    };
    let idle: Vec<TcpStream> = (0..IDLE).map(begun).collect();
    let mut longest = asks(&mut old).unwrap();
    for dial in [Raw::tcp(node.endpoint()), Raw::unix(&node.socket())] {
        let mut new = dial.unwrap();
        new.register().unwrap();
        longest = longest.max(asks(&mut new).unwrap());
    }
    assert!(longest < SERVED_WITHIN, "{longest:?}");
    let asked = Instant::now();
    assert_eq!(get(&node, "/healthz").status, 200);
    println!(
        "beside {IDLE} idle: a client {longest:?}, a probe {:?}",
        asked.elapsed()
    );
    assert!(asked.elapsed() < SERVED_WITHIN, "{:?}", asked.elapsed());
    drop(idle);
    wait::until("the descriptors of before", GONE_WITHIN, || {
        let now = node.figures()?["open_fds"].as_u64();
        ensure!(
            now.is_some_and(|now| now <= before),
            "{now:?}, before {before}"
        );
        Ok(Some(()))
    })
    .unwrap();
}
