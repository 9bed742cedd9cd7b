//! A node: loads its identity, starts its listeners and actors, and registers with its cluster.

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use vineyard_env::{Access, Env, Fault, Listener, LocalListener};
use vineyard_raft::command::{Command, Refusal};
use vineyard_raft::{Meta, Pace, features};
use vineyard_store::Store;
use vineyard_wire::id::IdMaker;
use vineyard_wire::{InstanceId, NodeId};

use crate::actors::bulk::Bulk;
use crate::actors::drain::Drain;
use crate::actors::history::History;
use crate::actors::local::LocalHandle;
use crate::actors::migrator::Migrator;
use crate::actors::{discards, follow, history, liveness, places};
use crate::boot::admission;
use crate::boot::encrypting;
use crate::boot::identity::{BOOTS_MAX, Identity};
use crate::boot::listen::{advertised, bind_local, bind_network};
use crate::boot::registration::{self, Boot};
use crate::boot::token::{ParseTokenError, Token};
use crate::config::{Config, TooFewDescriptors};
use crate::context::{ClosedSessions, Counters, NodeContext, SharedArena, Stopping, reap};
use crate::front;
use crate::front::lobby::{Lobby, WaitsFor};
use crate::local::Local;
use crate::local::catalog::Catalog;
use crate::peer::dial::{Dialer, RaftDialer};
use crate::peer::fresh::Applicant;
use crate::peer::handshake::Credentials;
use crate::peer::members::Members;
use crate::session::logins::Logins;
use crate::session::tcp_access::TcpAccess;

/// A running node. Dropping it ends its tasks at once; `stop` ends it in order.
pub struct Node {
    pub(crate) context: Rc<NodeContext>,
    /// The address that is bound; others may dial another one.
    bound: String,
    listeners: Vec<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the disk failed: {0}")]
    Disk(io::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("cannot make an arena of {bytes} bytes: {source}")]
    Arena { bytes: u64, source: io::Error },
    #[error(
        "this data directory has been started {BOOTS_MAX} times, and its node has no ids left; start with a new \
         --data-dir, and with --join to become part of the same cluster"
    )]
    NoBootLeft,
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    #[error(transparent)]
    Token(#[from] ParseTokenError),
    #[error("{endpoint} refused this node: {reason}")]
    Refused { endpoint: String, reason: String },
    #[error(
        "there is no node in {}: to found a new cluster there add --found, to join one add --join; if there was a node, \
         look whether its disk is mounted",
        .0.display()
    )]
    NoNode(PathBuf),
    #[error(
        "{reason}: this data directory is a copy of the node's, or an older state of it, and was not started. A node is \
         never restored; replace it: start with an empty --data-dir and with --join"
    )]
    Copied { reason: String },
    #[error(
        "{reason}, and its data directory is of no use any more: for a new node start with an empty --data-dir and with \
         --join"
    )]
    Removed { reason: String },
    #[error("this node has left the cluster")]
    Left,
    #[error(transparent)]
    Raft(#[from] vineyard_raft::Error),
}

