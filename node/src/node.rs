//! A node: finds out who it is, opens its doors, starts its actors, and takes its place in the cluster.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use vineyard_env::{Access, Env, Listener, LocalListener};
use vineyard_raft::command::Command;
use vineyard_raft::{Member, Meta};
use vineyard_store::Store;
use vineyard_wire::id::IdMaker;
use vineyard_wire::peer::{Answer, Ask, Join as JoinAsk};
use vineyard_wire::{InstanceId, NodeId};

use crate::actors::{blobs, catalog, liveness, migrator};
use crate::bulk::Bulk;
use crate::catalog::Catalog;
use crate::config::{Config, Join, Listen, TooFewDescriptors};
use crate::figures;
use crate::front;
use crate::identity::{BOOTS_MAX, Identity};
use crate::logins::Logins;
use crate::peer::dial::Dialer;
use crate::shared::{Counters, Leavers, Shared, SharedArena, Stopping, see_off};
use crate::token::{ParseTokenError, Token};

/// A running node. Dropping it ends its tasks at once; `stop` ends it in order.
pub struct Node {
    pub(crate) shared: Rc<Shared>,
    doors: Vec<JoinHandle<()>>,
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
    #[error(transparent)]
    Raft(#[from] vineyard_raft::Error),
}

impl Node {
    /// Starts a node; call it inside a `LocalSet`. It serves this machine's clients when it returns. A joining node
    /// retries until the cluster admits it; it never forms a cluster of its own.
    pub async fn start(config: Config, env: Env) -> Result<Self, Error> {
        let (descriptors, open) = (env.host.open_fds_max(), env.host.open_fds());
        let config = Config {
            limits: config.limits.within(descriptors, open)?,
            ..config
        };
        let mut identity = know_thyself(&config, &env).await?;
        let network = bind_network(&config, &env).await?;
        let endpoint = network.address();
        let node = match identity.node {
            Some(node) => node,
            None => join(&config, &env, &mut identity, &endpoint).await?,
        };
        let identity = identity.reborn().ok_or(Error::NoBootLeft)?;
        identity
            .save(env.disk.as_ref())
            .await
            .map_err(Error::Disk)?;
        let local = bind_local(&config, &env).await?;
        let shared = assemble(config, env, identity, node, endpoint).await?;
        let started = Self {
            tasks: tend(&shared),
            doors: open_doors(&shared, network, local),
            shared,
        };
        started.register().await;
        Ok(started)
    }

    /// `host:port` that clients and nodes dial.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// This boot's instance id.
    pub fn instance_id(&self) -> InstanceId {
        self.shared.instance
    }

    /// What another node needs to join this one's cluster.
    pub fn token(&self) -> Token {
        self.shared.identity.token()
    }

    /// How far this node has applied the cluster's log, and a digest of the state that gave.
    pub fn state_digest(&self) -> (u64, u64) {
        let state = self.shared.meta.state();
        (state.applied(), state.digest())
    }

    /// The group as this node sees it.
    pub fn group(&self) -> vineyard_raft::Status {
        self.shared.meta.status()
    }

    /// How many more voters may fail before the cluster can agree on nothing, as far as this node knows.
    pub fn tolerates(&self) -> usize {
        figures::tolerates(&self.shared)
    }

    /// Closes the doors, lets each connection end with the reply it is at, then leaves the group.
    pub async fn stop(mut self) {
        for door in self.doors.drain(..) {
            door.abort();
            // Waiting drops what the task held: its listener, and with it the socket's file.
            drop(door.await);
        }
        let node = &self.shared;
        node.stopping.begin();
        // The connections keep the deadline themselves; the pause is for those that have just reached it.
        let deadline = node.config.limits.stop_deadline + node.config.limits.parting_deadline;
        if tokio::time::timeout(deadline, all_gone(&node.counters))
            .await
            .is_err()
        {
            tracing::warn!("connections were left open");
        }
        if tokio::time::timeout(deadline, node.meta.stop())
            .await
            .is_err()
        {
            tracing::warn!("the metadata group did not stop in time");
        }
    }

