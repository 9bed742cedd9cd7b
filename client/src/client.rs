//! The client: a handle to one connection, and the verbs.
//!
//! Promise: one request at a time per connection, in the order of the calls; every call ends within its deadline. A
//! call that is dropped half way, or whose deadline passes, closes the connection rather than leave it out of step.
//! It must never know how a frame looks.

mod blobs;
mod cluster;
mod get;
mod holds;
mod metadata;
mod names;
mod owners;
mod put;
mod remote;
mod second;
mod streams;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard as LockGuard, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use vineyard_wire::reply::Registered;
use vineyard_wire::{Code, InstanceId, Reply, Request, Trace};

use self::blobs::check_size;
pub(crate) use self::holds::Hold;
use self::holds::Holds;
pub(crate) use self::streams::Batch;
use crate::connection::{Call, Connection, Limit, Mapped, Security, Target, Traces};
use crate::{Error, Options, Result, World};

pub use metadata::Created;

/// A connection to a node. Cloning it is cheap and shares the connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    options: Options,
    target: Target,
    registered: Registered,
    traces: Option<Traces>,
    security: Security,
    /// What the connection has mapped, for others to the same node.
    mapped: Weak<Lock<Mapped>>,
    /// `None` once closed.
    connection: Mutex<Option<Connection>>,
    /// Set by `close` while `holds` keep the connection open.
    closed: AtomicBool,
    holds: Lock<Holds>,
    /// A forked child has the same socket, and what it sent would be taken for ours.
    process: u32,
    /// Connections to the owners of remote objects, made when first read from.
    owners: Mutex<BTreeMap<InstanceId, Client>>,
    /// Kept for the next call that takes long.
    second: Lock<Option<Client>>,
    /// What must outlast the connection, which is why it comes last.
    keeper: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// An exchange in progress on the client's connection.
type Exchange<'a> = Call<'a, MappedMutexGuard<'a, Connection>>;

impl Client {
    /// Connects to the node that listens on the Unix socket `path`.
    pub async fn connect_ipc(path: &str, options: &Options) -> Result<Self> {
        World::system().connect_ipc(path, options).await
    }

    /// Connects to the node that listens on `endpoint`, `host:port`.
    pub async fn connect_rpc(endpoint: &str, options: &Options) -> Result<Self> {
        World::system().connect_rpc(endpoint, options).await
    }

