//! The command line against real nodes: what people and scripts rely on.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it drives real processes"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vineyard_client::stream::{OnReaderGone, ReadersKind, StreamOptions};
use vineyard_client::{Draft, Options, blocking};

#[path = "commands/holds.rs"]
mod holds;

const BINARY: &str = env!("CARGO_BIN_EXE_vineyardctl");
const PATIENCE: Duration = Duration::from_secs(60);

/// A node in a folder of its own, gone when dropped.
struct Node {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("vctl-")
            .tempdir_in("/tmp")
            .unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = bare()
            .args([
                "node",
                "--listen=127.0.0.1:0",
                "--size=160M",
                "--name=tested",
                "--socket",
            ])
            .arg(folder.path().join("sock"))
            .stderr(log)
            .spawn()
            .unwrap();
        let mut node = Self { child, folder };
        let begun = Instant::now();
        while !node.is_ready() {
            let ended = node.child.try_wait().unwrap();
            let log = fs::read_to_string(node.path("log")).unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "no node: {ended:?}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    /// It answers, and the cluster it founded knows it.
    fn is_ready(&self) -> bool {
        let output = self.run(&["status", "-o", "json"]);
        let status = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        status["nodes"][0]["open_fds"].is_u64() && !status["cluster"]["leader"].is_null()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        bare()
            .args(args)
            .env("VINEYARD_IPC_SOCKET", self.path("sock"))
            .output()
            .unwrap()
    }

    /// The standard output of a command that must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    fn code(&self, args: &[&str]) -> i32 {
        self.run(args).status.code().unwrap()
    }

