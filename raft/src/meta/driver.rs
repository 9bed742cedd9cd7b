//! The raft thread: everything that touches openraft happens here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use vineyard_env::{Detached, Env};
use vineyard_wire::{NodeId, Trace};

use super::byte_semaphore::ByteSemaphore;
use super::{Founding, Member, Permit, Status};
use crate::command::{Applied, Command, RequestKey};
use crate::error::Error;
use crate::features;
use crate::log::Log;
use crate::machine::{Machine, SnapshotStore};
use crate::options::{FORWARDS_MAX, LINK_IDLE_HEARTBEATS, Options};
use crate::peers::Dial;
use crate::peers::MayAsk;
use crate::peers::link::Links;
use crate::peers::network::Network;
use crate::peers::serve::Arriving;
use crate::published::epoch::Epoch;
use crate::published::{Leads, Published, View};
use crate::types::runtime;
use crate::types::{Address, Raft};

mod compact;
mod confirm;
mod desk;
mod group;
mod hand_over;
mod propose;
pub(crate) mod recover;
mod room;
mod standing;

use desk::{Desk, Ending};
pub use recover::Survey;

/// What other threads ask of the raft thread. A job keeps its permit until it is answered, also when its caller is
/// gone.
pub(crate) enum Job {
    Submit {
        key: Option<RequestKey>,
        command: Arc<Command>,
        trace: Option<Trace>,
        until: Instant,
        reply: oneshot::Sender<Result<Applied, Error>>,
        permit: Permit,
    },
    Confirm {
        until: Instant,
        reply: oneshot::Sender<Result<(), Error>>,
        permit: Permit,
    },
    Admit {
        key: u128,
        endpoint: String,
        level: u8,
        until: Instant,
        reply: oneshot::Sender<Result<(NodeId, String), Error>>,
        permit: Permit,
    },
    /// What would be recovered from here.
    Survey {
        reply: oneshot::Sender<Result<Survey, Error>>,
        permit: Permit,
    },
    Recover(recover::Asked),
    Serve {
        connection: Box<dyn Detached>,
        /// Of the cluster that the handshake was about.
        epoch: u64,
        may_ask: MayAsk,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// What the raft thread is started with.
pub(crate) struct Parts {
    pub(crate) ground: Ground,
    pub(crate) queue: mpsc::Receiver<Job>,
    pub(crate) ready: oneshot::Sender<Result<(), Error>>,
}

/// What every life of raft in this process is started with.
pub(crate) struct Ground {
    pub(crate) env: Env,
    pub(crate) options: Options,
    pub(crate) member: Member,
    pub(crate) dial: Arc<dyn Dial>,
}

/// The raft thread's own things; its tasks share them.
pub(crate) struct Driver {
    pub(crate) raft: Raft,
    pub(crate) shared: Arc<Published>,
    pub(crate) links: Links,
    pub(crate) env: Env,
    pub(crate) me: NodeId,
    epoch: Epoch,
    pub(crate) options: Options,
    pub(crate) arriving: RefCell<Arriving>,
    /// Rung when the membership may need a look.
    pub(crate) group_changed: Notify,
    log: Log,
    snapshots: SnapshotStore,
    confirms: confirm::Confirms,
    /// One permit: a node is admitted after the other.
    admissions: Semaphore,
    /// A permit for each command that is being forwarded to the leader.
    forwards: Semaphore,
    /// Permits for the bytes of commands that were proposed here and are not yet committed and on this disk. What a
    /// client asks waits here, in order, until a disk or a majority has caught up; openraft never waits: what it has
    /// taken fits.
    proposed_bytes: ByteSemaphore,
    /// A member tries again and again; it is said once.
    met_unreadable: Cell<bool>,
}

/// Runs until a `Stop` job, or until every handle is gone.
pub(crate) async fn run(parts: Parts, shared: Arc<Published>) {
    let scope = runtime::Scope {
        random: parts.ground.env.random.clone(),
        pace: shared.pace.clone(),
    };
    runtime::within(scope, run_here(parts, shared)).await;
}

async fn run_here(parts: Parts, shared: Arc<Published>) {
    let Parts {
        ground,
        mut queue,
        ready,
    } = parts;
    let desk = match start(&ground, &shared, None).await {
        Ok(driver) => Desk::open(driver),
        Err(error) => {
            // The starter may have given up.
            drop(ready.send(Err(error)));
            return;
        }
    };
    let member = &ground.member;
    let founded = match &member.found {
        Some(founding) => desk.driver.founded(founding, &member.endpoint).await,
        None => Ok(()),
    };
    let is_founded = founded.is_ok();
    // The starter may have given up.
    drop(ready.send(founded));
    let (desk, stopped) = match is_founded {
        true => match work(desk, &mut queue, &ground, &shared).await {
            Some(ended) => ended,
            None => return shared.end(),
        },
        false => (desk, None),
    };
    let log = desk.driver.log.clone();
    // Who waits for an answer is told that nothing comes any more.
    queue.close();
    desk.close().await;
    log.settle().await;
    shared.end();
    if let Some(reply) = stopped {
        // The caller may have given up.
        let _given_up = reply.send(());
    }
}

/// Does jobs in one life of raft after the other. Returns the last one, and where to say that it has stopped, if that
/// was asked for; `None` if raft cannot go on after a recovery.
async fn work(
    mut desk: Desk,
    queue: &mut mpsc::Receiver<Job>,
    ground: &Ground,
    shared: &Arc<Published>,
) -> Option<(Desk, Option<oneshot::Sender<()>>)> {
    loop {
        match desk.work(queue, std::future::pending()).await {
            Some(Ending::Recover(asked)) => {
                desk = recover::recover(desk, ground, shared, asked).await?;
            }
            Some(Ending::Stop(reply)) => {
                // The next leader may need this node's answers until it leads.
                let leaving = desk.driver.clone();
                drop(desk.work(queue, leaving.hand_over()).await);
                return Some((desk, Some(reply)));
            }
            None => return Some((desk, None)),
        }
    }
}

/// What raft is started again from, after a recovery.
struct Kept {
    log: Log,
    machine: Machine,
}

async fn start(
    ground: &Ground,
    shared: &Arc<Published>,
    kept: Option<Kept>,
) -> Result<Driver, Error> {
    let Ground {
        env,
        options,
        member,
        dial,
    } = ground;
    let Kept { log, machine } = match kept {
        Some(kept) => kept,
        None => load(env, shared).map_err(|error| Error::Unusable(error.to_string()))?,
    };
    let idle = Duration::from_millis(options.heartbeat_ms) * LINK_IDLE_HEARTBEATS;
    let links = Links::new(dial.clone(), shared.clone(), idle);
    let network = Network(links.clone());
    let config = options.raft_config()?;
    let snapshots = machine.snapshots();
    let raft = Raft::new(member.node, config, network, log.clone(), machine)
        .await
        .map_err(|error| match shared.ended.get() {
            Some(reason) => reason.clone(),
            None => Error::Unusable(said(&error)),
        })?;
    let proposed_bytes = ByteSemaphore::new(options.proposals_bytes_max);
    let driver = Driver {
        raft,
        shared: shared.clone(),
        links,
        env: env.clone(),
        me: member.node,
        epoch: member.epoch.clone(),
        options: options.clone(),
        arriving: RefCell::default(),
        group_changed: Notify::new(),
        log,
        snapshots,
        confirms: confirm::Confirms::default(),
        admissions: Semaphore::new(1),
        forwards: Semaphore::new(FORWARDS_MAX),
        proposed_bytes,
        met_unreadable: Cell::new(false),
    };
    if member.found.is_some() {
        driver.initialize(&member.endpoint).await?;
    }
    Ok(driver)
}

/// What the disk has.
fn load(env: &Env, shared: &Arc<Published>) -> io::Result<Kept> {
    let log = Log::load(env.disk.clone(), env.faults.clone())?;
    let (disk, threads) = (env.disk.clone(), env.threads.clone());
    let machine = Machine::load(disk, threads, shared.clone(), env.faults.clone())?;
    Ok(Kept { log, machine })
}

/// Notes on the disk that the round trip which is set was agreed on, so that the next start applies it before it hears
/// a leader.
async fn remember_pace(driver: Rc<Driver>) {
    loop {
        driver.shared.pace.changed().await;
        driver.log.settle().await;
    }
}

/// Publishes what openraft says of the group, as it says it.
async fn follow_metrics(driver: Rc<Driver>) {
    let mut metrics = driver.raft.metrics();
    loop {
        let view = view(&driver, &metrics.borrow_watched());
        if let (Some(led), None) = (driver.shared.view.load().leads, view.leads) {
            driver.shared.contact.led_until(led.quorum);
        }
        let members = view.status.voters.len() + view.status.learners.len();
        driver.log.set_alone(members == 1 && view.status.is_leader);
        driver.shared.view.store(Arc::new(view));
        driver.group_changed.notify_one();
        if metrics.changed().await.is_err() {
            // Nothing will be applied here any more.
            driver.shared.progress.close();
            return;
        }
    }
}

fn view(driver: &Driver, metrics: &openraft::RaftMetrics<crate::types::TypeConfig>) -> View {
    let now = Instant::now();
    let ago = |at: Duration| {
        let ago = driver.shared.pace.stretch(at);
        now.checked_sub(ago).unwrap_or(now)
    };
    let membership = metrics.membership_config.membership();
    let heartbeat = metrics.heartbeat.as_ref();
    let heard = heartbeat
        .into_iter()
        .flatten()
        .filter(|(node, _)| **node != driver.me);
    let failure = match &metrics.running_state {
        Ok(()) => None,
        Err(fatal) => Some(failure_of(fatal).to_string()),
    };
    // openraft's metrics stop changing after a fatal error.
    let leader = metrics.current_leader.filter(|_| failure.is_none());
    let is_leader = leader == Some(driver.me) && metrics.state.is_leader();
    let leads = is_leader.then(|| {
        let term = metrics.current_term;
        let before = driver.shared.view.load().leads;
        let since = before.filter(|leads| leads.term == term);
        let since = since.map_or(now, |leads| leads.since);
        let answered = metrics.last_quorum_acked.map(|at| ago(at.elapsed()));
        Leads {
            term,
            since,
            quorum: answered.map_or(since, |at| at.max(since)),
        }
    });
    let status = Status {
        leader,
        me: driver.me,
        is_leader,
        voters: membership.voter_ids().collect(),
        learners: membership.learner_ids().collect(),
        term: metrics.current_term,
        commit_index: metrics
            .local_committed
            .map_or(0, |committed| committed.index),
        failure,
        ..Status::default()
    };
    View {
        status,
        heard: heard
            .filter_map(|(node, at)| Some((*node, ago((*at)?.elapsed()))))
            .collect(),
        leads,
        endpoints: membership
            .nodes()
            .map(|(node, at)| (*node, at.endpoint.clone()))
            .collect(),
    }
}

fn failure_of(fatal: &Fatal<crate::types::TypeConfig>) -> Error {
    match fatal {
        Fatal::StorageError(_) => Error::Disk(said(fatal)),
        _ => Error::Stopped,
    }
}

/// What the disk said, without what openraft was doing, which it says in terms of its own.
fn said(fatal: &Fatal<crate::types::TypeConfig>) -> String {
    let reason = match fatal {
        Fatal::StorageError(error) => std::error::Error::source(error).map(ToString::to_string),
        _ => None,
    };
    reason.unwrap_or_else(|| fatal.to_string())
}

impl Driver {
    /// Makes this node the first voter of a new cluster, once.
    async fn initialize(&self, endpoint: &str) -> Result<(), Error> {
        let unusable = |error: String| Error::Unusable(error);
        if self
            .raft
            .is_initialized()
            .await
            .map_err(|error| unusable(error.to_string()))?
        {
            return Ok(());
        }
        let address = Address {
            endpoint: endpoint.to_owned(),
        };
        let members = BTreeMap::from([(self.me, address)]);
        self.raft
            .initialize(members)
            .await
            .map_err(|error| unusable(error.to_string()))
    }

    /// How long the group takes for `time` at its present pace.
    pub(crate) fn stretch(&self, time: Duration) -> Duration {
        self.shared.pace.stretch(time)
    }

    /// Why raft has stopped here, if it has: it never starts again in this process.
    fn dead(&self) -> Option<Error> {
        if let Some(reason) = self.shared.ended.get() {
            return Some(reason.clone());
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        match &metrics.running_state {
            Ok(()) => None,
            Err(fatal) => Some(failure_of(fatal)),
        }
    }

    /// Returns when it becomes known that another node than `node` leads. What was known before is no news: it may be
    /// what `node` was asked in spite of.
    async fn another_leads(&self, node: NodeId) -> NodeId {
        let mut metrics = self.raft.server_metrics();
        let before = metrics.borrow_watched().current_leader;
        loop {
            let leader = metrics.borrow_watched().current_leader;
            match leader {
                Some(other) if other != node && leader != before => return other,
                _ if metrics.changed().await.is_err() => std::future::pending().await,
                _ => {}
            }
        }
    }

    /// Returns once the cluster has its name and this node in it. A founder that is not the only voter has admitted
    /// others, and so was admitted before.
    async fn founded(&self, founding: &Founding, endpoint: &str) -> Result<(), Error> {
        let Founding { cluster, key } = founding;
        while self.is_only_voter() && self.shared.state.load().node_of_key(*key).is_none() {
            let command = self.next_of_founding(cluster.clone(), *key, endpoint.to_owned());
            let until = Instant::now() + FOUND_WITHIN;
            match self.submit(None, Arc::new(command), None, until).await {
                Err(Error::Deadline { waited_for, .. }) => {
                    tracing::warn!(waited_for, "the cluster is not founded yet");
                }
                // It was chosen before the log of an earlier start had been applied.
                Ok(_) | Err(Error::FeatureLevel { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Below level `LIVES` the cluster is founded in two entries.
    fn next_of_founding(&self, cluster: String, key: u128, endpoint: String) -> Command {
        if self.feature_level() >= features::LIVES {
            return Command::FoundBy {
                cluster,
                key,
                endpoint,
            };
        }
        match self.shared.state.load().cluster() {
            None => Command::Found { cluster },
            Some(_) => Command::Admit { key, endpoint },
        }
    }

    fn is_only_voter(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let mut voters = metrics.membership_config.membership().voter_ids();
        voters.all(|voter| voter == self.me)
    }
}

/// One try at founding; a node alone elects itself well within this.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
