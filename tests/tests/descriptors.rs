//! Strangers take as many connections as they get; the node keeps what its disk and its members need.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use vineyard_tests::binaries::binary;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

use crate::ledger;

/// So much metadata that a snapshot is due after so many.
const LARGE_BYTES: usize = 300 << 10;
const LARGE_RECORDS: u64 = 6;
const NAMES: usize = 200;
const NAMERS: usize = 16;
/// Descriptors that a member's links may take on top of what was open before it joined.
const LINKS_MAX: u64 = 24;
const SETTLES_WITHIN: Duration = Duration::from_secs(20);
const FILLED_WITHIN: Duration = Duration::from_secs(20);
/// Between two new connections of a flood that holds all it may.
const PACE: Duration = Duration::from_millis(1);

#[test]
fn a_flood_at_256_descriptors_leaves_nothing_behind() {
    flood_leaves_nothing_behind(256).unwrap();
}

#[test]
fn a_flood_at_1024_descriptors_leaves_nothing_behind() {
    flood_leaves_nothing_behind(1024).unwrap();
}

/// Or at the limit of this machine, if that is lower.
#[test]
fn a_flood_at_65536_descriptors_leaves_nothing_behind() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    flood_leaves_nothing_behind(hard.min(65_536)).unwrap();
}

#[test]
fn a_limit_that_is_too_low_ends_the_start_and_names_the_one_that_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let node = binary("vineyardd").unwrap();
    for descriptors in ["24", "183"] {
        let started = Command::new("sh")
            .args(["-c", r#"ulimit -n "$0" && exec "$@""#, descriptors])
            .arg(&node)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .arg("--socket")
            .arg(folder.path().join("sock"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&started.stderr);
        assert_eq!(started.status.code(), Some(1), "{said}");
        assert!(said.contains(descriptors) && said.contains("184"), "{said}");
    }
}

fn flood_leaves_nothing_behind(descriptors: u64) -> Result<()> {
    let (_, own) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, own, own)?;
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        descriptors: Some(descriptors),
        ..Plan::default()
    };
    let node = Node::start(&folder.path().join("flooded"), plan)?;
    let invitation = node.invitation()?;
    let before = wait::until("the founder to know itself", SETTLES_WITHIN, || {
        open_fds(&node).map(Some)
    })?;
    let mut client = ledger::connect(&node.socket())?;
    let mut namers = (0..NAMERS)
        .map(|_| ledger::connect(&node.socket()))
        .collect::<Result<Vec<_>>>()?;

    // Two floods and other tests share what this process may open.
    let held = (descriptors + 64).min(own / 6);
    let floods = [
        Flood::start(Door::Unix(node.socket()), held),
        Flood::start(Door::Tcp(node.endpoint().to_owned()), held),
    ];
    for flood in &floods {
        flood.wait_for(held)?;
    }
    let kept = persist_large(&mut client, 0)?;
    name_many(&mut namers, kept[0])?;
    let plan = Plan {
        join: Some(invitation),
        ..Plan::default()
    };
    let member = Node::start(&folder.path().join("member"), plan)?;
    let kept = [kept, persist_large(&mut client, LARGE_RECORDS)?].concat();
    read_large(&member.socket(), &kept)?;
    wait::until("a snapshot", SETTLES_WITHIN, || {
        let snapshots = fs::read_dir(node.data_dir().join("meta/snapshots"))?;
        let mut names = snapshots.flatten().map(|entry| entry.file_name());
        Ok(names.find(|name| name.to_string_lossy().parse::<u64>().is_ok()))
    })?;
    for flood in floods {
        flood.stop();
    }

    served_at_once(&node)?;
    drop((client, namers));
    wait::until("the descriptors of before", SETTLES_WITHIN, || {
        let now = open_fds(&node)?;
        ensure!(now <= before + LINKS_MAX, "{now}, before {before}");
        Ok(Some(()))
    })?;
    let log = fs::read_to_string(node.folder().join("log"))?;
    ensure!(!log.contains("the disk failed"), "{log}");
    let lines = log.lines().count();
    ensure!(lines < 100, "{lines} lines in the log:\n{log}");
    outlives_a_kill(node, &kept)
}

