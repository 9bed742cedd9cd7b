//! Three new nodes, all told the same, become one cluster, while machines crash, links are cut and disks are slow. In
//! some runs one of them stops in the middle, and its name is given to a fourth machine, which was told the same too;
//! later it goes on as if nothing had been. In others the founder's disk is copied, and the copy runs beside it. Some
//! are told of one name for all. Two clusters would give the first node's id twice.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_node::config::Join;
use vineyard_raft::features;

use crate::chance::Chance;
use crate::cluster::PORT;
use crate::disk::Health;
use crate::faults::Counts;
use crate::stage::{Outcome, Settings, Stage, run};
use crate::trace::Kind;

const NODES: [usize; 3] = [1, 2, 3];
const FOURTH: usize = 4;
/// The name of all.
const ALL: &str = "all.sim";
const TOKEN: &str =
    "vy1.0123456789ab.5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// Simulated milliseconds between the first start and the last, at most.
const STARTS_APART_MS_MAX: u64 = 2_000;
/// Simulated milliseconds from when everything is well until all are members, at most.
const FORMED_WITHIN_MS: u64 = 20_000;
/// What a node writes to its disk when it founds.
const FOUNDS: &str = "\"founder\":true";
/// What goes wrong, one thing after the other.
const TROUBLES: u64 = 8;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let mut chance = Chance::stream(stage.world.seed, "forming");
    stage.cluster.name_nodes();
    stage.cluster.expect_nodes(NODES.len() as u8);
    let new = stage.cluster.machine(1).platter.copy();
    for number in starts(&mut chance) {
        add(&stage, number);
        if chance.happens(500) {
            health(&stage, number, Health::SLOW);
        }
        sleep(Duration::from_millis(chance.below(STARTS_APART_MS_MAX))).await;
    }
    let mut is_copied = false;
    match stage.world.seed % 6 {
        0 => trouble(&stage, &mut chance).await,
        1 | 4 => replace_founder(&stage, &mut chance).await,
        3 => is_copied = copy_founder(&stage, &mut chance).await,
        _ => {
            let replaced = NODES[chance.index(NODES.len())];
            replace(&stage, &mut chance, replaced).await;
        }
    }
    heal(&stage);
    let mut formed = formed(&stage).await;
    let has_fourth = !is_copied && stage.cluster.numbers().contains(&FOURTH);
    if !formed && has_fourth {
        // Two sets were begun with the same nodes, and none can be completed. The operator does what the nodes say.
        count(&stage, "AllEmptied");
        for number in stage.cluster.numbers() {
            stage.cluster.kill(number, true);
            stage.cluster.machine(number).platter.put_back(&new);
        }
        heal(&stage);
        formed = self::formed(&stage).await;
    }
    stage.demand(formed, "all are members of one cluster");
    if is_copied {
        ends_as_copy(&stage).await;
    }
    if formed && has_fourth {
        stage.cluster.restart(FOURTH);
        stage.serves(FOURTH).await;
    }
}

/// The nodes in the order in which they start.
fn starts(chance: &mut Chance) -> Vec<usize> {
    let mut left = NODES.to_vec();
    let mut order = Vec::new();
    while !left.is_empty() {
        order.push(left.remove(chance.index(left.len())));
    }
    order
}

fn add(stage: &Stage, number: usize) {
    let endpoints = match has_one_name(stage) {
        true => vec![name_all(stage, NODES)],
        false => NODES.map(|node| stage.cluster.endpoint(node)).to_vec(),
    };
    let token = TOKEN.to_owned();
    let join = Join { endpoints, token };
    stage.cluster.add(number, Some(join), features::LATEST);
}

/// Whether one name stands for all nodes.
fn has_one_name(stage: &Stage) -> bool {
    stage.world.seed % 4 >= 2
}

/// One address of all these nodes.
fn name_all(stage: &Stage, numbers: [usize; 3]) -> String {
    let ips = numbers.map(|number| stage.cluster.ip(number)).to_vec();
    stage.world.net.name_all(ALL, ips);
    format!("{ALL}:{PORT}")
}

/// The name of `replaced` stands for the machine of `by`.
fn lend_name(stage: &Stage, replaced: usize, by: usize) {
    stage.cluster.lend_name(replaced, by);
    let named = NODES.map(|number| if number == replaced { by } else { number });
    name_all(stage, named);
}

fn health(stage: &Stage, number: usize, health: Health) {
    stage.cluster.machine(number).platter.set_health(health);
}

fn count(stage: &Stage, kind: &str) {
    stage.count_faults(Counts::from([(kind.to_owned(), 1)]));
    stage
        .world
        .trace
        .note(Kind::Fault, "all", format_args!("{kind}"));
}

