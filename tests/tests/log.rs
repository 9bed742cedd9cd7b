//! The log on stderr: a reader that reads nothing stops nothing, and what repeats is counted.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::stat::Mode;
use serde_json::json;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

/// What the log says of the lines that were lost.
const LOST: &str = "lines of the log were dropped";
const SAID_WITHIN: Duration = Duration::from_secs(120);
/// A node answers within its deadlines, or says why not.
const SERVED_WITHIN: Duration = Duration::from_secs(6);
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// More requests than any pipe and any queue of lines has room for at the level `debug`.
const ROUND: usize = 2000;

/// So long without a new line, the log is quiet.
const QUIET: Duration = Duration::from_secs(6);
const QUIET_WITHIN: Duration = Duration::from_secs(40);
/// Lines of one node about what happened to others, until it is quiet.
const LINES_MAX: usize = 40;

/// A pipe that is the log of the node in `folder`. Nobody reads it yet.
fn unread_log(folder: &Path) -> File {
    std::fs::create_dir_all(folder).unwrap();
    let pipe = folder.join("log");
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(pipe)
        .unwrap()
}

/// What the pipe has now.
fn read(pipe: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    match pipe.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Asks `node` for names and for changes of names, more often than its log has room for.
fn flood(node: &Node, object: u64) -> Result<()> {
    let mut raw = Raw::unix(&node.socket())?;
    raw.register()?;
    for number in 0..ROUND {
        let asked = Instant::now();
        let request = match number % 10 {
            0 => json!({"type": "put_name_request", "object_id": object, "name": "flood"}),
            _ => json!({"type": "instance_status_request"}),
        };
        let reply = raw.ask(&request)?;
        ensure!(reply.get("code").is_none(), "{request}: {reply}");
        let took = asked.elapsed();
        ensure!(took < SERVED_WITHIN, "{request} took {took:?}");
    }
    Ok(())
}

/// An object that has a name may be given another.
fn persisted(node: &Node) -> u64 {
    let mut raw = Raw::unix(&node.socket()).unwrap();
    raw.register().unwrap();
    let content =
        json!({"typename": "test::One", "instance_id": node.instance(), "transient": true});
    let made = raw
        .ask(&json!({"type": "create_data_request", "content": content}))
        .unwrap();
    let id = made["id"].as_u64().expect("an id");
    raw.ask(&json!({"type": "persist_request", "id": id}))
        .unwrap();
    id
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_says_how_many_lines_were_lost() {
    let folder = tempfile::Builder::new()
        .prefix("vineyard-")
        .tempdir()
        .unwrap();
    let mut pipe = unread_log(&folder.path().join("0"));
    let plan = Plan {
        environment: vec![("VINEYARD_LOG".into(), "debug".into())],
        ..Plan::default()
    };
    // While the pipe has no room, the first node already has to found the cluster and to admit the others.
    let mut cluster = Cluster::start_in(folder, 3, &plan).unwrap();
    let object = persisted(&cluster.nodes[0]);
    cluster.nodes[2].kill().unwrap();
    let said = wait::until("the count of lost lines", SAID_WITHIN, || {
        flood(&cluster.nodes[0], object)?;
        let mut said = read(&mut pipe)?;
        // The writer goes on as soon as there is room.
        wait::until("more of the log", ENDS_WITHIN, || {
            said.push_str(&read(&mut pipe)?);
            Ok(said.contains(LOST).then_some(()))
        })?;
        Ok(Some(said))
    })
    .unwrap();
    let line = said.lines().find(|line| line.contains(LOST)).unwrap();
    let count = line.rsplit_once("dropped=").map(|(_, count)| count);
    assert!(
        count.is_some_and(|count| count.parse::<u64>().unwrap() > 0),
        "{line}"
    );

    // Full again, and the reader still does not read: the node ends in time all the same.
    flood(&cluster.nodes[0], object).unwrap();
    let asked = Instant::now();
    let status = cluster.nodes[0].terminate().unwrap();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < ENDS_WITHIN, "{:?}", asked.elapsed());
}

fn lines(node: &Node) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(node.folder().join("log"))?;
    Ok(log.lines().map(str::to_owned).collect())
}

/// Waits until the log of `node` is quiet, and returns its lines after the first `before`.
fn quiet(node: &Node, before: usize) -> Result<Vec<String>> {
    let mut last = (lines(node)?.len(), Instant::now());
    wait::until("a quiet log", QUIET_WITHIN, || {
        let now = lines(node)?;
        if now.len() != last.0 {
            last = (now.len(), Instant::now());
        }
        ensure!(
            last.1.elapsed() >= QUIET,
            "{} lines, the last: {:?}",
            now.len(),
            now.last()
        );
        Ok(Some(now[before..].to_vec()))
    })
}