fn outlives_a_kill(mut node: Node, kept: &[u64]) -> Result<()> {
    node.kill()?;
    node.start_again()?;
    read_large(&node.socket(), kept)?;
    let mut client = ledger::connect(&node.socket())?;
    let asked = json!({"type": "list_name_request", "pattern": "name-*", "regex": false, "limit": NAMES + 1});
    let listed = ledger::succeed(&mut client, &asked)?;
    let found = listed["names"].as_object().map_or(0, serde_json::Map::len);
    ensure!(found == NAMES, "{found} of {NAMES} names: {listed}");
    Ok(())
}

fn open_fds(node: &Node) -> Result<u64> {
    node.figures()?["open_fds"].as_u64().context("no open_fds")
}

/// Objects with much metadata. Their rows count up from `first`.
fn persist_large(client: &mut Raw, first: u64) -> Result<Vec<u64>> {
    let persist = |row| {
        let content = json!({"typename": "test::Large", "row": row, "nbytes": 0, "global": false,
            "transient": true, "instance_id": 0, "filling": "x".repeat(LARGE_BYTES)});
        let create = json!({"type": "create_data_request", "content": content});
        let id = ledger::succeed(client, &create)?["id"]
            .as_u64()
            .context("no id")?;
        ledger::succeed(client, &json!({"type": "persist_request", "id": id}))?;
        Ok(id)
    };
    (first..first + LARGE_RECORDS).map(persist).collect()
}

fn name_many(namers: &mut [Raw], id: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let name = |connection: &mut Raw| -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= NAMES as u64 {
                return Ok(());
            }
            let name = format!("name-{number}");
            let put = json!({"type": "put_name_request", "object_id": id, "name": name});
            ledger::succeed(connection, &put)?;
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = namers
            .iter_mut()
            .map(|connection| scope.spawn(|| name(connection)))
            .collect();
        all.into_iter()
            .try_for_each(|namer| namer.join().expect("a namer does not panic"))
    })
}

fn read_large(socket: &Path, kept: &[u64]) -> Result<()> {
    let mut client = ledger::connect(socket)?;
    for (row, id) in kept.iter().enumerate() {
        let asked =
            json!({"type": "get_data_request", "id": [id], "sync_remote": true, "wait": false});
        wait::until("an acknowledged object", SETTLES_WITHIN, || {
            let reply = ledger::succeed(&mut client, &asked)?;
            let object = reply["content"].as_object().into_iter().flatten().next();
            let (_, object) = object.context("no object")?;
            ensure!(object["row"] == row, "row {row}, object {id}: {object}");
            let filling = object["filling"].as_str().map_or(0, str::len);
            ensure!(filling == LARGE_BYTES, "{filling} bytes of {LARGE_BYTES}");
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// A new client of each door, without a second try.
fn served_at_once(node: &Node) -> Result<()> {
    wait::until("room for new clients", SETTLES_WITHIN, || {
        Raw::unix(&node.socket())?.register()?;
        Raw::tcp(node.endpoint())?.register()?;
        Ok(Some(()))
    })
}

enum Door {
    Unix(PathBuf),
    Tcp(String),
}

/// Connections that never register: new ones all the time, and as many held as the flood may have.
struct Flood {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(door: Door, held_max: u64) -> Self {
        let (stop, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stops, counts) = (stop.clone(), made.clone());
        let thread = std::thread::spawn(move || {
            let mut held = VecDeque::new();
            while !stops.load(Ordering::Relaxed) {
                let connected = match &door {
                    Door::Unix(socket) => Raw::unix(socket),
                    Door::Tcp(endpoint) => Raw::tcp(endpoint),
                };
                // One that the node or the kernel refuses is tried again.
                let Ok(connection) = connected else {
                    std::thread::yield_now();
                    continue;
                };
                held.push_back(connection);
                if held.len() as u64 > held_max {
                    held.pop_front();
                    // Once the flood is there, the machine is left to the others.
                    std::thread::sleep(PACE);
                }
                counts.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, made, thread }
    }

    fn wait_for(&self, connections: u64) -> Result<()> {
        let awaited = format!("{connections} connections of strangers");
        wait::until(&awaited, FILLED_WITHIN, || {
            let made = self.made.load(Ordering::Relaxed);
            ensure!(made >= connections, "{made} so far");
            Ok(Some(()))
        })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a flood does not panic");
    }
}
