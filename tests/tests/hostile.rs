//! Whatever a client sends, and however it ends, the node answers or closes, and keeps nothing of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vineyard_client::{Options, blocking};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::{Answer, Raw, frame};
use vineyard_tests::wait;
use vineyard_wire::limits::PATTERN_BYTES_MAX;

/// What must be as before once the last client is gone.
const FIGURES: [&str; 6] = [
    "references",
    "unsealed",
    "waiting",
    "ipc_connections",
    "rpc_connections",
    "open_fds",
];
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(5);
/// The node's limit, and time for it to be noticed.
const STALL_MAX: Duration = Duration::from_secs(30);
const STALLED_WITHIN: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 10_000;
/// Connections open at the same time; below what one process may have.
const AT_ONCE: usize = 200;
const BLOB_BYTES: u64 = 1 << 20;
const NESTING: usize = 100_000;
/// In one request; more than two million are refused before they are decoded.
const OBJECTS: usize = 2_000_000;
/// While the last of such a request is read, that many may be answered in any case: what the socket holds is read at
/// most 64 KiB at a time.
const MEANWHILE_MIN: usize = 12;
const UNREGISTERED_BYTES_MAX: usize = 64 << 10;

type Dial = fn(&Node) -> Result<Raw>;
const DIALS: [(&str, Dial); 2] = [
    ("unix", |node| Raw::unix(&node.socket())),
    ("tcp", |node| Raw::tcp(node.endpoint())),
];

fn start() -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("n"), Plan::default()).unwrap();
    (folder, node)
}

/// The figures at rest, after a first client of each kind has come and gone.
fn at_rest(node: &Node) -> Value {
    for (_, dial) in DIALS {
        let mut raw = dial(node).unwrap();
        raw.register().unwrap();
        raw.ask(&json!({"type": "cluster_meta"})).unwrap();
    }
    let quiet = json!({"references": 0, "unsealed": 0, "waiting": 0});
    let settled = wait::until("a node at rest", FORGOTTEN_WITHIN, || {
        let now = figures(node)?;
        let rests = ["references", "unsealed", "waiting"]
            .iter()
            .all(|key| now[*key] == quiet[*key]);
        Ok((rests && figures(node)? == now).then_some(now))
    });
    settled.unwrap()
}

fn figures(node: &Node) -> Result<Value> {
    let all = node.figures()?;
    let some = FIGURES.map(|key| (key.to_owned(), all[key].clone()));
    ensure!(
        some.iter().all(|(_, value)| value.is_u64()),
        "missing figures in {all}"
    );
    Ok(Value::Object(some.into_iter().collect()))
}

fn forgets_all(node: &Node, before: &Value) {
    let same = wait::until("the figures of before", FORGOTTEN_WITHIN, || {
        let now = figures(node)?;
        ensure!(now == *before, "now {now}, before {before}");
        Ok(Some(()))
    });
    same.unwrap();
}

#[test]
fn frames_that_lie_about_their_length_are_closed() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    let announced = [1_u64 << 63, u64::MAX, (256 << 20) + 1, 1 << 40];
    for (name, dial) in DIALS {
        for registered in [true, false] {
            for length in announced {
                let mut raw = dial(&node).unwrap();
                if registered {
                    raw.register().unwrap();
                }
                raw.send(&length.to_le_bytes()).unwrap();
                // The body need not follow; a node that waits for it would wait for ever.
                let answer = closed_at_last(&mut raw);
                answer
                    .with_context(|| format!("{name}, {length:#x}, registered {registered}"))
                    .unwrap();
            }
        }
    }
    forgets_all(&node, &before);
}

