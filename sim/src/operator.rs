//! An operator who drains nodes while clients work and faults happen, and then lets them go on, starts them anew, or
//! lets them leave the cluster, sometimes with a new node in their place.
//!
//! Promise: only some seeds have one, and its chance is its own, so that the others are what they would be without it.
//! What a drain promised it tells the oracle: the bytes are elsewhere, and are not lost with the node that was drained.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vineyard_client::{Client, Error, Options};
use vineyard_wire::reply::DrainProgress;
use vineyard_wire::{Code, InstanceId, NodeId, ObjectId, Tree};

use crate::chance::Chance;
use crate::cluster::{Cluster, socket};
use crate::content;
use crate::faults::Counts;
use crate::invariants::everything_finishes::{self, RECOVERY_MS_MAX};
use crate::invariants::nothing_acknowledged_is_lost::{self as lost, Certainty};
use crate::stage::Stage;
use crate::trace::Kind;
use crate::workload::places;

/// The name of its process.
const NAME: &str = "operator";
/// How often, in a thousand seeds, there is one.
const SEEDS_PER_MILLE: u64 = 300;
const PAUSE: Duration = Duration::from_millis(200);
/// How often something is asked before it is given up.
const TRIES: usize = 60;
/// How often nodes are asked what they know, before that stays unknown.
const LOOKS: usize = 5;
/// So many nodes leave in one run, at most.
const LEAVES_MAX: usize = 2;
/// Objects that are read again after their node has ended.
const READ_MAX: usize = 30;

/// See the module.
pub struct Operator {
    stage: Stage,
    cluster: Cluster,
    chance: Chance,
    /// Nothing new is begun from then on.
    until: Instant,
    /// The number of the next new node.
    newcomer: usize,
    left: usize,
}

/// A node that was drained, and whose process has gone on.
struct Drained {
    number: usize,
    instance: InstanceId,
    /// What others have of it.
    ids: Vec<ObjectId>,
}

impl Operator {
    /// The operator of this seed, if it has one. New nodes have the numbers from `newcomer` on.
    pub fn of(stage: &Stage, until: Instant, newcomer: usize) -> Option<Self> {
        let mut chance = Chance::stream(stage.world.seed, NAME);
        chance.happens(SEEDS_PER_MILLE).then(|| Self {
            stage: stage.clone(),
            cluster: stage.cluster.clone(),
            chance,
            until,
            newcomer,
            left: 0,
        })
    }

    /// Begins its work, as a process.
    pub fn start(self) {
        let schedule = self.stage.world.schedule.clone();
        schedule.start(NAME, self.work());
    }

    /// Waits until the operator of the stage, if there is one, has ended its work. Nothing disturbs it any more.
    pub async fn end(stage: &Stage) {
        let runs = || stage.world.schedule.runs(NAME);
        if runs() && !stage.until(3 * RECOVERY_MS_MAX, || !runs()).await {
            stage.hold(Err(format!("the {NAME} does not come to an end")));
        }
    }

    async fn work(mut self) {
        loop {
            sleep(Duration::from_millis(self.chance.between(500, 6_000))).await;
            if Instant::now() >= self.until {
                return;
            }
            // Others cannot be drained.
            if self.cluster.is_at_latest() {
                self.attend().await;
            }
        }
    }

    /// Drains one node, and decides what becomes of it.
    async fn attend(&mut self) {
        let Some(number) = self.anyone(None) else {
            return;
        };
        let Some(drained) = self.drain(number).await else {
            return self.uncordon(number).await;
        };
        match self.chance.below(10) {
            0..=2 => self.uncordon(number).await,
            3..=5 => self.start_anew(drained).await,
            _ if self.left < LEAVES_MAX => self.let_leave(drained).await,
            _ => self.uncordon(number).await,
        }
    }

    /// Some node that serves, not `but` if there is another.
    fn anyone(&mut self, but: Option<usize>) -> Option<usize> {
        let mut numbers = self.cluster.numbers();
        numbers.retain(|number| self.cluster.board(*number).borrow().serves);
        if numbers.len() > 1 {
            numbers.retain(|number| Some(*number) != but);
        }
        self.chance.pick(&numbers).copied()
    }

    async fn client(&self, number: usize) -> Option<Client> {
        let world = &self.stage.world;
        let machine = world.client(&self.cluster.machine(number), NAME);
        let (path, options) = (socket(number), Options::default());
        machine.connect_ipc(&path, &options).await.ok()
    }

