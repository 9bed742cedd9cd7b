//! What goes wrong, and when: drawn from the seed, counted by kind.
//!
//! A fault has a beginning and an end; `Faults::run` brings one after the other, sometimes two at once, and mends
//! everything at the end of its time. It knows nodes and machines, not what runs on them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::disk::Health;
use crate::network::Link;
use crate::trace::Kind as Line;
use crate::workload::Workload;
use crate::world::World;

/// The kinds of faults. Each is one word in the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    LeaderKilled,
    NodeKilled,
    PowerLost,
    PowerLostEverywhere,
    LeaderPaused,
    NodePaused,
    CutInTwo,
    CutOneWay,
    CutFlapping,
    LeaderCutOff,
    LinkSlow,
    LinkLossy,
    ConnectionsReset,
    DiskSlow,
    DiskFails,
    DiskFull,
    ClockJumped,
    ClientKilled,
    NodeMoved,
    AllMoved,
}

/// Each kind with its weight: the leader's troubles come most, what ends every process comes least.
const KINDS: [(Kind, u64); 20] = [
    (Kind::LeaderKilled, 16),
    (Kind::NodeKilled, 8),
    (Kind::PowerLost, 6),
    (Kind::PowerLostEverywhere, 2),
    (Kind::LeaderPaused, 8),
    (Kind::NodePaused, 6),
    (Kind::CutInTwo, 8),
    (Kind::CutOneWay, 6),
    (Kind::CutFlapping, 4),
    (Kind::LeaderCutOff, 8),
    (Kind::LinkSlow, 6),
    (Kind::LinkLossy, 6),
    (Kind::ConnectionsReset, 10),
    (Kind::DiskSlow, 6),
    (Kind::DiskFails, 4),
    (Kind::DiskFull, 4),
    (Kind::ClockJumped, 4),
    (Kind::ClientKilled, 10),
    (Kind::NodeMoved, 4),
    (Kind::AllMoved, 2),
];

/// Room that is less than is kept back, and enough for what is written.
const SHORT_BYTES: u64 = 12 << 20;

/// How often each kind happened.
pub type Counts = BTreeMap<String, u64>;

/// Brings the faults of one run.
#[derive(Clone)]
pub struct Faults {
    world: World,
    cluster: Cluster,
    workload: Workload,
    chance: Rc<RefCell<Chance>>,
    counts: Rc<RefCell<Counts>>,
}

