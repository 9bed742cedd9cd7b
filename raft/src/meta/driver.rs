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
use tokio::task::JoinSet;
use tokio::time::Instant;
use vineyard_env::{Detached, Env};
use vineyard_wire::{NodeId, Trace};

use super::byte_semaphore::ByteSemaphore;
use super::{Founding, Member, Permit, Status};
use crate::command::{Applied, Command, RequestKey};
use crate::error::Error;
use crate::features;
use crate::log::Log;
use crate::machine::Machine;
use crate::options::{FORWARDS_MAX, LINK_IDLE_HEARTBEATS, Options, SERVED_MAX};
use crate::peers::Dial;
use crate::peers::link::Links;
use crate::peers::network::Network;
use crate::peers::serve::{self, Arriving};
use crate::published::{Leads, Published, View};
use crate::types::runtime;
use crate::types::{Address, Raft};

mod compact;
mod confirm;
mod group;
mod hand_over;
mod propose;
mod standing;

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
    Serve {
        connection: Box<dyn Detached>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// What the raft thread is started with.
pub(crate) struct Parts {
    pub(crate) env: Env,
    pub(crate) options: Options,
    pub(crate) member: Member,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) queue: mpsc::Receiver<Job>,
    pub(crate) ready: oneshot::Sender<Result<(), Error>>,
}

/// The raft thread's own things; its tasks share them.
pub(crate) struct Driver {
    pub(crate) raft: Raft,
    pub(crate) shared: Arc<Published>,
    pub(crate) links: Links,
    pub(crate) env: Env,
    pub(crate) me: NodeId,
    pub(crate) options: Options,
    pub(crate) arriving: RefCell<Arriving>,
    /// Rung when the membership may need a look.
    pub(crate) group_changed: Notify,
    log: Log,
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
    let random = parts.env.random.clone();
    runtime::with_random(random, run_here(parts, shared)).await;
}

async fn run_here(parts: Parts, shared: Arc<Published>) {
    let Parts {
        env,
        options,
        member,
        dial,
        mut queue,
        ready,
    } = parts;
    let driver = match start(env, options, &member, dial, &shared).await {
        Ok(driver) => Rc::new(driver),
        Err(error) => {
            // The starter may have given up.
            drop(ready.send(Err(error)));
            return;
        }
    };
    let mut desk = Desk {
        driver: driver.clone(),
        tasks: JoinSet::new(),
        served: JoinSet::new(),
    };
    runtime::spawn_into(&mut desk.tasks, follow_metrics(driver.clone()));
    runtime::spawn_into(&mut desk.tasks, group::keep(driver.clone()));
    runtime::spawn_into(&mut desk.tasks, compact::keep(driver.clone()));
    runtime::spawn_into(&mut desk.tasks, standing::keep(driver.clone()));
    let founded = match &member.found {
        Some(founding) => driver.founded(founding, &member.endpoint).await,
        None => Ok(()),
    };
    let is_founded = founded.is_ok();
    // The starter may have given up.
    drop(ready.send(founded));
    let stopped = match is_founded {
        true => desk.work(&mut queue, std::future::pending()).await,
        false => None,
    };
    if stopped.is_some() {
        // The next leader may need this node's answers until it leads.
        drop(desk.work(&mut queue, driver.hand_over()).await);
    }
    desk.tasks.shutdown().await;
    desk.served.shutdown().await;
    if let Err(error) = driver.raft.shutdown().await {
        tracing::warn!(%error, "raft did not shut down cleanly");
    }
    driver.log.settle().await;
    shared.progress.close();
    shared.feeds.close();
    if let Some(reply) = stopped {
        // The caller may have given up.
        let _given_up = reply.send(());
    }
}

/// Takes the jobs that other threads hand over. How many there are at once is the handles' business (`Meta::ask`), but
/// for peer connections.
struct Desk {
    driver: Rc<Driver>,
    tasks: JoinSet<()>,
    served: JoinSet<()>,
}