    /// `None` if nothing is certain of what it had: it refused, does not come to an end, or was started again.
    async fn drain(&mut self, number: usize) -> Option<Drained> {
        let all = self.chance.happens(500);
        let instance = self.cluster.board(number).borrow().instance?;
        let asked = match self.chance.happens(700) {
            true => number,
            false => self.anyone(Some(number))?,
        };
        let others = self.others(number);
        let ids = |certainty| self.stage.oracle.borrow().held_by(instance, certainty);
        let (mut ids, transient) = (ids(Certainty::Yes), ids(Certainty::No));
        let progress = self.drained(asked, instance.node(), all).await?;
        if self.cluster.board(number).borrow().instance != Some(instance) {
            return None;
        }
        self.count(if all {
            "NodeDrainedOfAll"
        } else {
            "NodeDrained"
        });
        if all && progress.objects_kept == 0 {
            let mut oracle = self.stage.oracle.borrow_mut();
            oracle.persist(&transient, Certainty::Yes);
            ids.extend(transient);
        }
        self.learn_places(number, instance, &ids, &others).await;
        Some(Drained {
            number,
            instance,
            ids,
        })
    }

    /// Asks until nothing is left that only `node` has.
    async fn drained(&mut self, asked: usize, node: NodeId, all: bool) -> Option<DrainProgress> {
        let give_up = self.until + Duration::from_secs(20);
        let mut connected = None;
        for _ in 0..TRIES {
            if Instant::now() >= give_up {
                break;
            }
            let client = match connected.take() {
                Some(client) => Some(client),
                None => self.client(asked).await,
            };
            if let Some(client) = client {
                let drained = client.drain_node(node, all).await;
                self.note(&format!("drain {node}"), &drained);
                match drained {
                    Ok(progress) if progress.done => return Some(progress),
                    Err(error) if is_refused(&error) => {
                        self.count("DrainRefused");
                        return None;
                    }
                    Ok(_) | Err(Error::Status { .. }) => connected = Some(client),
                    Err(_) => {}
                }
            }
            sleep(PAUSE).await;
        }
        self.count("DrainGivenUp");
        None
    }

    /// The lives of the nodes that serve, without `number`; `None` unless all the others do.
    fn others(&self, number: usize) -> Option<BTreeMap<usize, InstanceId>> {
        let lives = self.cluster.lives().into_iter();
        let others = lives.map(|(other, _, instance)| (other, instance));
        let others: BTreeMap<_, _> = others.filter(|(other, _)| *other != number).collect();
        let mut numbers = self.cluster.numbers().into_iter();
        let all_serve = numbers.all(|other| other == number || others.contains_key(&other));
        all_serve.then_some(others)
    }

    /// Asks another node where the bytes of `ids` are, which `instance` has, node `number`, and some other one as well.
    /// If it names that instance, or nobody tells, they are with those that have served since `before`, if all have.
    async fn learn_places(
        &mut self,
        number: usize,
        instance: InstanceId,
        ids: &[ObjectId],
        before: &Option<BTreeMap<usize, InstanceId>>,
    ) {
        let trees = self.trees(number, ids).await.unwrap_or_default();
        let steady = self
            .others(number)
            .filter(|now| before.as_ref() == Some(now));
        let steady: Option<BTreeSet<InstanceId>> = steady.map(|now| now.into_values().collect());
        let mut oracle = self.stage.oracle.borrow_mut();
        for id in ids {
            let named = trees.get(id).map(places);
            let named = named.filter(|places| !places.contains(&instance));
            if let Some(copies) = named.or_else(|| steady.clone()) {
                oracle.copied(*id, copies);
            }
        }
    }