/// One thing after the other goes wrong and, mostly, well again.
async fn trouble(stage: &Stage, chance: &mut Chance) {
    for _ in 0..TROUBLES {
        let number = NODES[chance.index(NODES.len())];
        let other = NODES[chance.index(NODES.len())];
        let lasts = Duration::from_millis(chance.below(1_500));
        let (here, there) = (stage.cluster.ip(number), stage.cluster.ip(other));
        match chance.below(4) {
            0 => {
                count(stage, "NodeKilled");
                stage.cluster.kill(number, chance.happens(500));
                sleep(lasts).await;
                stage.cluster.restart(number);
            }
            1 => {
                count(stage, "NodePaused");
                stage.cluster.pause(number, true);
                sleep(lasts).await;
                stage.cluster.pause(number, false);
            }
            2 => {
                count(stage, "CutOneWay");
                stage.world.net.cut(&here, &there);
                sleep(lasts).await;
            }
            _ => {
                count(stage, "DiskSlow");
                health(stage, number, Health::SLOW);
                stage.world.net.heal();
                sleep(lasts).await;
            }
        }
    }
}

/// The founder stops while it writes that it founds.
async fn replace_founder(stage: &Stage, chance: &mut Chance) {
    if let Some(founder) = founder(stage).await {
        replace(stage, chance, founder).await;
    }
}

/// The node that writes to its disk that it founds; `None` if it has founded before the last node was started.
async fn founder(stage: &Stage) -> Option<usize> {
    let founds = |number: &usize| {
        let platter = stage.cluster.machine(*number).platter;
        platter.is_writing(FOUNDS)
    };
    NODES
        .into_iter()
        .for_each(|number| health(stage, number, Health::SLOW));
    let begins = || NODES.iter().any(founds);
    stage.until(FORMED_WITHIN_MS, begins).await;
    NODES.into_iter().find(founds)
}

/// The disk of the founder is copied before it has it that it founds, and a machine runs with the copy while the
/// founder is cut from those that have agreed. Whether there was a founder to copy.
async fn copy_founder(stage: &Stage, chance: &mut Chance) -> bool {
    let Some(founder) = founder(stage).await else {
        return false;
    };
    let copy = stage.cluster.machine(founder).platter.copy();
    if copy.has(FOUNDS) {
        return false;
    }
    count(stage, "DirectoryCopied");
    stage.cluster.machine(FOURTH).platter.put_back(&copy);
    let here = stage.cluster.ip(founder);
    for other in NODES.into_iter().filter(|number| *number != founder) {
        let there = stage.cluster.ip(other);
        stage.world.net.cut(&here, &there);
        stage.world.net.cut(&there, &here);
    }
    sleep(Duration::from_millis(chance.below(1_500))).await;
    add(stage, FOURTH);
    sleep(Duration::from_millis(chance.below(4_000))).await;
    true
}

/// The node that has the copy says so and ends.
async fn ends_as_copy(stage: &Stage) {
    let ended = || {
        let board = stage.cluster.board(FOURTH);
        let failure = board.borrow().failure.clone();
        failure.is_some_and(|why| why.contains("is a copy"))
    };
    let ended = stage.until(FORMED_WITHIN_MS, ended).await;
    stage.demand(ended, "the node with the copy ends and says why");
}

/// A node stops, and a fourth is started at its name; the others are started anew.
async fn replace(stage: &Stage, chance: &mut Chance, replaced: usize) {
    count(stage, "NodeReplaced");
    let is_paused = chance.happens(700);
    match is_paused {
        true => stage.cluster.pause(replaced, true),
        false => stage.cluster.kill(replaced, chance.happens(500)),
    }
    add(stage, FOURTH);
    lend_name(stage, replaced, FOURTH);
    for number in NODES.into_iter().filter(|number| *number != replaced) {
        sleep(Duration::from_millis(chance.below(500))).await;
        stage.cluster.kill(number, chance.happens(500));
        stage.cluster.restart(number);
    }
    sleep(Duration::from_millis(chance.below(8_000))).await;
    match is_paused {
        true => stage.cluster.pause(replaced, false),
        false => stage.cluster.restart(replaced),
    }
    sleep(Duration::from_millis(chance.below(4_000))).await;
    if stage.until(FORMED_WITHIN_MS, || serve(stage)).await {
        return;
    }
    stage.cluster.kill(FOURTH, true);
    lend_name(stage, replaced, replaced);
}

/// Everything is well, and all three run.
fn heal(stage: &Stage) {
    stage.world.net.heal();
    for number in NODES {
        health(stage, number, Health::GOOD);
        stage.cluster.pause(number, false);
        stage.cluster.restart(number);
    }
}

async fn formed(stage: &Stage) -> bool {
    stage.until(FORMED_WITHIN_MS, || serve(stage)).await
}

fn serve(stage: &Stage) -> bool {
    let serves = |number: &usize| stage.cluster.board(*number).borrow().serves;
    NODES.iter().all(serves)
}