#[test]
fn frames_that_end_too_early_are_closed() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    let whole = frame(br#"{"type":"instance_status_request"}"#);
    for (name, dial) in DIALS {
        for registered in [true, false] {
            for sent in [1, 4, 7, 8, 9, whole.len() - 1] {
                let mut raw = dial(&node).unwrap();
                if registered {
                    raw.register().unwrap();
                }
                raw.send(&whole[..sent]).unwrap();
                raw.finish().unwrap();
                closed_at_last(&mut raw)
                    .with_context(|| format!("{name}, {sent} bytes"))
                    .unwrap();
            }
        }
    }
    forgets_all(&node, &before);
}

/// Reads replies, which must be refusals, until the node closes.
fn closed_at_last(raw: &mut Raw) -> Result<()> {
    loop {
        match raw.answer()? {
            Answer::Closed => return Ok(()),
            Answer::Reply(reply) => ensure!(reply["code"].is_u64(), "accepted: {reply}"),
        }
    }
}

#[test]
fn a_request_that_stops_half_way_ends_its_session() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    let whole = frame(br#"{"type":"instance_status_request"}"#);
    let half = |(_, dial): &(&str, Dial)| {
        let mut raw = dial(&node).unwrap();
        raw.register().unwrap();
        raw.send(&whole[..whole.len() / 2]).unwrap();
        raw
    };
    let begun = Instant::now();
    let halves: Vec<Raw> = DIALS.iter().map(half).collect();
    // One that is idle between two requests stays.
    let mut idle = Raw::unix(&node.socket()).unwrap();
    idle.register().unwrap();
    for mut raw in halves {
        let told = wait::until("why it is closed", STALLED_WITHIN, || {
            raw.answer().map(Some)
        });
        match told.unwrap() {
            Answer::Reply(reply) => {
                let message = reply["message"].as_str().unwrap_or_default();
                assert!(message.contains("nothing more of a request"), "{reply}");
            }
            Answer::Closed => panic!("it was closed without a reason"),
        }
        closed_at_last(&mut raw).unwrap();
    }
    assert!(begun.elapsed() >= STALL_MAX, "{:?}", begun.elapsed());
    idle.ask(&json!({"type": "instance_status_request"}))
        .unwrap();
    drop(idle);
    forgets_all(&node, &before);
}

fn nonsense() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "\"text\"",
        "{",
        "{\"type\"",
        "\u{0}\u{1}",
        "{\"type\":5}",
        "{\"type\":null}",
        "{\"type\":\"no_such_request\"}",
        "{\"type\":[\"register_request\"]}",
    ];
    let requests = [
        json!({"type": "create_buffer_request"}),
        json!({"type": "create_buffer_request", "size": -1}),
        json!({"type": "create_buffer_request", "size": "many"}),
        json!({"type": "create_buffer_request", "size": u64::MAX}),
        json!({"type": "create_buffers_request", "sizes": [u64::MAX, u64::MAX], "num": 2}),
        json!({"type": "create_buffers_request", "sizes": 5}),
        json!({"type": "create_remote_buffer_request", "size": u64::MAX}),
        json!({"type": "seal_request", "object_id": "o1"}),
        json!({"type": "seal_request", "object_id": u64::MAX - 1}),
        json!({"type": "get_buffers_request", "num": 18_446_744_073_709_551_615_u64}),
        json!({"type": "get_data_request", "id": 5}),
        json!({"type": "get_data_request", "id": ["5"]}),
        json!({"type": "create_data_request", "content": []}),
        json!({"type": "create_data_request", "content": {"typename": 5, "instance_id": 0}}),
        json!({"type": "create_data_request", "content": {"typename": "t", "instance_id": 0, "m": {}}}),
        json!({"type": "create_data_request", "content": {"typename": "t", "instance_id": 0, "m": {"id": "x"}}}),
        json!({"type": "persist_request", "id": 1.5}),
        json!({"type": "persist_request", "id": 1}),
        json!({"type": "put_name_request", "object_id": 1, "name": 7}),
        json!({"type": "put_name_request", "object_id": 1, "name": "x"}),
        json!({"type": "get_name_request", "name": {}, "wait": "no"}),
        json!({"type": "release_request", "object_id": 77}),
        json!({"type": "migrate_object_request", "object_id": 77}),
        json!({"type": "list_data_request", "pattern": 1, "limit": -1}),
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend(
        requests
            .iter()
            .map(|request| request.to_string().into_bytes()),
    );
    all.push(vec![0xff; 1000]);
    all.push(vec![b'['; NESTING]);
    all.push(b"{\"a\":".repeat(NESTING));
    all
}