    /// What a node other than `number` says of them, once the majority has confirmed it.
    async fn trees(&mut self, number: usize, ids: &[ObjectId]) -> Option<BTreeMap<ObjectId, Tree>> {
        for _ in 0..LOOKS {
            let other = self.anyone(Some(number)).filter(|other| *other != number);
            let Some(other) = other else { continue };
            if let Some(client) = self.client(other).await
                && let Ok(trees) = client.get_metadatas(ids, true).await
            {
                return Some(trees);
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Lets the node take copies again.
    async fn uncordon(&mut self, number: usize) {
        let Some(node) = self.cluster.node_of(number) else {
            return;
        };
        let deadline = self.until + Duration::from_millis(RECOVERY_MS_MAX);
        while !self.cluster.has_left(number) {
            if let Some(asked) = self.anyone(None)
                && let Some(client) = self.client(asked).await
            {
                let uncordoned = client.uncordon_node(node).await;
                self.note(&format!("uncordon {node}"), &uncordoned);
                if uncordoned.is_ok() {
                    return self.count("NodeUncordoned");
                }
            }
            if Instant::now() >= deadline {
                let what = format!("{node} can neither be uncordoned nor has it left");
                return self.hold(everything_finishes::NAME, what);
            }
            sleep(PAUSE).await;
        }
    }

    /// Starts the process anew: others have what it had.
    async fn start_anew(&mut self, drained: Drained) {
        let Drained { number, ids, .. } = drained;
        self.cluster.kill(number, true);
        sleep(Duration::from_millis(self.chance.between(100, 1_500))).await;
        self.cluster.restart(number);
        self.count("DrainedRestarted");
        self.read_again(number, &ids).await;
        self.uncordon(number).await;
    }

    /// Lets the node leave the cluster, or stay if it cannot.
    async fn let_leave(&mut self, drained: Drained) {
        let Drained {
            number,
            instance,
            ids,
        } = drained;
        // What was persisted since the drain goes with it, then.
        let discard = self.chance.happens(300);
        let (life, others) = (self.cluster.life(number), self.others(number));
        self.cluster.let_leave(number);
        if !self.has_left(number, instance.node(), discard).await {
            self.count("LeaveGivenUp");
            return self.uncordon(number).await;
        }
        self.count("NodeLeft");
        self.left += 1;
        let is_of_this_life = self.cluster.life(number) == life;
        if is_of_this_life && !discard {
            let held = self.stage.oracle.borrow().held_by(instance, Certainty::Yes);
            self.learn_places(number, instance, &held, &others).await;
        }
        self.read_again(number, &ids).await;
        if self.chance.happens(500) {
            self.stage.join(self.newcomer);
            self.newcomer += 1;
            self.count("LeftReplaced");
        }
    }

    /// Asks until it has left. What only it has is moved first, unless it is given up.
    async fn has_left(&mut self, number: usize, node: NodeId, discard: bool) -> bool {
        let give_up = self.until + Duration::from_secs(20);
        for _ in 0..TRIES {
            if self.cluster.has_left(number) {
                return true;
            }
            if Instant::now() >= give_up {
                return false;
            }
            if let Some(client) = self.client(number).await {
                let left = client.leave_cluster(discard).await;
                self.note(&format!("{node} leaves"), &left);
                match left {
                    Err(Error::Status {
                        code: Code::VineyardServerNotReady,
                        ..
                    }) if !discard => {
                        let drained = client.drain_node(node, false).await;
                        self.note(&format!("drain {node}, which leaves"), &drained);
                    }
                    Err(error) if is_refused(&error) => return false,
                    _ => {}
                }
            }
            sleep(PAUSE).await;
        }
        false
    }

    /// Reads from another node what node `number` had before it ended.
    async fn read_again(&mut self, number: usize, ids: &[ObjectId]) {
        let mut ids = ids.to_vec();
        self.chance.shuffle(&mut ids);
        ids.truncate(READ_MAX);
        // A node that has applied what the majority has; it may be another one that is asked then.
        if self.trees(number, &ids).await.is_none() {
            return;
        }
        let Some(other) = self.anyone(Some(number)) else {
            return;
        };
        let Some(client) = self.client(other).await else {
            return;
        };
        for id in ids {
            match client.get(id).await {
                Ok(object) => {
                    let content = content::of_object(&object);
                    self.stage.oracle.borrow_mut().read(NAME, id, content);
                }
                Err(Error::Lost { .. }) if self.is_held(id) => {
                    let what = format!(
                        "{id} was persisted before n{number} was drained, and is lost with it"
                    );
                    self.hold(lost::NAME, what);
                }
                Err(Error::Status { .. } | Error::Lost { .. } | Error::OutOfReach { .. }) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether the object is to be read now.
    fn is_held(&self, id: ObjectId) -> bool {
        let oracle = self.stage.oracle.borrow();
        let known = oracle.objects.get(&id);
        known.is_some_and(|known| {
            known.deleted == Certainty::No && known.is_held(&self.cluster.instances())
        })
    }

    fn hold(&self, invariant: &'static str, what: String) {
        let mut oracle = self.stage.oracle.borrow_mut();
        oracle.now_ms = self.stage.world.now_ms();
        oracle.hold(invariant, Err(what));
    }

    fn count(&self, kind: &str) {
        self.stage
            .count_faults(Counts::from([(kind.to_owned(), 1)]));
        let trace = &self.stage.world.trace;
        trace.note(Kind::Event, NAME, format_args!("{kind}"));
    }

    fn note<T: std::fmt::Debug>(&self, what: &str, result: &Result<T, Error>) {
        let trace = &self.stage.world.trace;
        match result {
            Ok(told) => trace.note(Kind::Operation, NAME, format_args!("{what}: {told:?}")),
            Err(error) => trace.note(Kind::Operation, NAME, format_args!("{what}: {error}")),
        }
    }
}

/// Whether to ask again would change nothing.
fn is_refused(error: &Error) -> bool {
    let passes = [Code::IoError, Code::VineyardServerNotReady];
    error.code().is_some_and(|code| !passes.contains(&code))
}
