//! The handle through which the node uses the cluster's metadata: submit, confirm, read, follow.
//!
//! Promise: every call ends by its deadline and says what it waited for; a command takes effect at most once however
//! often it is tried; once `submit` has returned, `state` shows the effect. The handle may be used from any thread: it
//! never touches openraft, which lives on the raft thread (`driver`).

mod byte_semaphore;
pub(crate) mod driver;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use vineyard_env::{Batch, Detached, Env, Fault};
use vineyard_wire::limits::PERSIST_BYTES_MAX;
use vineyard_wire::{InstanceId, NodeId};

use crate::command::{Applied, Command, Refusal};
use crate::error::Error;
use crate::features;
use crate::options::{JOBS_MAX, Options, SERVED_MAX};
use crate::peers::{Dial, MayAsk};
use crate::published::Published;
use crate::published::epoch::Epoch;
use crate::published::feed::Feed;
pub use crate::published::places::Whereabouts;
pub use crate::published::request::Request;
pub use crate::published::status::Status;
use crate::state::State;
use crate::state::instances::Instance;
use byte_semaphore::ByteSemaphore;
use driver::Job;
pub use driver::Survey;
use driver::recover::Asked;

/// The node that takes part.
#[derive(Clone, Debug)]
pub struct Member {
    pub node: NodeId,
    /// Where other nodes reach it, `host:port`.
    pub endpoint: String,
    /// Of its cluster; a recovery raises it.
    pub epoch: Epoch,
    /// The cluster to found, with this node as its first voter. Without it a new node waits for a leader to add it, and
    /// a known one resumes.
    pub found: Option<Founding>,
}

/// A cluster that is to be founded, or was founded, by this node.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The cluster's id.
    pub cluster: String,
    /// Of the data directory, which becomes node 0.
    pub key: u128,
}

/// How a boot was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// A copy of the data directory is refused from now on.
    WithLife,
    /// As builds before feature level `LIVES` do.
    WithoutLife,
}

/// A handle to the group; clones share it.
#[derive(Clone)]
pub struct Meta {
    shared: Arc<Published>,
    jobs: mpsc::Sender<Job>,
    /// A permit for each request that the raft thread has and has not answered.
    jobs_semaphore: Arc<Semaphore>,
    /// Permits for the bytes of the commands among them.
    command_bytes: ByteSemaphore,
    /// The highest feature level that this node says to know.
    level_max: u8,
}

/// Reads the local state, and nothing else; holding it does not keep the raft thread alive.
pub struct Reader(Arc<Published>);

impl Reader {
    /// What has been applied here so far.
    pub fn state(&self) -> Arc<State> {
        self.0.state.load_full()
    }
}

