//! kill -9 of the leader under load loses nothing that was acknowledged.

use std::time::{Duration, Instant};

use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;

use crate::ledger::{self, Line, Writers};

/// `cargo xtask kill-leader` sets more.
const KILLS_VARIABLE: &str = "VINEYARD_TEST_KILLS";
const KILLS: u32 = 2;
const ACKNOWLEDGED_PER_KILL: u64 = 1000;
const MEDIAN_MAX: Duration = Duration::from_secs(2);
const WRITES_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn kill_leader_under_four_writers_loses_nothing_acknowledged() {
    let kills = std::env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().unwrap());
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let mut everything = Vec::new();
    let mut pauses = Vec::new();
    for kill in 0..kills {
        let (lines, pause) = kill_once(&mut cluster, kill);
        println!(
            "kill {kill}: {} objects named, next acknowledged after {pause:?}",
            lines.len()
        );
        everything.extend(lines);
        pauses.push(pause);
    }
    for node in &cluster.nodes {
        ledger::read_back(&node.socket(), &everything).unwrap();
    }
    pauses.sort();
    let median = pauses[pauses.len() / 2];
    println!(
        "{} objects named, none lost; median pause {median:?}",
        everything.len()
    );
    // Beside other tests the figure says more about the machine, so only the command holds it to its bound.
    assert!(
        median <= MEDIAN_MAX || std::env::var_os(KILLS_VARIABLE).is_none(),
        "the next acknowledged write came after {pauses:?}"
    );
}

/// Kills the leader once enough was acknowledged, and starts it again. What the writers noted, and the pause.
fn kill_once(cluster: &mut Cluster, kill: u32) -> (Vec<Line>, Duration) {
    let leader = cluster.leader().unwrap();
    let followers = cluster
        .nodes
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != leader);
    let sockets: Vec<_> = followers
        .flat_map(|(_, node)| [node.socket(), node.socket()])
        .collect();
    let writers = Writers::start(&format!("kill-{kill}"), &sockets);
    writers
        .wait_for(ACKNOWLEDGED_PER_KILL, WRITES_WITHIN)
        .unwrap();

    cluster.nodes[leader].kill().unwrap();
    let killed = Instant::now();
    // Answers that the leader sent before it died may still arrive; a later line proves that a new leader acknowledges.
    writers
        .wait_for(
            writers.acknowledged() + ACKNOWLEDGED_PER_KILL / 10,
            WRITES_WITHIN,
        )
        .unwrap();
    let lines = writers.stop();

    for (index, node) in cluster.nodes.iter().enumerate() {
        if index != leader {
            ledger::read_back(&node.socket(), &lines).unwrap();
        }
    }
    cluster.nodes[leader].start_again().unwrap();
    cluster.wait_settled().unwrap();
    (lines.clone(), longest_pause(&lines, killed))
}

/// The longest silence between two acknowledgements around the kill.
fn longest_pause(lines: &[Line], killed: Instant) -> Duration {
    let mut times: Vec<Instant> = lines.iter().map(|line| line.acknowledged).collect();
    times.sort();
    let after = times
        .partition_point(|time| *time < killed)
        .saturating_sub(1);
    let gaps = times[after..]
        .windows(2)
        .map(|pair| pair[1].saturating_duration_since(pair[0].max(killed)));
    gaps.max().expect("writes were acknowledged after the kill")
}