impl Node {
    /// Starts a node; call it inside a `LocalSet`. The node serves clients of this machine when this returns. A joining
    /// node retries until the cluster admits it, and tells its clients what it waits for; it never forms a cluster of
    /// its own.
    pub async fn start(config: Config, env: Env) -> Result<Self, Error> {
        let (descriptors, open) = (env.host.open_fds_max(), env.host.open_fds());
        let config = Config {
            limits: config.limits.within(descriptors, open)?,
            ..config
        };
        let identity = admission::load_or_create_identity(&config, &env).await?;
        if let Some(reason) = identity.refused {
            return Err(over(reason, identity.removed));
        }
        let mut network = bind_network(&config, &env).await?;
        let mut local = bind_local(&config, &env).await?;
        let bound = network.address();
        let endpoint = advertised(&config, &bound);
        let identity = match identity.node {
            Some(_) => identity,
            None => {
                let waits_for = WaitsFor::default();
                let encryption = encrypting::told(&config, &identity.credentials(&env), false);
                let applicant = Rc::new(Applicant::new(&env, identity, &endpoint, config.expect));
                let lobby = Lobby::new(
                    &config,
                    &env,
                    &endpoint,
                    &waits_for,
                    &applicant,
                    &encryption,
                );
                tokio::select! {
                    biased;
                    admitted = admission::admit(&config, &env, &applicant, &endpoint, &waits_for) => admitted?,
                    never = lobby.keep(&mut *network, &mut *local) => match never {},
                }
                applicant.identity().await
            }
        };
        let node = identity.node.expect("a node that was admitted has an id");
        let identity = identity
            .reborn(env.random.as_ref())
            .ok_or(Error::NoBootLeft)?;
        let saved = identity.save_or_give_up(env.disk.as_ref()).await;
        saved.map_err(Error::Disk)?;
        let context = assemble(config, env, identity, node, endpoint).await?;
        let started = Self {
            tasks: tend(&context),
            listeners: start_listeners(&context, network, local),
            context,
            bound,
        };
        started.register().await?;
        Ok(started)
    }

    /// `host:port` that clients and nodes dial.
    pub fn endpoint(&self) -> &str {
        &self.context.endpoint
    }

    /// `host:port` that is bound.
    pub fn bound(&self) -> &str {
        &self.bound
    }

    /// Which boot of each other node this one would dial, and where.
    pub fn places(&self) -> Vec<vineyard_raft::Whereabouts> {
        self.context.meta.places()
    }

    /// This boot's instance id.
    pub fn instance_id(&self) -> InstanceId {
        self.context.instance
    }

    /// What people call it.
    pub(crate) fn called(&self) -> String {
        let context = &self.context;
        format!("{} ({})", context.hostname, context.instance.node())
    }

    /// The node and its cluster as text for people.
    pub(crate) fn name(&self) -> Option<String> {
        self.context.identity.name()
    }

    /// What another node needs to join this one's cluster.
    pub fn token(&self) -> Token {
        self.context.identity_now().token()
    }

    /// The last log index that this node has applied, and a digest of the resulting state.
    pub fn state_digest(&self) -> (u64, u64) {
        let state = self.context.meta.state();
        (state.applied(), state.digest())
    }

    /// Which of the clusters of one id this is; a recovery begins the next.
    pub fn epoch(&self) -> u64 {
        self.context.credentials.epoch.get()
    }

    /// The group as this node sees it.
    pub fn group(&self) -> vineyard_raft::Status {
        self.context.meta.status()
    }

    /// The feature level of the cluster: what every member's build understands, as far as this node knows.
    pub fn feature_level(&self) -> u8 {
        self.context.meta.feature_level()
    }

    /// How many more voters may fail before the cluster can agree on nothing, as far as this node knows.
    pub fn tolerates(&self) -> usize {
        Members::known(&self.context).tolerates()
    }

    /// Stops the listeners, lets each connection finish its current reply, then stops the raft group.
    pub async fn stop(mut self) {
        for listener in self.listeners.drain(..) {
            listener.abort();
            // Awaiting the task drops its listener, which removes the socket's file.
            drop(listener.await);
        }
        let node = &self.context;
        node.stopping.begin();
        self.say_what_ends().await;
        // Each connection ends by itself at the stop deadline; the additional time is for connections that have just
        // reached it.
        let deadline = node.config.limits.stop_deadline + node.config.limits.parting_deadline;
        if tokio::time::timeout(deadline, all_gone(&node.counters))
            .await
            .is_err()
        {
            tracing::warn!("connections were left open");
        }
        self.say_that_it_stops().await;
        if tokio::time::timeout(deadline, node.meta.stop())
            .await
            .is_err()
        {
            tracing::warn!("the metadata group did not stop in time");
        }
        let counters = &node.counters;
        tracing::info!(
            sessions = counters.sessions.get(),
            requests = counters.requests.get(),
            failed = counters.failed.get(),
            slow = counters.slow.get(),
            "stopped"
        );
    }