#[test]
fn nonsense_is_refused_and_the_connection_goes_on() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    for (name, dial) in DIALS {
        for registered in [true, false] {
            let mut raw = dial(&node).unwrap();
            if registered {
                raw.register().unwrap();
            }
            for body in nonsense() {
                // Who has not registered is closed over a long frame, with a reason: the node's own tests see to that.
                if !registered && body.len() > UNREGISTERED_BYTES_MAX {
                    continue;
                }
                let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
                let what = format!("{name}, registered {registered}: {shown}");
                raw.send(&frame(&body))
                    .with_context(|| what.clone())
                    .unwrap();
                match raw.answer().with_context(|| what.clone()).unwrap() {
                    Answer::Reply(reply) => {
                        assert!(
                            reply["code"].as_u64().is_some_and(|code| code > 0),
                            "{what}: {reply}"
                        );
                        assert!(reply["message"].is_string(), "{what}: {reply}");
                    }
                    Answer::Closed => panic!("{what}: closed"),
                }
            }
            raw.register().unwrap();
            let status = raw
                .ask(&json!({"type": "instance_status_request"}))
                .unwrap();
            assert_eq!(status["type"], "instance_status_reply", "{name}");
        }
    }
    forgets_all(&node, &before);
}

/// The others are answered while it is decoded.
#[test]
fn a_huge_request_holds_nobody_up() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    let list = vec!["{}"; OBJECTS].join(",");
    let huge = format!(r#"{{"type":"exists_request","id":1,"junk":[{list}]}}"#);
    let mut slow = Raw::unix(&node.socket()).unwrap();
    slow.register().unwrap();
    let mut quick = Raw::unix(&node.socket()).unwrap();
    quick.register().unwrap();
    slow.send(&frame(huge.as_bytes())).unwrap();
    let answered = std::sync::atomic::AtomicBool::new(false);
    let mut meanwhile = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reply = slow.answer();
            answered.store(true, std::sync::atomic::Ordering::SeqCst);
            assert!(matches!(reply.unwrap(), Answer::Reply(reply) if reply["exists"] == false));
        });
        while !answered.load(std::sync::atomic::Ordering::SeqCst) {
            quick
                .ask(&json!({"type": "exists_request", "id": 1}))
                .unwrap();
            meanwhile += 1;
        }
    });
    assert!(
        meanwhile > MEANWHILE_MIN,
        "only {meanwhile} were answered meanwhile"
    );
    drop((slow, quick));
    forgets_all(&node, &before);
}

#[test]
fn a_pattern_that_is_too_long_is_refused_with_both_figures() {
    let (_folder, node) = start();
    let socket = node.socket().to_string_lossy().into_owned();
    let client = blocking::Client::connect_ipc(&socket, &Options::default()).unwrap();
    let long = "a".repeat(PATTERN_BYTES_MAX + 1);
    let refused = [
        client.list_names(&long, true, 1).map(drop).unwrap_err(),
        client.list_metadatas(&long, true, 1).map(drop).unwrap_err(),
    ];
    for told in refused {
        let told = told.to_string();
        assert!(
            told.contains("16384 bytes, and this one has 16385"),
            "{told}"
        );
    }
    client.list_names(&long[1..], true, 1).unwrap();
    client.list_metadatas(&long[1..], true, 1).unwrap();
}