impl Faults {
    pub fn new(world: &World, cluster: &Cluster, workload: &Workload) -> Self {
        Self {
            world: world.clone(),
            cluster: cluster.clone(),
            workload: workload.clone(),
            chance: Rc::new(RefCell::new(Chance::stream(world.seed, "faults"))),
            counts: Rc::default(),
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    fn between(&self, from: u64, to: u64) -> u64 {
        self.chance.borrow_mut().between(from, to)
    }

    fn draw(&self) -> Kind {
        let all = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.chance.borrow_mut().below(all);
        for (kind, weight) in KINDS {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        Kind::LeaderKilled
    }

    /// Some node that runs.
    fn anyone(&self) -> Option<usize> {
        let mut numbers = self.cluster.numbers();
        numbers.retain(|number| self.cluster.runs(*number));
        self.chance.borrow_mut().pick(&numbers).copied()
    }

    /// Brings faults until `until`, then mends everything.
    pub async fn run(&self, until: Instant) {
        loop {
            sleep(Duration::from_millis(self.between(300, 2500))).await;
            if Instant::now() >= until {
                break;
            }
            let (first, second) = (self.draw(), self.draw());
            if self.chance.borrow_mut().happens(150) {
                let later = async {
                    sleep(Duration::from_millis(self.between(0, 800))).await;
                    self.bring(second, until).await;
                };
                futures::future::join(self.bring(first, until), later).await;
            } else {
                self.bring(first, until).await;
            }
            self.revive();
        }
        self.mend();
    }

    /// Starts what ended by itself: an operator, or a service manager, would.
    fn revive(&self) {
        for number in self.cluster.numbers() {
            let platter = self.cluster.machine(number).platter;
            if !self.cluster.runs(number) || platter.is_poisoned() {
                self.cluster.kill(number, true);
                platter.set_health(Health::GOOD);
                self.cluster.restart(number);
            }
        }
    }

    /// Ends every fault and brings every node back.
    pub fn mend(&self) {
        self.world.net.heal();
        for number in self.cluster.numbers() {
            self.cluster.pause(number, false);
            self.cluster
                .machine(number)
                .platter
                .set_health(Health::GOOD);
            self.cluster.machine(number).platter.set_free(None);
        }
        self.revive();
        self.world
            .trace
            .note(Line::Fault, "all", format_args!("everything is mended"));
    }

    fn count(&self, kind: Kind, who: &str) {
        *self
            .counts
            .borrow_mut()
            .entry(format!("{kind:?}"))
            .or_default() += 1;
        self.world
            .trace
            .note(Line::Fault, who, format_args!("{kind:?}"));
    }

    /// One fault from its beginning to its end, or to `until`.
    pub async fn bring(&self, kind: Kind, until: Instant) {
        let subject = match kind {
            Kind::LeaderKilled | Kind::LeaderPaused | Kind::LeaderCutOff => self.cluster.leader(),
            _ => self.anyone(),
        };
        let Some(subject) = subject else { return };
        self.count(kind, &self.cluster.name(subject));
        match kind {
            Kind::LeaderKilled | Kind::NodeKilled => self.kill(&[subject], true, until).await,
            Kind::PowerLost => self.kill(&[subject], false, until).await,
            Kind::PowerLostEverywhere => {
                self.kill(&self.cluster.numbers(), false, until).await;
            }
            Kind::LeaderPaused | Kind::NodePaused => {
                self.cluster.pause(subject, true);
                self.last(500, 6000, until).await;
                self.cluster.pause(subject, false);
            }
            Kind::CutInTwo | Kind::CutOneWay | Kind::CutFlapping | Kind::LeaderCutOff => {
                self.cut(kind, subject, until).await;
            }
            Kind::LinkSlow | Kind::LinkLossy => self.strain(kind, subject, until).await,
            Kind::ConnectionsReset => {
                for _ in 0..self.between(1, 12) {
                    self.world.net.reset_one();
                    sleep(Duration::from_millis(self.between(0, 200))).await;
                }
            }
            Kind::DiskSlow => {
                self.cluster
                    .machine(subject)
                    .platter
                    .set_health(Health::SLOW);
                self.last(1000, 6000, until).await;
                self.cluster
                    .machine(subject)
                    .platter
                    .set_health(Health::GOOD);
            }
            Kind::DiskFails => {
                let failing = Health {
                    fails_per_mille: 1000,
                    ..Health::GOOD
                };
                self.cluster.machine(subject).platter.set_health(failing);
                self.last(500, 4000, until).await;
            }
            Kind::DiskFull => {
                let short = self.chance.borrow_mut().happens(500);
                let free = if short { SHORT_BYTES } else { 0 };
                let platter = self.cluster.machine(subject).platter;
                platter.set_free(Some(free));
                self.last(1000, 6000, until).await;
                platter.set_free(None);
            }
            Kind::ClientKilled => {
                let name = self.workload.kill_one(&mut self.chance.borrow_mut());
                self.world
                    .trace
                    .note(Line::Fault, &name, format_args!("is killed and replaced"));
            }
            Kind::NodeMoved => self.move_away(Some(subject), until).await,
            Kind::AllMoved => self.move_away(None, until).await,
            Kind::ClockJumped => {
                let by = self.between(0, 20_000) as i64 - 10_000;
                self.cluster.machine(subject).clock.jump(by);
            }
        }
    }

    /// Waits for a drawn time, but not past `until`.
    async fn last(&self, from_ms: u64, to_ms: u64, until: Instant) {
        let end = Instant::now() + Duration::from_millis(self.between(from_ms, to_ms));
        sleep_until(end.min(until)).await;
    }

    async fn kill(&self, numbers: &[usize], power: bool, until: Instant) {
        for number in numbers {
            self.cluster.kill(*number, power);
        }
        self.last(200, 5000, until).await;
        for number in numbers {
            self.cluster.restart(*number);
        }
    }

    /// Nodes end and are started at other addresses: new ones, or those that others of them had. The operator names
    /// one of them, or all that there are.
    async fn move_away(&self, only: Option<usize>, until: Instant) {
        let power = self.chance.borrow_mut().happens(500);
        let those = || only.map_or_else(|| self.cluster.numbers(), |only| vec![only]);
        for number in those() {
            self.cluster.kill(number, power);
        }
        self.last(200, 3000, until).await;
        // One that was started to join meanwhile has the addresses of before: it moves with the others.
        let numbers = &those();
        let exchanged = numbers.len() > 1 && self.chance.borrow_mut().happens(300);
        let nth = self.counts.borrow().values().sum::<u64>();
        let to = |(index, number): (usize, &usize)| match exchanged {
            true => self.cluster.ip(numbers[(index + 1) % numbers.len()]),
            false => format!("10.{}.{}.{number}", 1 + nth / 250, nth % 250),
        };
        let addresses: Vec<String> = numbers.iter().enumerate().map(to).collect();
        let moves: Vec<_> = numbers.iter().copied().zip(addresses).collect();
        let all = self.cluster.numbers();
        let seeds = match self.chance.borrow_mut().happens(500) {
            true => all,
            false => all[..1].to_vec(),
        };
        // Another fault may have started one of them again meanwhile.
        for number in numbers {
            self.cluster.kill(*number, power);
        }
        self.cluster.readdress(&moves, &seeds);
        for number in numbers {
            self.cluster.restart(*number);
        }
    }

    async fn cut(&self, kind: Kind, subject: usize, until: Instant) {
        let apart = |one: usize, other: usize| match kind {
            Kind::CutInTwo => (one < subject) != (other < subject),
            _ => one == subject || other == subject,
        };
        let rounds = if kind == Kind::CutFlapping {
            self.between(2, 6)
        } else {
            1
        };
        let inward = self.chance.borrow_mut().happens(500);
        for _ in 0..rounds {
            for one in self.cluster.numbers() {
                for other in self.cluster.numbers() {
                    let (from, to) = if inward { (one, other) } else { (other, one) };
                    let one_way = kind == Kind::CutOneWay && to != subject;
                    if one != other && apart(one, other) && !one_way {
                        self.world
                            .net
                            .cut(&self.cluster.ip(from), &self.cluster.ip(to));
                    }
                }
            }
            match kind {
                Kind::CutFlapping => self.last(100, 1500, until).await,
                _ => self.last(500, 6000, until).await,
            }
            self.world.net.heal();
            if rounds > 1 {
                self.last(50, 800, until).await;
            }
        }
    }

    async fn strain(&self, kind: Kind, subject: usize, until: Instant) {
        let link = match kind {
            Kind::LinkSlow => Link {
                delay_ms: self.between(10, 150),
                bytes_per_ms: 500,
                ..Link::NORMAL
            },
            _ => Link {
                loss_per_mille: self.between(20, 200),
                jitter_ms: 20,
                ..Link::NORMAL
            },
        };
        for other in self.cluster.numbers() {
            let (here, there) = (self.cluster.ip(subject), self.cluster.ip(other));
            self.world.net.set_link(&here, &there, link);
            self.world.net.set_link(&there, &here, link);
        }
        self.last(1000, 6000, until).await;
        self.world.net.heal();
    }
}