    fn endpoint(&self) -> String {
        self.json(&["status", "-o", "json"])["nodes"][0]["endpoint"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The binary, with nothing in its environment that names a node.
fn bare() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VINEYARD_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Bytes that do not repeat within a chunk.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_file_comes_out_as_it_went_in() {
    let node = Node::start();
    let endpoint = node.endpoint();
    for size in [0, 1, 1_000_000, (64 << 20) + 1] {
        let (input, output) = (node.path("in"), node.path("out"));
        fs::write(&input, noise(size)).unwrap();
        fs::write(&output, "to be replaced").unwrap();
        let id = node.ok(&["put", text(&input)]);
        node.ok(&["name", "set", "file", &id]);
        node.ok(&["get", "file", "-o", text(&output)]);
        assert!(
            fs::read(&input).unwrap() == fs::read(&output).unwrap(),
            "{size} over the socket"
        );
        node.ok(&["get", &id, "-o", text(&output), "--endpoint", &endpoint]);
        assert!(
            fs::read(&input).unwrap() == fs::read(&output).unwrap(),
            "{size} over TCP"
        );
        node.ok(&["rm", "file"]);
    }
    let left = fs::read_dir(node.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with(".vineyardctl"))
    );
    let status = node.json(&["status", "-o", "json"]);
    assert_eq!(status["nodes"][0]["objects"], 0, "{status}");
}

#[test]
fn a_file_may_be_put_over_tcp() {
    let node = Node::start();
    let (input, output) = (node.path("in"), node.path("out"));
    fs::write(&input, noise(3_000_001)).unwrap();
    let put = node.json(&[
        "put",
        text(&input),
        "--name",
        "remote",
        "-o",
        "json",
        "--endpoint",
        &node.endpoint(),
    ]);
    assert_eq!(
        (&put["bytes"], &put["persisted"]),
        (&3_000_001.into(), &true.into())
    );
    node.ok(&["get", "remote", "-o", text(&output)]);
    assert!(fs::read(&input).unwrap() == fs::read(&output).unwrap());
}

#[test]
fn objects_and_names_are_listed_and_removed() {
    let node = Node::start();
    let input = node.path("in");
    fs::write(&input, "hello").unwrap();
    let id = node.ok(&["put", text(&input), "--name", "a"]);
    assert_eq!(node.ok(&["name", "get", "a"]), id);
    assert_eq!(node.json(&["name", "ls", "-o", "json"])["a"], id.as_str());
    let listed = node.json(&["ls", "vineyard::File", "-o", "json"]);
    assert_eq!(listed[0]["id"], id.as_str(), "{listed}");
    assert_eq!(listed[0]["names"][0], "a", "{listed}");
    assert_eq!(
        (&listed[0]["persisted"], &listed[0]["nbytes"]),
        (&true.into(), &5.into())
    );
    assert!(node.ok(&["ls"]).contains("vineyard::File"));
    let other = node.ok(&["put", text(&input)]);
    assert_eq!(node.code(&["name", "set", "a", &other, "--if-absent"]), 1);
    assert_eq!(
        node.code(&["name", "set", "a", &other, "--if-equals", &other]),
        1
    );
    node.ok(&["name", "set", "a", &other, "--if-equals", &id]);
    assert_eq!(node.ok(&["name", "get", "a"]), other);
    node.ok(&["name", "rm", "a"]);
    assert_eq!(node.code(&["name", "get", "a"]), 4);
    node.ok(&["rm", &id, &other]);
    assert_eq!(node.json(&["ls", "-o", "json"]), Value::Array(vec![]));
}

#[test]
fn status_and_token_tell_what_an_operator_needs() {
    let node = Node::start();
    let status = node.json(&["status", "-o", "json"]);
    assert_eq!(
        (
            &status["cluster"]["voters"],
            &status["cluster"]["tolerates"]
        ),
        (&1.into(), &0.into())
    );
    assert_eq!(
        status["cluster"]["leader"],
        status["nodes"][0]["instance_id"]
    );
    assert!(
        status["nodes"][0]["open_fds"].as_u64().unwrap() > 3,
        "{status}"
    );
    assert!(node.ok(&["status"]).contains("1 voter"));
    let token = node.ok(&["token"]);
    assert_eq!(node.json(&["token", "-o", "json"])["token"], token.as_str());
    assert_eq!(node.code(&["token", "--endpoint", &node.endpoint()]), 2);
}

#[test]
fn streams_are_listed_looked_at_and_dropped() {
    let node = Node::start();
    let (socket, options) = (node.path("sock"), Options::default());
    let client = blocking::Client::connect_ipc(text(&socket), &options).unwrap();
    let id = client.create_stream(StreamOptions::default()).unwrap();
    let mut writer = client.open_writer(id).unwrap();
    writer.write(b"chunk").unwrap();
    let id = id.to_string();
    let listed = node.json(&["stream", "ls", "-o", "json"]);
    assert_eq!(
        (
            &listed[0]["waiting_chunks"],
            listed.as_array().unwrap().len()
        ),
        (&1.into(), 1)
    );
    assert!(node.ok(&["stream", "ls"]).contains(&id));
    assert!(
        node.ok(&["stream", "status", &id])
            .contains("1 written, 1 waiting")
    );
    assert_eq!(
        node.json(&["status", "-o", "json"])["nodes"][0]["stream_chunks"],
        1
    );
    node.ok(&["stream", "rm", &id]);
    assert_eq!(node.code(&["stream", "status", &id]), 4);
    assert_eq!(
        node.json(&["stream", "ls", "-o", "json"]),
        serde_json::json!([])
    );
}

#[test]
fn the_bytes_of_a_stream_go_to_the_output_until_its_end() {
    let node = Node::start();
    let (socket, options) = (node.path("sock"), Options::default());
    let client = blocking::Client::connect_ipc(text(&socket), &options).unwrap();
    let stream = || {
        let kept = StreamOptions::default().retain_bytes_max(1 << 20);
        let kept = kept.readers(ReadersKind::Each);
        let kept = kept.on_reader_gone(OnReaderGone::Wait);
        let id = client.create_stream(kept).unwrap();
        let mut writer = client.open_writer(id).unwrap();
        writer.write(b"one,").unwrap();
        writer.write(&[0xff; 100_000]).unwrap();
        (id.to_string(), writer)
    };
    let (id, mut writer) = stream();
    writer.finish().unwrap();
    let all = node.run(&["stream", "cat", &id]);
    assert!(all.status.success(), "{all:?}");
    assert_eq!(all.stdout, [b"one,".as_slice(), &[0xff; 100_000]].concat());
    let (id, mut writer) = stream();
    let first = ["stream", "cat", &id, "--cursor", "a", "--chunks", "1"];
    assert_eq!(node.ok(&first), "one,");
    let again = [
        "stream", "cat", &id, "--cursor", "b", "--from", "start", "--chunks", "1",
    ];
    assert_eq!(node.ok(&again), "one,");
    assert_eq!(node.code(&["stream", "cat", &id, "--from", "last"]), 2);
    writer.put(Draft::new("test::Thing")).unwrap();
    writer.fail("the source is dry").unwrap();
    let object = node.run(&["stream", "cat", &id, "--cursor", "c", "--from", "2"]);
    let said = String::from_utf8_lossy(&object.stderr);
    assert!(said.contains("test::Thing"), "{object:?}");
    let failed = node.run(&["stream", "cat", &id, "--cursor", "d", "--from", "3"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("the source is dry"), "{failed:?}");
}

#[test]
fn exit_codes_say_what_kind_of_failure_it_was() {
    let node = Node::start();
    let out = node.path("out");
    assert_eq!(node.code(&["get", "nothing", "-o", text(&out)]), 4);
    assert_eq!(
        node.code(&["get", "o00007fff00000001", "-o", text(&out)]),
        4
    );
    assert_eq!(node.code(&["rm", "o00007fff00000001"]), 4);
    assert_eq!(node.code(&["rm", "nothing", "neither"]), 4);
    assert!(!out.exists());
    assert_eq!(node.code(&["put", "/no/such/file"]), 1);
    assert_eq!(node.code(&["put", "/"]), 2, "a folder");
    assert_eq!(node.code(&["put", "/dev/null"]), 0, "what a device gives");
    assert_eq!(node.code(&["name", "set", "a", "not-an-id"]), 2);
    assert_eq!(node.code(&["frobnicate"]), 2);
    let stderr = |args: &[&str]| String::from_utf8(node.run(args).stderr).unwrap();
    assert!(stderr(&["stauts"]).contains("'status'"), "the nearest verb");
    assert!(stderr(&["ls", "--limt", "3"]).contains("'--limit'"));
    for (args, code, kind) in [
        (
            &["name", "get", "nothing", "-o", "json"][..],
            4,
            "not_found",
        ),
        (&["stauts", "-o", "json"], 2, "usage"),
        (&["ls", "--socket", "/no/such", "-o=json"], 3, "unreachable"),
        (&["put", "/no/such/file", "--format=json"], 1, "failed"),
    ] {
        let said: Value = serde_json::from_str(&stderr(args)).unwrap();
        assert_eq!((&said["code"], &said["kind"]), (&code.into(), &kind.into()));
        assert!(!said["message"].as_str().unwrap().is_empty(), "{said}");
    }
    assert_eq!(node.code(&["node", "--frobnicate"]), 2);
    let huge = node.path("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    let refused = node.run(&["put", text(&huge)]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let status = node.json(&["status", "-o", "json"]);
    assert_eq!(status["nodes"][0]["memory_usage"], 0, "{status}");
}

#[test]
fn an_unreachable_node_is_named_with_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let output = bare()
        .args(["status", "--socket"])
        .arg(&socket)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(text(&socket)) && said.contains("--socket"),
        "{said}"
    );
    let output = bare()
        .args(["ls", "--endpoint", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn an_operator_sees_what_a_node_has_and_does() {
    let node = Node::start();
    let input = node.path("in");
    fs::write(&input, noise(1_000_000)).unwrap();
    node.ok(&["put", text(&input), "--name", "mine"]);
    node.ok(&["put", text(&input)]);
    let checks = node.json(&["doctor", "-o", "json"]);
    let of = |name: &str| {
        let all = checks["checks"].as_array().unwrap();
        all.iter().find(|one| one["check"] == name).unwrap()
    };
    assert_eq!(checks["ok"], true, "{checks}");
    for name in ["node", "quorum", "members", "versions", "clocks", "socket"] {
        assert_eq!(of(name)["result"], "ok", "{checks}");
    }
    assert!(of("disk")["found"].as_str().unwrap().contains("sock.data"));
    assert_ne!(of("sync")["result"], "skip", "{checks}");
    let apart = node.run(&["doctor", "--endpoint", &node.endpoint(), "-o", "json"]);
    assert!(String::from_utf8_lossy(&apart.stdout).contains("asked over TCP"));
    assert_eq!(node.code(&["doctor", "--socket", "/no/such"]), 1);

    for by in ["node", "type", "name"] {
        let used = node.json(&["du", "--by", by, "-o", "json"]);
        assert_eq!(used["used_bytes"], 2_000_000, "{used}");
        assert_eq!(used["not_listed_bytes"], 0, "{used}");
    }
    holds::who_holds_what(&node);
    let by_name = node.ok(&["du", "--by", "name"]);
    assert!(by_name.contains("mine") && by_name.contains("used in all"));
    let top = node.ok(&["top", "--count", "2", "--every", "0.05"]);
    assert!(top.contains("entries/s") && top.contains("+0 B"), "{top}");
    assert_eq!(
        node.json(&["ls", "--lost", "-o", "json"]),
        Value::Array(vec![])
    );
    let events = node.ok(&["events", "-o", "json"]);
    let first: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(first["kind"], "started", "{events}");
}

#[test]
fn what_an_operator_passes_on_has_no_secret() {
    let node = Node::start();
    let input = node.path("in");
    fs::write(&input, "x").unwrap();
    node.ok(&["put", text(&input), "--name", "a-private-name"]);
    let settings = node.json(&["config", "show", "-o", "json"]);
    let of = |name: &str| {
        let all = settings.as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&of("size")["value"], &of("size")["origin"]),
        (&"160 MiB".into(), &"flag".into())
    );
    assert_eq!(of("rpc")["origin"], "remembered");
    assert_eq!(of("log")["origin"], "default");
    let table = node.ok(&["config", "show", "--origin", "--", "--size=1M"]);
    assert!(
        table.contains("1 MiB") && table.contains("default"),
        "{table}"
    );
    assert_eq!(node.code(&["config", "show", "--", "--siez=1M"]), 2);

    let token = node.ok(&["token"]);
    let secret = token.rsplit('.').next().unwrap();
    let (plain, hashed) = (node.path("plain"), node.path("hashed"));
    node.ok(&["bundle", text(&plain)]);
    node.ok(&["bundle", "--redact", text(&hashed)]);
    assert_eq!(node.code(&["bundle", text(&plain)]), 1, "it is there");
    let found: Value = serde_json::from_slice(&fs::read(&plain).unwrap()).unwrap();
    let log = found["log"]["lines"].to_string();
    assert!(log.contains("ready; to add a node"), "{found}");
    assert_eq!(found["events"][0]["kind"], "started", "{found}");
    assert_eq!(found["doctor"][0]["check"], "node");
    let told = &found["nodes"][0]["told"];
    assert_eq!(told["events"]["events"][0]["kind"], "started", "{told}");
    assert_eq!(told["status"]["cluster"]["voters"], 1, "{told}");
    let mut settings = told["settings"].as_array().unwrap().iter();
    assert!(settings.any(|one| one["name"] == "size" && one["value"] == "160 MiB"));
    for file in [&plain, &hashed] {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains(secret), "{}", file.display());
        assert_eq!(
            text.contains("\"tested\""),
            file == &plain,
            "{}",
            file.display()
        );
    }
}