impl Desk {
    /// Runs until a stop is requested (returns where to answer it), until `until` ends, or until every handle is
    /// dropped.
    async fn work(
        &mut self,
        queue: &mut mpsc::Receiver<Job>,
        until: impl Future<Output = ()>,
    ) -> Option<oneshot::Sender<()>> {
        let mut until = std::pin::pin!(until);
        loop {
            let job = tokio::select! {
                biased;
                () = &mut until => return None,
                job = queue.recv() => job?,
            };
            while self.tasks.try_join_next().is_some() {}
            while self.served.try_join_next().is_some() {}
            let driver = self.driver.clone();
            match job {
                Job::Stop { reply } => return Some(reply),
                Job::Serve { .. } if self.served.len() >= SERVED_MAX => {
                    tracing::warn!(
                        "a peer connection was dropped: {SERVED_MAX} are served already"
                    );
                }
                Job::Serve { connection } => {
                    runtime::spawn_into(&mut self.served, accept(driver, connection));
                }
                job => runtime::spawn_into(&mut self.tasks, answer(driver, job)),
            }
        }
    }
}

async fn start(
    env: Env,
    options: Options,
    member: &Member,
    dial: Arc<dyn Dial>,
    shared: &Arc<Published>,
) -> Result<Driver, Error> {
    let unusable = |error: std::io::Error| Error::Unusable(error.to_string());
    let log = Log::load(env.disk.clone(), env.faults.clone()).map_err(unusable)?;
    let (disk, threads) = (env.disk.clone(), env.threads.clone());
    let machine =
        Machine::load(disk, threads, shared.clone(), env.faults.clone()).map_err(unusable)?;
    let idle = Duration::from_millis(options.heartbeat_ms) * LINK_IDLE_HEARTBEATS;
    let links = Links::new(dial, shared.clone(), idle);
    let network = Network(links.clone());
    let config = options.raft_config()?;
    let raft = Raft::new(member.node, config, network, log.clone(), machine)
        .await
        .map_err(|error| match shared.ended.get() {
            Some(reason) => reason.clone(),
            None => Error::Unusable(error.to_string()),
        })?;
    let proposed_bytes = ByteSemaphore::new(options.proposals_bytes_max);
    let driver = Driver {
        raft,
        shared: shared.clone(),
        links,
        env,
        me: member.node,
        options,
        arriving: RefCell::default(),
        group_changed: Notify::new(),
        log,
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

/// Does what another thread asked for; it may have given up by then.
async fn answer(driver: Rc<Driver>, job: Job) {
    match job {
        Job::Submit {
            key,
            command,
            trace,
            until,
            reply,
            permit: _permit,
        } => {
            let submitted = driver.submit(key, command, trace, until).await;
            drop(reply.send(submitted));
        }
        Job::Confirm {
            until,
            reply,
            permit: _permit,
        } => drop(reply.send(driver.confirm(until).await)),
        Job::Admit {
            key,
            endpoint,
            level,
            until,
            reply,
            permit: _permit,
        } => {
            drop(reply.send(driver.admit(key, endpoint, level, until).await));
        }
        Job::Serve { .. } | Job::Stop { .. } => unreachable!("the raft thread takes these itself"),
    }
}

async fn accept(driver: Rc<Driver>, connection: Box<dyn Detached>) {
    let served = match connection.attach() {
        Ok(stream) => serve::serve(driver.clone(), stream).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        let unreadable = error.kind() == io::ErrorKind::InvalidData;
        if unreadable && !driver.met_unreadable.replace(true) {
            tracing::warn!(
                %error,
                "a member said what this node cannot read; if that is a newer build, upgrade this node"
            );
        } else {
            tracing::debug!(%error, "a member's connection ended");
        }
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
        let answered = metrics.last_quorum_acked.map(|at| now - at.elapsed());
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
            .filter_map(|(node, at)| Some((*node, now - (*at)?.elapsed())))
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
        Fatal::StorageError(error) => Error::Disk(error.to_string()),
        _ => Error::Stopped,
    }
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