    /// Logs which bytes have no other copy, since they end with this process.
    async fn say_what_ends(&self) {
        let node = &self.context;
        let state = node.meta.state();
        let me = node.instance.node();
        let only_here = state.only_copies_on(me);
        let (blobs, bytes) = only_here.fold((0u64, 0u64), |(blobs, bytes), row| {
            (blobs + 1, bytes + row.size)
        });
        let persisted_objects = state.objects_only_on(me);
        let transients = node.local.ask(|local, _| local.catalog.len()).await;
        // An owner that has ended has nothing left.
        let transient_objects = transients.unwrap_or_default();
        if blobs > 0 || transient_objects > 0 {
            tracing::warn!(
                persisted_objects,
                blobs,
                bytes,
                transient_objects,
                "these had their only copy here, and end with this process; `vineyardctl drain --all` moves them"
            );
        }
    }

    /// Lets the others know that this node leaves in order. Without a majority they find out by its silence.
    async fn say_that_it_stops(&self) {
        let node = &self.context;
        let knows = node.meta.feature_level() >= features::MEMBERS;
        let is_member = node.boot.is_registered();
        if !knows || !is_member || !node.meta.status().has_quorum {
            return;
        }
        let instance = node.instance;
        let within = node.config.limits.parting_deadline;
        let said = node
            .meta
            .submit(instance, Command::Stopped { instance }, within);
        if let Err(error) = said.await {
            tracing::debug!(%error, "the others were not told that this node stops");
        }
    }