    /// Connects to the node that `VINEYARD_IPC_SOCKET` names, or else to the first that answers of the comma list in
    /// `VINEYARD_RPC_ENDPOINT`.
    pub async fn connect_default(options: &Options) -> Result<Self> {
        if let Some(path) = variable("VINEYARD_IPC_SOCKET") {
            return Self::connect_ipc(&path, options).await;
        }
        let mut failure = Error::NoAddress;
        let endpoints = variable("VINEYARD_RPC_ENDPOINT").unwrap_or_default();
        for endpoint in endpoints
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            match Self::connect_rpc(endpoint, options).await {
                Ok(client) => return Ok(client),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(crate) async fn connect(world: &World, target: Target, options: &Options) -> Result<Self> {
        let (connection, registered) = Connection::open(world, &target, options).await?;
        Ok(Self::with(world, &target, options, connection, registered))
    }

    fn with(
        world: &World,
        target: &Target,
        options: &Options,
        connection: Connection,
        registered: Registered,
    ) -> Self {
        let inner = Inner {
            world: world.clone(),
            options: options.clone(),
            target: target.clone(),
            registered,
            traces: connection.traces(),
            security: connection.security(),
            mapped: connection.mapped(),
            connection: Mutex::new(Some(connection)),
            closed: AtomicBool::new(false),
            holds: Lock::default(),
            process: std::process::id(),
            owners: Mutex::default(),
            second: Lock::default(),
            keeper: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The instance this client is connected to.
    pub fn instance_id(&self) -> InstanceId {
        self.inner.registered.instance_id
    }

    /// The trace of the last request on this client's connection: what its lines in the nodes' logs have in common.
    /// `None` if the node does not know traces, or nothing was asked yet.
    pub fn last_trace(&self) -> Option<Trace> {
        let last = self.inner.traces.as_ref()?.last();
        let before_first = Trace(self.inner.registered.first_trace.wrapping_sub(1));
        Some(last).filter(|last| *last != before_first)
    }

    /// The node's Unix socket, as the node names it.
    pub fn ipc_socket(&self) -> &str {
        &self.inner.registered.ipc_socket
    }

    /// The node's `host:port`.
    pub fn rpc_endpoint(&self) -> &str {
        &self.inner.registered.rpc_endpoint
    }

    /// The protocol version the node speaks.
    pub fn version(&self) -> &str {
        &self.inner.registered.version
    }

    /// How the connection to the node is protected.
    pub fn security(&self) -> Security {
        self.inner.security
    }

    /// Whether blobs are read in place, over a Unix socket.
    pub fn is_ipc(&self) -> bool {
        matches!(self.inner.target, Target::Ipc(_))
    }

    /// Says goodbye. Later calls on any clone are `Closed`. While blobs of this connection live it stays open in the
    /// background, so that their bytes stay; the last one closes it.
    pub async fn close(&self) {
        let owners = std::mem::take(&mut *self.inner.owners.lock().await);
        for owner in owners.into_values() {
            Box::pin(owner.close()).await;
        }
        self.inner.closed.store(true, Ordering::Relaxed);
        let second = self.second().take();
        if let Some(second) = second {
            Box::pin(second.close()).await;
        }
        let deadline = self.inner.options.deadline;
        // A call that hangs holds the lock no longer than its own deadline.
        let mut connection = self.inner.connection.lock().await;
        if self.is_held() {
            drop(connection);
            self.end();
        } else if let Some(connection) = connection.take() {
            connection.exit(deadline).await;
        }
    }

    /// Whether the next call is known to fail, because the client was closed or the node has closed the connection.
    /// Nothing is sent. `false` while another call has the connection, which will find out.
    pub async fn has_ended(&self) -> bool {
        if self.is_closed() || !self.is_ours() {
            return true;
        }
        let Ok(mut connection) = self.inner.connection.try_lock() else {
            return false;
        };
        match connection.as_mut().filter(|one| one.in_step()) {
            Some(connection) => connection.has_ended().await,
            None => true,
        }
    }

    fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Relaxed)
    }

    /// Whether blobs in the node's memory need the connection.
    fn is_held(&self) -> bool {
        self.holds().total() > 0
    }

    fn holds(&self) -> LockGuard<'_, Holds> {
        let holds = self.inner.holds.lock();
        holds.expect("counting does not panic half way")
    }

    /// Whether this is the process that connected.
    fn is_ours(&self) -> bool {
        self.inner.process == std::process::id()
    }

    /// Lets `keeper` live as long as the connection does.
    pub(crate) fn keep(&self, keeper: Arc<dyn Any + Send + Sync>) {
        self.inner.keeper.get_or_init(|| keeper);
    }

    /// What it was connected with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// A connection of its own to the same node, for a call that may take long or be given up.
    pub(crate) async fn another(&self) -> Result<Self> {
        let (world, options) = (&self.inner.world, &self.inner.options);
        let (mut connection, registered) =
            Connection::open(world, &self.inner.target, options).await?;
        // Its requests are this client's: `last_trace` knows them.
        connection.share_traces(&self.inner.traces);
        if registered.instance_id == self.instance_id() {
            connection.share_mapped(&self.inner.mapped);
        }
        let another = Self::with(world, &self.inner.target, options, connection, registered);
        if let Some(keeper) = self.inner.keeper.get() {
            another.keep(keeper.clone());
        }
        Ok(another)
    }

    /// Whether the node offers `feature`, an addition to vineyard 0.24's protocol.
    fn offers(&self, feature: &str) -> bool {
        let features = &self.inner.registered.features;
        features.iter().any(|offered| offered == feature)
    }

    /// Takes the connection for one exchange, when those before it are through. What was dropped goes before it.
    async fn begin(&self, after: Duration) -> Result<Exchange<'_>> {
        let mut call = self.take(after).await?;
        self.queue_release(call.connection());
        Ok(call)
    }

    async fn take(&self, after: Duration) -> Result<Exchange<'_>> {
        let endpoint = self.inner.target.text();
        let closed = || Error::Closed {
            endpoint: endpoint.to_owned(),
        };
        let limit = Limit::new(endpoint, after);
        let wait = async { Ok(self.inner.connection.lock().await) };
        let mut guard = limit
            .run("earlier calls on the connection to", wait)
            .await?;
        if self.is_closed() || !self.is_ours() {
            drop(guard);
            self.end();
            return Err(closed());
        }
        if guard
            .as_ref()
            .is_some_and(|connection| !connection.in_step())
            && !self.is_held()
        {
            // Of no use to anybody: the node may have its memory back.
            *guard = None;
        }
        let connection = MutexGuard::try_map(guard, Option::as_mut).map_err(|_| closed())?;
        Call::begin(connection, limit)
    }

    /// One request, one reply.
    async fn ask<T>(
        &self,
        request: Request,
        pick: impl FnOnce(Reply) -> Result<T, Reply>,
    ) -> Result<T> {
        self.ask_within(self.inner.options.deadline, request, pick)
            .await
    }

    async fn ask_within<T>(
        &self,
        after: Duration,
        request: Request,
        pick: impl FnOnce(Reply) -> Result<T, Reply>,
    ) -> Result<T> {
        let mut call = self.begin(after).await?;
        let value = call.ask(&request, pick).await?;
        call.done();
        Ok(value)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, target) = (self.instance_id(), self.inner.target.text());
        match self.inner.security {
            Security::Local => write!(f, "Client({id} at {target})"),
            security => write!(f, "Client({id} at {target}, {security})"),
        }
    }
}

fn not_exists(message: String) -> Error {
    Error::Status {
        code: Code::ObjectNotExists,
        message,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Takes one kind of reply apart and gives every other back.
macro_rules! only {
    ($pattern:pat => $value:expr) => {
        |reply| match reply {
            $pattern => Ok($value),
            other => Err(other),
        }
    };
}
use only;