    /// Tells the cluster of this boot; a node that cannot reach a quorum yet goes on trying while it serves.
    async fn register(&self) {
        let announced = Rc::new(Notify::new());
        let (node, rang) = (self.shared.clone(), announced.clone());
        let patience = node.config.limits.metadata_deadline;
        tokio::task::spawn_local(async move {
            while let Err(error) = announce(&node).await {
                if error == vineyard_raft::Error::Stopped {
                    return;
                }
                tracing::warn!(%error, "not known to the cluster yet");
                tokio::time::sleep(node.config.limits.join_retry).await;
            }
            rang.notify_one();
        });
        if tokio::time::timeout(patience, announced.notified())
            .await
            .is_err()
        {
            tracing::warn!("serving local clients; the cluster has no quorum yet");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let tasks = self.doors.iter().chain(&self.tasks);
        tasks.for_each(JoinHandle::abort);
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

/// Registers this boot. The founder first admits itself, as it admits every other node.
async fn announce(node: &Shared) -> Result<(), vineyard_raft::Error> {
    let deadline = node.config.limits.metadata_deadline;
    if node.identity.founder && node.meta.state().node_of_key(node.identity.key).is_none() {
        node.meta
            .admit(node.identity.key, node.endpoint.clone(), deadline)
            .await?;
    }
    let instance = node.identity.instance_record(node);
    node.meta
        .submit(node.instance, Command::Register { instance }, deadline)
        .await?;
    Ok(())
}

/// What the disk remembers, or a new identity that is on the disk when this returns.
async fn know_thyself(config: &Config, env: &Env) -> Result<Identity, Error> {
    let known = Identity::load(env.disk.as_ref()).map_err(Error::Disk)?;
    let identity = match (known, &config.join) {
        // Not admitted by anyone yet: a token that was mistyped the last time must not stay for good.
        (Some(known), Some(join)) if known.node.is_none() => known.invited_by(join.token.parse()?),
        (Some(known), join) => {
            if join.as_ref().is_some_and(|join| !known.is_invited_by(join)) {
                tracing::warn!(
                    cluster = known.cluster,
                    "--join is ignored: this data directory belongs to another cluster than the token"
                );
            }
            return Ok(known);
        }
        (None, Some(join)) => Identity::join(env, &join.token.parse()?),
        (None, None) => Identity::found(env),
    };
    identity
        .save(env.disk.as_ref())
        .await
        .map_err(Error::Disk)?;
    Ok(identity)
}

async fn bind_network(config: &Config, env: &Env) -> Result<Box<dyn Listener>, Error> {
    let address = match &config.listen {
        Listen::At(address) => address.clone(),
        Listen::Auto { port } => format!("{}:{port}", route(config, env).await),
    };
    let listening = env.network.listen(&address).await;
    listening.map_err(|source| Error::Listen { address, source })
}

/// The local address of the route to the cluster this node joins; loopback if there is none.
async fn route(config: &Config, env: &Env) -> String {
    const LOOPBACK: &str = "127.0.0.1";
    for endpoint in config.join.iter().flat_map(|join| &join.endpoints) {
        let connected = tokio::time::timeout(
            config.limits.connect_deadline,
            env.network.connect(endpoint),
        );
        if let Ok(Ok(stream)) = connected.await
            && let Some((host, _)) = stream.local_address().rsplit_once(':')
        {
            return host.to_owned();
        }
    }
    LOOPBACK.to_owned()
}

async fn bind_local(config: &Config, env: &Env) -> Result<Box<dyn LocalListener>, Error> {
    let listening = env
        .local
        .listen(&config.ipc_socket, config.ipc_socket_mode)
        .await;
    let address = config.ipc_socket.clone();
    listening.map_err(|source| Error::Listen { address, source })
}

/// Asks the cluster for a node id until it gives one. A refusal that asking again cannot change ends it.
async fn join(
    config: &Config,
    env: &Env,
    identity: &mut Identity,
    endpoint: &str,
) -> Result<NodeId, Error> {
    let Some(Join { endpoints, .. }) = &config.join else {
        let reason =
            "this data directory belongs to a node that never joined; start it with --join";
        return Err(Error::Refused {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        });
    };
    let deadline = config.limits.metadata_deadline;
    let dialer = Dialer::new(env, identity.credentials(), deadline);
    let ask = Ask::Join(JoinAsk {
        key: identity.key,
        endpoint: endpoint.to_owned(),
    });
    loop {
        for at in endpoints {
            match tokio::time::timeout(deadline, dialer.ask(at, &ask)).await {
                Ok(Ok(Answer::Joined { node, epoch, .. })) => {
                    identity.node = Some(node);
                    identity.epoch = epoch;
                    identity
                        .save(env.disk.as_ref())
                        .await
                        .map_err(Error::Disk)?;
                    return Ok(node);
                }
                Ok(Ok(Answer::Refused(status))) => {
                    tracing::warn!(%at, %status, "not admitted yet");
                }
                Ok(Ok(other)) => tracing::warn!(%at, ?other, "not an answer to a join"),
                Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(Error::Refused {
                        endpoint: at.clone(),
                        reason: error.to_string(),
                    });
                }
                Ok(Err(error)) => tracing::warn!(%at, %error, "cannot reach the cluster"),
                Err(_) => tracing::warn!(%at, "the cluster did not answer in time"),
            }
        }
        tokio::time::sleep(config.limits.join_retry).await;
    }
}

async fn assemble(
    config: Config,
    env: Env,
    identity: Identity,
    node: NodeId,
    endpoint: String,
) -> Result<Rc<Shared>, Error> {
    let instance = identity.instance(node);
    let mut store = Store::new(
        env.memory.as_ref(),
        config.size_bytes,
        IdMaker::new(instance),
    )
    .map_err(|source| Error::Arena {
        bytes: config.size_bytes,
        source,
    })?;
    let arena = share(&store).map_err(|source| Error::Arena {
        bytes: config.size_bytes,
        source,
    })?;
    let own_holder = store.open_holder(true);
    let credentials = identity.credentials();
    let dialer = Dialer::new(&env, credentials, config.limits.connect_deadline);
    let member = Member {
        node,
        endpoint: endpoint.clone(),
        found: identity.founder.then(|| identity.cluster.clone()),
    };
    let meta = Meta::start(
        &env,
        raft_options(&config, &env),
        member,
        Arc::new(dialer.clone()),
    )
    .await?;
    let limits = &config.limits;
    Ok(Rc::new(Shared {
        instance,
        hostname: env.host.hostname(),
        started_unix_ms: env.clock.unix_ms(),
        endpoint,
        meta,
        blobs: blobs::start(store, limits.mailbox_capacity, limits.page_decay),
        catalog: catalog::start(Catalog::new(instance), limits.mailbox_capacity),
        migrator: migrator::start(limits.mailbox_capacity, limits.migrations_max),
        logins: config
            .passwords
            .clone()
            .map(|users| Logins::start(env.threads.as_ref(), users, limits.login_deadline)),
        bulk: Bulk::start(env.threads.as_ref(), limits.bulk_threads, limits.bulk_queue),
        dialer,
        arena,
        own_holder,
        persisted_blobs: RefCell::default(),
        frees: catalog::Frees::default(),
        changed: Notify::new(),
        stopping: Stopping::default(),
        leavers: Leavers::default(),
        counters: Counters::default(),
        config,
        env,
        identity,
    }))
}

fn share(store: &Store) -> io::Result<SharedArena> {
    let region = store.region();
    Ok(SharedArena {
        read_only: region.share(Access::ReadOnly)?,
        writable: region.share(Access::ReadWrite)?,
        len: region.len_bytes(),
    })
}

fn raft_options(config: &Config, env: &Env) -> vineyard_raft::Options {
    let limits = &config.limits;
    let planted = |bug: &str| env.host.planted() == Some(bug);
    vineyard_raft::Options {
        heartbeat_ms: limits.raft_heartbeat.as_millis() as u64,
        election_ms_min: limits.raft_election_min.as_millis() as u64,
        election_ms_max: limits.raft_election_max.as_millis() as u64,
        snapshot_after_entries: limits.raft_snapshot_entries,
        mutations: vineyard_raft::Mutations {
            ack_before_durable: planted("ack_before_durable"),
        },
        state_mutations: vineyard_raft::state::Mutations {
            put_name_ignores_condition: planted("put_name_ignores_condition"),
            retry_applies_again: planted("retry_applies_again"),
        },
        ..vineyard_raft::Options::default()
    }
}

/// What the node does on its own account for as long as it runs.
fn tend(shared: &Rc<Shared>) -> Vec<JoinHandle<()>> {
    vec![
        tokio::task::spawn_local(catalog::follow(shared.clone())),
        tokio::task::spawn_local(liveness::watch(shared.clone())),
        tokio::task::spawn_local(see_off(shared.clone())),
    ]
}

fn open_doors(
    shared: &Rc<Shared>,
    network: Box<dyn Listener>,
    local: Box<dyn LocalListener>,
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::task::spawn_local(front::accept_network(shared.clone(), network)),
        tokio::task::spawn_local(front::accept_local(shared.clone(), local)),
    ]
}

#[cfg(test)]
mod tests;