    /// Registers this boot with the cluster. A node that cannot reach a quorum yet serves local clients while it
    /// retries.
    async fn register(&self) -> Result<(), Error> {
        let node = &self.context;
        tokio::task::spawn_local(registration::register(node.clone()));
        match node
            .boot
            .registered(node.stretch(node.config.limits.metadata_deadline))
            .await
        {
            Err(vineyard_raft::Error::Refused(_)) => Err(self.failed().await),
            Err(vineyard_raft::Error::Deadline { .. }) => {
                tracing::warn!("serving local clients; the cluster has no quorum yet");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns when the node cannot go on, with the reason: the cluster knows another process that is this instance, or
    /// a later boot of this node, or has removed it, or it has left. The caller ends the process.
    pub async fn failed(&self) -> Error {
        let error = registration::ended(&self.context).await;
        if self.context.leaves.get() {
            return Error::Left;
        }
        let is_removed = matches!(
            error,
            vineyard_raft::Error::Refused(Refusal::Removed { .. })
        );
        over(error.to_string(), is_removed)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let tasks = self.listeners.iter().chain(&self.tasks);
        tasks.for_each(JoinHandle::abort);
    }
}

/// Why this node's data directory is used no more.
fn over(reason: String, is_removed: bool) -> Error {
    match is_removed {
        true => Error::Removed { reason },
        false => Error::Copied { reason },
    }
}

/// Returns when the last client's connection has ended.
async fn all_gone(counters: &Counters) {
    loop {
        let fell = counters.fell.notified();
        if counters.ipc_connections.get() + counters.rpc_connections.get() == 0 {
            return;
        }
        fell.await;
    }
}

async fn assemble(
    config: Config,
    env: Env,
    identity: Identity,
    node: NodeId,
    endpoint: String,
) -> Result<Rc<NodeContext>, Error> {
    let instance = identity.instance(node);
    // The counter begins at a random number, so that an id kept from another cluster hardly ever names an object of
    // this one.
    let ids = || match env.faults.has(Fault::IdGivenTwice) {
        false => IdMaker::new(instance, env.random.next_u64() as u32),
        true => IdMaker::new(InstanceId::new(node, 0), 1),
    };
    let bytes = config.size_bytes;
    let no_arena = |source| Error::Arena { bytes, source };
    let store = Store::new(env.memory.as_ref(), bytes, ids()).map_err(no_arena)?;
    let arena = share(&store).map_err(no_arena)?;
    let local = Local::new(
        store,
        Catalog::new(instance, ids(), config.transient_quota_bytes),
        config.limits.stream_threshold_percent,
    );
    let own_holder = local.own_holder();
    let credentials = credentials(&config, &env, &identity);
    let encryption = encrypting::told(&config, &credentials, identity.encrypts);
    let (pace, connect) = (Arc::new(config.pace()), config.limits.connect_deadline);
    let (shown, secured) = (credentials.clone(), encryption.clone());
    let dialer = Dialer::new(&env, shown, secured, pace.clone(), connect);
    let member = identity.member(node, &endpoint, &credentials);
    let boot = Arc::new(Boot::new(instance, &identity.lives, config.feature_level));
    let dial = RaftDialer::new(dialer.clone(), boot.clone());
    let meta = Meta::start(&env, raft_options(&config, &pace), member, Arc::new(dial)).await?;
    boot.judge_by(meta.reader());
    encryption.judge_by(meta.reader());
    let limits = &config.limits;
    Ok(Rc::new(NodeContext {
        instance,
        hostname: config.name.clone().unwrap_or_else(|| env.host.hostname()),
        started_unix_ms: env.clock.unix_ms(),
        started: Instant::now(),
        endpoint,
        local: LocalHandle::start(
            local,
            meta.reader(),
            limits.mailbox_capacity,
            limits.page_decay,
        ),
        meta,
        pace,
        boot,
        migrator: Migrator::start(limits.mailbox_capacity, limits.migrations_max),
        drain: Drain::default(),
        history: History::default(),
        leaves: Cell::new(false),
        logins: config
            .passwords
            .clone()
            .map(|users| Logins::start(env.threads.as_ref(), users, limits.login_deadline)),
        tcp_access: TcpAccess::start(&config, &env),
        bulk: Bulk::start(env.threads.as_ref(), limits.bulk_threads, limits.bulk_queue),
        dialer,
        arena,
        own_holder,
        stopping: Stopping::default(),
        closed_sessions: ClosedSessions::default(),
        counters: Counters::default(),
        first_trace: env.random.next_u64(),
        config,
        env,
        identity,
        credentials,
        encryption,
    }))
}

/// What this node proves to others, with a token that it was given meanwhile.
fn credentials(config: &Config, env: &Env, identity: &Identity) -> Credentials {
    let credentials = identity.credentials(env);
    if let Some(given) = identity.other_token(config.join.as_ref()) {
        credentials.secrets.give(given.secret);
    }
    credentials
}

fn share(store: &Store) -> io::Result<SharedArena> {
    let region = store.region();
    Ok(SharedArena {
        read_only: region.share(Access::ReadOnly)?,
        writable: region.share(Access::ReadWrite)?,
        len: region.len_bytes(),
    })
}

fn raft_options(config: &Config, pace: &Arc<Pace>) -> vineyard_raft::Options {
    let limits = &config.limits;
    vineyard_raft::Options {
        heartbeat_ms: limits.raft_heartbeat.as_millis() as u64,
        election_ms_min: limits.raft_election_min.as_millis() as u64,
        election_ms_max: limits.raft_election_max.as_millis() as u64,
        snapshot_after_entries: limits.raft_snapshot_entries,
        feature_level: config.feature_level,
        replace_after: config.replace_after,
        pace: pace.clone(),
        ..vineyard_raft::Options::default()
    }
}

/// Background tasks of the node.
fn tend(context: &Rc<NodeContext>) -> Vec<JoinHandle<()>> {
    vec![
        tokio::task::spawn_local(follow::follow(context.clone())),
        tokio::task::spawn_local(liveness::watch(context.clone())),
        tokio::task::spawn_local(reap(context.clone())),
        tokio::task::spawn_local(discards::discard(context.clone())),
        tokio::task::spawn_local(places::keep(context.clone())),
        tokio::task::spawn_local(history::watch(context.clone())),
    ]
}

fn start_listeners(
    context: &Rc<NodeContext>,
    network: Box<dyn Listener>,
    local: Box<dyn LocalListener>,
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::task::spawn_local(front::accept_network(context.clone(), network)),
        tokio::task::spawn_local(front::accept_local(context.clone(), local)),
    ]
}

#[cfg(test)]
mod tests;
