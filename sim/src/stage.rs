//! One run: a thread of its own, a runtime whose clock is false, a world, and somebody who directs what happens there.
//!
//! Promise: the outcome depends on the seed, the injected fault and the director alone. A fresh thread, so that nothing
//! a run left in thread-local storage reaches the next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vineyard_node::config::Join;
use vineyard_raft::features;

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::disk::Health;
use crate::faults::Counts;
use crate::injected::InjectedFault;
use crate::invariants::everything_finishes::{self, RECOVERY_MS_MAX};
use crate::invariants::ids_are_unique::{self, IdsAreUnique};
use crate::invariants::nothing_panics;
use crate::invariants::older_boots_are_refused::{self, OlderBootsAreRefused};
use crate::invariants::replicas_agree::{self, ReplicasAgree};
use crate::invariants::status_tells_the_truth::{self, StatusTellsTheTruth};
use crate::oracle::{Oracle, Tally};
use crate::trace::{Detail, Kind, Trace};
use crate::violation::Violation;
use crate::world::World;

/// How often the checks look at what nodes show.
const LOOK: Duration = Duration::from_millis(50);
/// How old what a node has shown may be, simulated milliseconds.
const SAID_MS_MAX: u64 = 100;
/// How often, in a thousand clusters, the disk of the founder is slow while the cluster forms.
const SLOW_FOUNDER_PER_MILLE: u64 = 500;
/// How often, in a thousand clusters, the founder is killed while the cluster forms.
const FOUNDER_KILLED_PER_MILLE: u64 = 500;
/// How often, in a thousand clusters, the first nodes are of an earlier build.
const OLDER_BUILD_PER_MILLE: u64 = 200;
/// Simulated milliseconds until then, at most, after the last other node has started.
const FOUNDER_LIVES_MS_MAX: u64 = 2_000;
/// Simulated milliseconds between two nodes that join, at most.
const JOINS_APART_MS_MAX: u64 = 400;
/// How often something that must come about is looked for: often enough to fall between two writes of a disk.
const POLL: Duration = Duration::from_millis(1);
/// Simulated nodes run on one thread; deep futures of a debug build need room.
const STACK_BYTES: usize = 16 << 20;

/// Where the trace goes, and how much of it.
pub type Output = Option<(Detail, Box<dyn Write + Send>)>;

/// What a run is to be.
#[derive(Default)]
pub struct Settings {
    pub seed: u64,
    pub injected: Option<InjectedFault>,
    pub output: Output,
}

/// What a run was.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub seed: u64,
    pub simulated_ms: u64,
    pub tally: BTreeMap<&'static str, Tally>,
    pub leader_changes: u64,
    pub migrations: u64,
    pub faults: Counts,
    pub violations: Vec<Violation>,
    /// Of the whole trace.
    pub hash: u64,
    pub lines: u64,
}

/// A world with a cluster in it, and what its director needs.
#[derive(Clone)]
pub struct Stage {
    pub world: World,
    pub cluster: Cluster,
    pub oracle: Rc<RefCell<Oracle>>,
    token: Rc<RefCell<Option<String>>>,
    faults: Rc<RefCell<Counts>>,
    leader_changes: Rc<Cell<u64>>,
}

/// Runs `director` on a new stage to its end.
pub fn run<F, D>(settings: Settings, director: D) -> Outcome
where
    D: FnOnce(Stage) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    nothing_panics::watch();
    let seed = settings.seed;
    let thread = std::thread::Builder::new()
        .name(format!("seed {seed}"))
        .stack_size(STACK_BYTES)
        .spawn(move || perform(settings, director))
        .expect("the machine has room for one more thread");
    thread.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let violation = Violation {
            invariant: nothing_panics::NAME,
            detail: text.unwrap_or_else(|| "the run itself panicked".to_owned()),
            at_ms: 0,
        };
        Outcome {
            seed,
            violations: vec![violation],
            ..Outcome::default()
        }
    })
}