/// Returned when the raft thread is done with a job.
pub(crate) struct Permit {
    _job: OwnedSemaphorePermit,
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Meta {
    /// Starts this node's part of the group on a thread of its own. Returns once the state on the disk has been
    /// recovered; the group may not have a leader yet. A founder's returns once the founding is durable.
    pub async fn start(
        env: &Env,
        options: Options,
        member: Member,
        dial: Arc<dyn Dial>,
    ) -> Result<Self, Error> {
        let quorum_lasts = match env.faults.has(Fault::StatusTrustsTheLastLeader) {
            true => Duration::MAX,
            false => options.quorum_lasts(),
        };
        let faults = env.faults.clone();
        let shared = Arc::new(Published::new(
            member.node,
            options.pace.clone(),
            quorum_lasts,
            faults,
        ));
        // Requests never fill the places of other members' connections: votes and heartbeats come through here.
        let (jobs, queue) = mpsc::channel(JOBS_MAX + SERVED_MAX);
        let (ready, started) = oneshot::channel();
        let command_bytes = ByteSemaphore::new(options.proposals_bytes_max);
        let level_max = options.feature_level;
        let ground = driver::Ground {
            env: env.clone(),
            options,
            member,
            dial,
        };
        let parts = driver::Parts {
            ground,
            queue,
            ready,
        };
        let theirs = Arc::clone(&shared);
        env.threads.start(
            "raft",
            Box::new(move || Box::pin(driver::run(parts, theirs))),
        );
        started.await.map_err(|_| Error::Stopped)??;
        Ok(Self {
            shared,
            jobs,
            jobs_semaphore: Arc::new(Semaphore::new(JOBS_MAX)),
            command_bytes,
            level_max,
        })
    }

    /// Proposes `command` for `instance` through the leader, retrying until `deadline` has passed. On success the
    /// local state shows the effect. After `Error::Deadline` the command may or may not take effect later.
    pub async fn submit(
        &self,
        instance: InstanceId,
        command: Command,
        deadline: Duration,
    ) -> Result<Applied, Error> {
        let request = self.request(instance);
        self.submit_as(&request, Arc::new(command), deadline).await
    }

    /// Says which feature level this node knows, then registers this boot of it; `life` and `before` as in
    /// `Command::Boot`. While some member is below the level that `Boot` needs, the boot is registered without its
    /// life: the answer is
    /// `Registered::WithoutLife`, and this is to be called again once the level has risen (`level_reached`).
    ///
    /// # Errors
    /// `Refused` with `BootSeen` if another process has registered this boot, with `Stale` if a later boot is known:
    /// asking again changes neither. `Deadline`, `Stopped`, `Disk`, `Newer` as for any command.
    pub async fn boot(
        &self,
        instance: Instance,
        life: u128,
        before: Vec<u128>,
        deadline: Duration,
    ) -> Result<Registered, Error> {
        let until = Instant::now() + deadline;
        let left = || until.saturating_duration_since(Instant::now());
        if self.level_max > features::BASE {
            let announcement = features::announcement(instance.id, self.level_max);
            match self.submit_without_key(announcement, left()).await {
                // It has been said before.
                Ok(_) | Err(Error::Refused(Refusal::Locked { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let (command, registered) = match self.feature_level() >= features::LIVES {
            true => (
                Command::Boot {
                    instance,
                    life,
                    before,
                },
                Registered::WithLife,
            ),
            false => (Command::Register { instance }, Registered::WithoutLife),
        };
        self.submit_without_key(command, left()).await?;
        Ok(registered)
    }

    /// A copy of this node may have used the same request keys for other commands.
    async fn submit_without_key(
        &self,
        command: Command,
        deadline: Duration,
    ) -> Result<Applied, Error> {
        let until = Instant::now() + deadline;
        let bytes = crate::format::entry::command_bytes(&command);
        self.ask(deadline, Some(bytes), |reply, permit| Job::Submit {
            key: None,
            command: Arc::new(command),
            trace: None,
            until,
            reply,
            permit,
        })
        .await
    }

    /// What every member is known to understand, and this node is allowed to: commands that need a higher level are
    /// refused as `Error::FeatureLevel`.
    pub fn feature_level(&self) -> u8 {
        self.state().feature_level().min(self.level_max)
    }

    /// Returns once `feature_level` is `level` or above, or once this node's part of the group has ended.
    pub async fn level_reached(&self, level: u8) {
        let mut feed = self.subscribe();
        while self.feature_level() < level && feed.next().await.is_some() {}
    }

    /// A request of `instance`, for `submit_as`.
    pub fn request(&self, instance: InstanceId) -> Request {
        Request::begin(&self.shared, instance)
    }

    /// As `submit`, for one who may ask again: the same `request` with the same `command` takes effect at most once.
    /// `Refusal::Forgotten` says that it took effect long ago or never will; the local state shows which.
    pub async fn submit_as(
        &self,
        request: &Request,
        command: Arc<Command>,
        deadline: Duration,
    ) -> Result<Applied, Error> {
        let bytes = crate::format::entry::command_bytes(&command);
        if bytes > PERSIST_BYTES_MAX {
            return Err(Error::TooLarge {
                bytes,
                max: PERSIST_BYTES_MAX,
            });
        }
        let until = Instant::now() + deadline;
        let (key, trace) = (request.key(), request.trace());
        self.ask(deadline, Some(bytes), |reply, permit| Job::Submit {
            key: Some(key),
            command,
            trace,
            until,
            reply,
            permit,
        })
        .await
    }

    /// Returns once the local state is at least as new as everything acknowledged anywhere before this call.
    pub async fn confirm(&self, deadline: Duration) -> Result<(), Error> {
        let until = Instant::now() + deadline;
        self.ask(deadline, None, |reply, permit| Job::Confirm {
            until,
            reply,
            permit,
        })
        .await
    }

    /// The local state: what has been applied here so far.
    pub fn state(&self) -> Arc<State> {
        self.shared.state.load_full()
    }

    /// Reads the local state for those who must not keep the group running.
    pub fn reader(&self) -> Reader {
        Reader(self.shared.clone())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Feed {
        self.shared.feeds.subscribe()
    }

    /// Returns when the entry at `index` has been applied here; `Error::Stopped` or `Error::Newer` if that will not
    /// happen.
    pub async fn applied(&self, index: u64) -> Result<(), Error> {
        self.shared.applied(index).await
    }

    /// A cheap snapshot of the group.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// For how long this node has heard of no leader; on the leader, for how long no majority has answered.
    pub fn leaderless(&self) -> Duration {
        self.shared.leaderless()
    }

    /// Notes where a process of another node listens, until the log says so too.
    ///
    /// # Errors
    /// A later boot of that node, if one is known: the process has been replaced.
    pub fn learn(&self, place: Whereabouts) -> Result<(), InstanceId> {
        self.shared.places.say(&self.state(), place)
    }

    /// Where this node dials each node of which a boot is known.
    pub fn places(&self) -> Vec<Whereabouts> {
        self.shared.places.all(&self.state())
    }

    /// The addresses of the members that the log names; also while nothing of the log has been applied here.
    pub fn member_endpoints(&self) -> Vec<String> {
        self.shared
            .view
            .load()
            .endpoints
            .values()
            .cloned()
            .collect()
    }

    /// Gives the data directory `key`, whose node knows feature level `level`, a node id and adds it to the group;
    /// promotion to voter follows by itself. Answers the node id and the cluster's id.
    pub async fn admit(
        &self,
        key: u128,
        endpoint: String,
        level: u8,
        deadline: Duration,
    ) -> Result<(NodeId, String), Error> {
        let until = Instant::now() + deadline;
        self.ask(deadline, None, |reply, permit| Job::Admit {
            key,
            endpoint,
            level,
            until,
            reply,
            permit,
        })
        .await
    }

    /// What a recovery from this node would start from.
    ///
    /// # Errors
    /// `NotRecoverable` with the reason, as while a majority answers.
    pub async fn survey(&self, deadline: Duration) -> Result<Survey, Error> {
        self.ask(deadline, None, |reply, permit| Job::Survey {
            reply,
            permit,
        })
        .await
    }

    /// Makes this node the only voter of the cluster, in `epoch`, with all of its log. Every other node is removed.
    /// `also` becomes durable with it. Requests in flight end with `Deadline`.
    ///
    /// # Errors
    /// As `survey`; after `Disk`, which is of before or of after is decided at the next start.
    pub async fn recover(
        &self,
        epoch: u64,
        also: Batch,
        deadline: Duration,
    ) -> Result<Survey, Error> {
        self.ask(deadline, None, |reply, permit| {
            Job::Recover(Asked {
                epoch,
                also,
                reply,
                permit,
            })
        })
        .await
    }

    /// Serves an accepted peer connection whose handshake is done, for nodes of `epoch`, and whose purpose is raft, for
    /// as long as it `may_ask`.
    pub fn serve(&self, connection: Box<dyn Detached>, epoch: u64, may_ask: MayAsk) {
        let job = Job::Serve {
            connection,
            epoch,
            may_ask,
        };
        if self.jobs.try_send(job).is_err() {
            tracing::warn!("a peer connection was dropped: the raft thread is busy or has stopped");
        }
    }

    /// Stops taking part; a leader hands over first, for as long as an election would take at least. Calls in flight
    /// and later ones answer `Error::Stopped`.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.jobs.send(Job::Stop { reply }).await.is_ok() {
            // An error means that it stopped before it could answer.
            let _ = stopped.await;
        }
    }

    /// Hands a job, with a command of `bytes` if it has one, to the raft thread and waits for its answer. The raft
    /// thread keeps the deadline and knows what it waits for; the grace only covers a thread that does not get to
    /// run.
    async fn ask<T>(
        &self,
        deadline: Duration,
        bytes: Option<usize>,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>, Permit) -> Job,
    ) -> Result<T, Error> {
        const GRACE: Duration = Duration::from_millis(500);
        let late = |waited_for: &str| Error::Deadline {
            waited_for: waited_for.to_owned(),
            after: deadline,
        };
        let exchange = async {
            let permit = tokio::time::timeout(deadline, self.permit(bytes));
            let permit = permit
                .await
                .map_err(|_| late("earlier requests of this node"))?;
            let (reply, answer) = oneshot::channel();
            self.jobs
                .send(job(reply, permit))
                .await
                .map_err(|_| Error::Stopped)?;
            answer
                .await
                .unwrap_or_else(|_| match self.jobs.is_closed() {
                    true => Err(Error::Stopped),
                    false => Err(late("the cluster to be recovered")),
                })
        };
        tokio::time::timeout(deadline + GRACE, exchange)
            .await
            .unwrap_or_else(|_| Err(late("the raft thread")))
    }

    async fn permit(&self, bytes: Option<usize>) -> Permit {
        // Bytes first: a command that waits for them takes no permit from a read.
        let bytes = match bytes {
            Some(bytes) => Some(self.command_bytes.acquire(bytes).await),
            None => None,
        };
        let job = self.jobs_semaphore.clone().acquire_owned().await;
        Permit {
            _job: job.expect("the semaphore is never closed"),
            _bytes: bytes,
        }
    }
}