#[test]
fn strangers_on_the_tcp_port_are_closed() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    let mut long = b"vypeer1\n".to_vec();
    long.extend_from_slice(&(1_u64 << 63).to_le_bytes());
    let strangers: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"vypeer1\nvypeer1\nvypeer1\nvypeer1\n",
        &long,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0xff; 4096],
    ];
    for stranger in strangers {
        let mut raw = Raw::tcp(node.endpoint()).unwrap();
        raw.send(stranger).unwrap();
        raw.finish().unwrap();
        raw.read_to_close()
            .with_context(|| String::from_utf8_lossy(stranger).into_owned())
            .unwrap();
    }
    forgets_all(&node, &before);
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let (_folder, node) = start();
    let before = at_rest(&node);
    for (_, dial) in DIALS {
        for _ in 0..CONNECTIONS / DIALS.len() / AT_ONCE {
            let connections: Result<Vec<Raw>> = (0..AT_ONCE).map(|_| dial(&node)).collect();
            drop(connections.unwrap());
        }
    }
    forgets_all(&node, &before);
    let mut raw = Raw::unix(&node.socket()).unwrap();
    assert_eq!(raw.register().unwrap()["type"], "register_reply");
}

#[test]
fn clients_that_die_leak_nothing() {
    let (_folder, node) = start();
    let mut keeper = Raw::unix(&node.socket()).unwrap();
    keeper.register().unwrap();
    let kept = keeper.create_sealed_blob(BLOB_BYTES).unwrap();
    drop(keeper);
    let before = at_rest(&node);
    let mut held = Vec::new();
    for (name, dial) in DIALS {
        for act in [hold, create, wait_for_a_name, send_half, read_nothing] {
            let mut raw = dial(&node).unwrap();
            raw.register().unwrap();
            act(&mut raw, kept)
                .with_context(|| name.to_owned())
                .unwrap();
            held.push(raw);
        }
    }
    let busy = wait::until("the node to notice", FORGOTTEN_WITHIN, || {
        let now = figures(&node)?;
        let waits = now["waiting"].as_u64() >= Some(2) && now["unsealed"].as_u64() >= Some(1);
        ensure!(waits && now["references"].as_u64() >= Some(1), "{now}");
        Ok(Some(()))
    });
    busy.unwrap();
    drop(held);
    forgets_all(&node, &before);
}

fn hold(raw: &mut Raw, blob: u64) -> Result<()> {
    if let Raw::Unix(_) = raw {
        raw.create_sealed_blob(BLOB_BYTES)?;
    }
    raw.send(&request(
        &json!({"type": "get_buffers_request", "num": 1, "0": blob, "unsafe": false}),
    ))
}

fn create(raw: &mut Raw, _: u64) -> Result<()> {
    if let Raw::Unix(_) = raw {
        raw.create_blob(BLOB_BYTES)?;
    }
    Ok(())
}

fn wait_for_a_name(raw: &mut Raw, _: u64) -> Result<()> {
    raw.send(&request(
        &json!({"type": "get_name_request", "name": "never", "wait": true}),
    ))
}

/// Announces a blob and dies in the middle of its bytes; raw bytes travel over TCP alone.
fn send_half(raw: &mut Raw, _: u64) -> Result<()> {
    if let Raw::Tcp(_) = raw {
        let asked =
            json!({"type": "create_remote_buffer_request", "size": BLOB_BYTES, "compress": false});
        raw.ask(&asked)?;
        raw.send(&vec![7; BLOB_BYTES as usize / 2])?;
    }
    Ok(())
}

/// Asks for more than a socket holds and never reads.
fn read_nothing(raw: &mut Raw, blob: u64) -> Result<()> {
    if let Raw::Tcp(_) = raw {
        let asked =
            json!({"type": "get_remote_buffers_request", "num": 1, "0": blob, "compress": false});
        for _ in 0..4 {
            raw.send(&request(&asked))?;
        }
    }
    Ok(())
}

fn request(request: &Value) -> Vec<u8> {
    frame(request.to_string().as_bytes())
}