fn perform<F, D>(settings: Settings, director: D) -> Outcome
where
    D: FnOnce(Stage) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the machine");
    runtime.block_on(async {
        let Settings {
            seed,
            injected,
            output,
        } = settings;
        let trace = Trace::new(output);
        let world = World::new(seed, trace, injected);
        let stage = Stage {
            cluster: Cluster::new(world.clone()),
            oracle: Rc::default(),
            token: Rc::default(),
            faults: Rc::default(),
            leader_changes: Rc::default(),
            world,
        };
        let schedule = stage.world.schedule.clone();
        let watched = watch(stage.clone(), director(stage.clone()));
        schedule.drive(watched).await;
        stage.end()
    })
}

/// Runs the director, and beside it looks at what the nodes show.
async fn watch(stage: Stage, director: impl Future<Output = ()>) {
    let mut seen = Seen::default();
    let look = async {
        loop {
            stage.look(&mut seen);
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        () = director => {}
        () = look => {}
    }
    stage.look(&mut seen);
}

/// What the nodes have shown so far.
#[derive(Default)]
struct Seen {
    agree: ReplicasAgree,
    ids: IdsAreUnique,
    status: StatusTellsTheTruth,
    boots: OlderBootsAreRefused,
    leader: Option<usize>,
}

impl Stage {
    fn look(&self, seen: &mut Seen) {
        let mut oracle = self.oracle.borrow_mut();
        oracle.now_ms = self.world.now_ms();
        for (node, place, digest) in self.cluster.take_digests() {
            let judged = seen.agree.observe(&self.cluster.name(node), place, digest);
            oracle.hold(replicas_agree::NAME, judged);
        }
        for (node, life, instance) in self.cluster.lives() {
            let judged = seen.ids.observe(&self.cluster.name(node), life, instance);
            oracle.hold(ids_are_unique::NAME, judged);
        }
        let truth = self.cluster.truth();
        seen.status.pass(&truth);
        for (node, at_ms, says) in self.cluster.says() {
            let judged = seen.status.observe(node, &says, &truth);
            // What a process said before it stood still is no answer of today.
            if truth.now_ms - at_ms <= SAID_MS_MAX {
                oracle.hold(status_tells_the_truth::NAME, judged);
            }
        }
        for (node, life, boots) in self.cluster.dialled() {
            for boot in boots {
                let judged = seen.boots.observe(&self.cluster.name(node), life, boot);
                oracle.hold(older_boots_are_refused::NAME, judged);
            }
        }
        let now = self.cluster.leader();
        if now.is_some() && now != seen.leader {
            if seen.leader.is_some() {
                self.leader_changes.set(self.leader_changes.get() + 1);
            }
            seen.leader = now;
            let name = now
                .map(|number| self.cluster.name(number))
                .unwrap_or_default();
            self.world
                .trace
                .note(Kind::Event, &name, format_args!("leads"));
        }
    }

    /// Forms a cluster of `nodes` nodes, which may be of different builds: the first founds it, the others join with
    /// its token. They do not wait until the founder serves: they start at any time from when its disk has the token.
    /// That disk may be slow, and the founder may be killed and started again meanwhile.
    pub async fn form(&self, nodes: usize) {
        let mut chance = Chance::stream(self.world.seed, "builds");
        let (older, level) = self.draw_older(&mut chance, nodes);
        self.form_of(nodes, older, level).await;
    }

    /// As `form`, with the first `older` nodes of a build that understands what builds of `level` do.
    pub async fn form_of(&self, nodes: usize, older: usize, level: u8) {
        let mut chance = Chance::stream(self.world.seed, "formation");
        let level_of = |number| {
            if number <= older {
                level
            } else {
                features::LATEST
            }
        };
        self.cluster.add(1, None, level_of(1));
        let founder = self.cluster.machine(1).platter;
        if chance.happens(SLOW_FOUNDER_PER_MILLE) {
            founder.set_health(Health::SLOW);
        }
        let has_token = || self.cluster.token_on_disk(1).is_some();
        if !self.until(RECOVERY_MS_MAX, has_token).await {
            return self.hold(Err("the founder does not make a token".to_owned()));
        }
        *self.token.borrow_mut() = self.cluster.token_on_disk(1);
        for number in 2..=nodes {
            sleep(Duration::from_millis(chance.below(JOINS_APART_MS_MAX))).await;
            self.join_at(number, level_of(number));
        }
        if chance.happens(FOUNDER_KILLED_PER_MILLE) {
            sleep(Duration::from_millis(chance.below(FOUNDER_LIVES_MS_MAX))).await;
            self.cluster.kill(1, chance.happens(500));
            // Alone it is the cluster: were it the latest, it would refuse those of its old build that still come.
            self.cluster.restart_as_it_was(1);
        }
        for number in 1..=nodes {
            self.serves(number).await;
        }
        founder.set_health(Health::GOOD);
    }

    /// How many nodes, from the first on, are of an earlier build, and what that build understands.
    fn draw_older(&self, chance: &mut Chance, nodes: usize) -> (usize, u8) {
        if !chance.happens(OLDER_BUILD_PER_MILLE) {
            return (0, features::LATEST);
        }
        let older = 1 + chance.index(nodes);
        let level = chance.below(features::LATEST.into()) as u8;
        self.count_faults(Counts::from([("OlderBuild".to_owned(), older as u64)]));
        (older, level)
    }

    /// Nodes that join from now on do so with this token.
    pub fn hand_out(&self, token: &str) {
        *self.token.borrow_mut() = Some(token.to_owned());
    }

    /// Starts a new node that joins the cluster, which has been founded.
    pub fn join(&self, number: usize) {
        self.join_at(number, features::LATEST);
    }

    /// As `join`, with a build that understands what builds of `level` do.
    pub fn join_at(&self, number: usize, level: u8) {
        let numbers = self.cluster.numbers().into_iter();
        let endpoints = numbers.map(|other| self.cluster.endpoint(other)).collect();
        let token = self.token.borrow().clone();
        let token = token.expect("a cluster that was founded has a token");
        self.cluster
            .add(number, Some(Join { endpoints, token }), level);
    }

    /// Waits until the node serves; a node that does not is a violation.
    pub async fn serves(&self, number: usize) -> bool {
        let board = || self.cluster.board(number);
        let served = self
            .until(RECOVERY_MS_MAX, || board().borrow().serves)
            .await;
        if !served {
            let failure = board().borrow().failure.clone();
            let name = self.cluster.name(number);
            self.hold(Err(format!("{name} does not come to serve: {failure:?}")));
        }
        served
    }

    /// Waits until `holds`, for at most `ms`.
    pub async fn until(&self, ms: u64, holds: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_millis(ms);
        while !holds() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    /// Something that should have come about by now.
    pub fn hold(&self, judged: Result<(), String>) {
        let mut oracle = self.oracle.borrow_mut();
        oracle.now_ms = self.world.now_ms();
        oracle.hold(everything_finishes::NAME, judged);
    }

    pub fn count_faults(&self, counts: Counts) {
        for (kind, count) in counts {
            *self.faults.borrow_mut().entry(kind).or_default() += count;
        }
    }

    fn end(&self) -> Outcome {
        let simulated_ms = self.world.now_ms();
        let (hash, lines) = self.world.trace.close();
        self.world.schedule.kill_all();
        let mut oracle = self.oracle.borrow_mut();
        for panic in nothing_panics::take() {
            oracle.hold(nothing_panics::NAME, Err(panic));
        }
        Outcome {
            seed: self.world.seed,
            simulated_ms,
            tally: std::mem::take(&mut oracle.tally),
            leader_changes: self.leader_changes.get(),
            migrations: oracle.migrations,
            faults: self.faults.borrow().clone(),
            violations: std::mem::take(&mut oracle.violations),
            hash,
            lines,
        }
    }
}