const NAMES: [&str; 3] = ["blue", "red", "green"];

/// Three nodes with names of their own.
fn named() -> Result<Cluster> {
    let folder = tempfile::tempdir()?;
    let mut nodes: Vec<Node> = Vec::new();
    for name in NAMES {
        let plan = Plan {
            join: nodes.first().map(Node::invitation).transpose()?,
            arguments: vec!["--name".to_owned(), name.to_owned()],
            ..Plan::default()
        };
        nodes.push(Node::start(&folder.path().join(name), plan)?);
    }
    let cluster = Cluster::of(nodes, folder);
    cluster.wait_settled()?;
    Ok(cluster)
}

/// The nodes of which `line` speaks, as `n1`.
fn numbers(line: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_number = |word: &&str| {
        let digits = word.strip_prefix('n');
        digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    line.split(|c| !is_word(c)).filter(is_number).collect()
}

/// A node is never called by its number alone, once its name is known.
fn every_line_names_the_nodes(node: &Node) {
    let said = lines(node).unwrap();
    let mut known = BTreeSet::new();
    for line in &said {
        for number in numbers(line) {
            let is_called = |name: &&str| line.contains(&format!("{name} ({number})"));
            let is_named = NAMES.iter().any(is_called);
            assert!(is_named || !known.contains(number), "{line} in {said:#?}");
            known.extend(is_named.then_some(number));
        }
    }
    assert_eq!(known.len(), NAMES.len(), "{said:#?}");
}

#[test]
fn a_voter_that_stays_dead_and_a_lost_majority_are_said_once() {
    let mut cluster = named().unwrap();
    let leader = cluster.leader().unwrap();
    let before = lines(&cluster.nodes[leader]).unwrap().len();
    let dead = (leader + 1) % 3;
    cluster.nodes[dead].kill().unwrap();
    let said = quiet(&cluster.nodes[leader], before).unwrap();
    assert!(said.len() <= LINES_MAX, "{} lines: {said:#?}", said.len());
    let endpoint = cluster.nodes[dead].endpoint().to_owned();
    let unreachable = |line: &&String| line.contains("does not answer") && line.contains(&endpoint);
    assert_eq!(said.iter().filter(unreachable).count(), 1, "{said:#?}");

    // It returns, which is said, and now the leader loses both.
    let before = lines(&cluster.nodes[leader]).unwrap().len();
    cluster.nodes[dead].start_again().unwrap();
    wait::until("the voter's return in the log", QUIET_WITHIN, || {
        let lines = lines(&cluster.nodes[leader])?;
        let back = lines[before..]
            .iter()
            .filter(|line| line.contains("answers again"));
        Ok((back.count() == 1).then_some(()))
    })
    .unwrap();
    let before = lines(&cluster.nodes[leader]).unwrap().len();
    for index in (0..3).filter(|index| *index != leader) {
        cluster.nodes[index].kill().unwrap();
    }
    let said = quiet(&cluster.nodes[leader], before).unwrap();
    assert!(said.len() <= LINES_MAX, "{} lines: {said:#?}", said.len());
    let lost = |line: &&String| line.contains("no majority of the voters follows");
    assert_eq!(said.iter().filter(lost).count(), 1, "{said:#?}");
    every_line_names_the_nodes(&cluster.nodes[leader]);
}

#[test]
fn a_join_that_reaches_nobody_is_said_once_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let founder = Node::start(&folder.path().join("0"), Plan::default()).unwrap();
    let (_, token) = founder.invitation().unwrap();
    // A port that was free a moment ago. A process that has it by now does not speak the protocol.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    let plan = Plan {
        join: Some((nobody.clone(), token)),
        ..Plan::default()
    };
    let mut node = Node::planned(&folder.path().join("1"), plan).unwrap();
    node.launch().unwrap();
    wait::until("the first try in the log", QUIET_WITHIN, || {
        let said = lines(&node)?;
        Ok(said.iter().any(|line| line.contains(&nobody)).then_some(()))
    })
    .unwrap();
    let said = quiet(&node, 0).unwrap();
    let tries = said.iter().filter(|line| line.contains(&nobody)).count();
    assert_eq!(tries, 1, "{said:#?}");
}
