//! What every session and handler of one node can reach: handles of owners, and facts that do not change while the node
//! runs. State that has an owner is not kept here.

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod clients;
pub(crate) mod proposal;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use vineyard_env::{Access, Env, MemoryHandle};
use vineyard_raft::state::State;
use vineyard_raft::{Meta, Pace};
use vineyard_store::HolderId;
use vineyard_wire::reply::Payload;
use vineyard_wire::{Code, InstanceId, Status, Trace};

use self::clients::Clients;
use crate::actors::bulk::Bulk;
use crate::actors::drain::Drain;
use crate::actors::history::History;
use crate::actors::local::LocalHandle;
use crate::actors::migrator::Migrator;
use crate::boot::identity::Identity;
use crate::boot::registration::Boot;
use crate::config::Config;
use crate::local::Local;
use crate::peer::dial::Dialer;
use crate::peer::encryption::Encryption;
use crate::peer::handshake::Credentials;
use crate::session::logins::Logins;
use crate::session::tcp_access::TcpAccess;

/// One running node, seen from its own thread.
pub(crate) struct NodeContext {
    pub(crate) config: Config,
    pub(crate) env: Env,
    /// As it was when the node started; `NodeContext::identity_now` has the epoch of now.
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
    pub(crate) encryption: Encryption,
    pub(crate) instance: InstanceId,
    pub(crate) boot: Arc<Boot>,
    /// What the cluster calls this node: `--name`, else the name of its host.
    pub(crate) hostname: String,
    pub(crate) started_unix_ms: u64,
    pub(crate) started: Instant,
    /// The `host:port` that was bound.
    pub(crate) endpoint: String,
    pub(crate) meta: Meta,
    /// Of the group.
    pub(crate) pace: Arc<Pace>,
    pub(crate) local: LocalHandle,
    pub(crate) migrator: Migrator,
    pub(crate) drain: Drain,
    pub(crate) history: History,
    /// This node has asked the cluster to take it out.
    pub(crate) leaves: Cell<bool>,
    pub(crate) bulk: Bulk,
    /// `None` if no password is needed to register.
    pub(crate) logins: Option<Logins>,
    /// `None` if the caller's user does not matter over TCP.
    pub(crate) tcp_access: Option<TcpAccess>,
    pub(crate) dialer: Dialer,
    pub(crate) arena: SharedArena,
    /// The holder of the blobs that the node itself writes.
    pub(crate) own_holder: HolderId,
    pub(crate) stopping: Stopping,
    pub(crate) closed_sessions: ClosedSessions,
    pub(crate) counters: Counters,
    /// Random, so that the traces of different nodes differ.
    pub(crate) first_trace: u64,
}

impl NodeContext {
    /// This node's record as it is on the disk now.
    pub(crate) fn identity_now(&self) -> Identity {
        let secrets = &self.credentials.secrets;
        let mut identity = Identity {
            epoch: self.credentials.epoch.get(),
            encrypts: self.encryption.has_begun(),
            ..self.identity.clone()
        };
        identity.has_rotated(secrets.current(), &secrets.before());
        identity
    }

    /// How long other nodes get for what usually takes `time`: more if the cluster is set to a longer round trip.
    pub(crate) fn stretch(&self, time: Duration) -> Duration {
        self.pace.stretch(time)
    }

    /// A trace for a request without one.
    pub(crate) fn next_trace(&self) -> Trace {
        let traced = &self.counters.traced;
        traced.set(traced.get() + 1);
        Trace(self.first_trace.wrapping_add(traced.get()))
    }
}

/// Whether the node is stopping. A stop that has begun is never revoked.
#[derive(Default)]
pub(crate) struct Stopping {
    has_begun: Cell<bool>,
    rung: Notify,
}

impl Stopping {
    pub(crate) fn begin(&self) {
        self.has_begun.set(true);
        self.rung.notify_waiters();
    }

    /// Returns when the stop has begun, at once if it has already.
    pub(crate) async fn begun(&self) {
        // Registered before the check, so that a stop between the two is not missed.
        let rung = self.rung.notified();
        if !self.has_begun.get() {
            rung.await;
        }
    }
}

/// Holders whose sessions have ended, until the store has closed them. Adding one is synchronous and infallible, so a
/// session may do it when it is dropped, also by a panic.
#[derive(Default)]
pub(crate) struct ClosedSessions {
    holders: RefCell<Vec<HolderId>>,
    added: Notify,
}

impl ClosedSessions {
    pub(crate) fn add(&self, holder: HolderId) {
        self.holders.borrow_mut().push(holder);
        self.added.notify_one();
    }
}

/// Closes the holders of sessions that have ended, until the node stops.
pub(crate) async fn reap(node: Rc<NodeContext>) {
    loop {
        node.closed_sessions.added.notified().await;
        let holders = node.closed_sessions.holders.take();
        let close = move |local: &mut Local, state: &State| {
            for holder in holders {
                local.end_session(state, holder);
            }
        };
        if let Err(status) = node.local.ask(close).await {
            tracing::error!(%status, "the references of closed connections were not released");
            return;
        }
    }
}

/// Counters of connections and requests.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) ipc_connections: Cell<u64>,
    pub(crate) rpc_connections: Cell<u64>,
    /// TCP connections that have neither registered nor finished the handshake of a node.
    pub(crate) unregistered: Cell<u64>,
    /// Clients over TCP that have not registered, counted apart so that they do not exclude nodes.
    pub(crate) unregistered_clients: Cell<u64>,
    /// Connections that are being told why they are closed.
    pub(crate) refusals: Cell<u64>,
    /// Requests that wait for an object or name to appear.
    pub(crate) waiting: Cell<u64>,
    /// Notified whenever one of the counters above is decremented.
    pub(crate) fell: Notify,
    /// Since the start of the node.
    pub(crate) sessions: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    /// Requests that failed for a reason that is not the caller's, and requests that were slow.
    pub(crate) failed: Cell<u64>,
    pub(crate) slow: Cell<u64>,
    traced: Cell<u64>,
    pub(crate) warnings: Warnings,
    /// The connections themselves.
    pub(crate) clients: Clients,
}

impl Counters {
    pub(crate) fn next_session(&self) -> u64 {
        self.sessions.set(self.sessions.get() + 1);
        self.sessions.get()
    }

    pub(crate) fn count_request(&self, has_failed: bool, is_slow: bool) {
        self.requests.set(self.requests.get() + 1);
        self.failed.set(self.failed.get() + u64::from(has_failed));
        self.slow.set(self.slow.get() + u64::from(is_slow));
    }
}

/// Limits the log lines about single requests per second, so that a client that fails in a loop does not fill the log.
#[derive(Default)]
pub(crate) struct Warnings {
    second: Cell<Option<Instant>>,
    said: Cell<u64>,
    unsaid: Cell<u64>,
}

impl Warnings {
    const A_SECOND_MAX: u64 = 20;

    /// `None` if this second has had all its lines; otherwise the number of lines that were left out before this one.
    pub(crate) fn allow(&self) -> Option<u64> {
        let second = Duration::from_secs(1);
        if self
            .second
            .get()
            .is_none_or(|begun| begun.elapsed() >= second)
        {
            self.second.set(Some(Instant::now()));
            self.said.set(0);
        }
        if self.said.get() >= Self::A_SECOND_MAX {
            self.unsaid.set(self.unsaid.get() + 1);
            return None;
        }
        self.said.set(self.said.get() + 1);
        Some(self.unsaid.replace(0))
    }
}

/// Counts one connection or request until it is dropped.
pub(crate) struct Counted {
    node: Rc<NodeContext>,
    pick: fn(&Counters) -> &Cell<u64>,
}

impl Counted {
    pub(crate) fn new(node: &Rc<NodeContext>, pick: fn(&Counters) -> &Cell<u64>) -> Self {
        let cell = pick(&node.counters);
        cell.set(cell.get() + 1);
        Self {
            node: node.clone(),
            pick,
        }
    }

    /// The node whose counter it is.
    pub(crate) fn node(&self) -> &Rc<NodeContext> {
        &self.node
    }

    /// Counts a connection that is being refused; `None` at the limit.
    pub(crate) fn refusal(node: &Rc<NodeContext>) -> Option<Self> {
        let refusals_max = node.config.limits.refusals_max as u64;
        let is_below_limit = node.counters.refusals.get() < refusals_max;
        is_below_limit.then(|| Self::new(node, |counters| &counters.refusals))
    }

    /// Counts a request that waits for an object or name; an error at the limit.
    pub(crate) fn waiting(node: &Rc<NodeContext>) -> Result<Self, Status> {
        let waiting_max = node.config.limits.waiting_max;
        if node.counters.waiting.get() >= waiting_max as u64 {
            return Err(Status::new(
                Code::VineyardServerNotReady,
                format!("{waiting_max} requests wait on this node, and no more may"),
            ));
        }
        Ok(Self::new(node, |counters| &counters.waiting))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let cell = (self.pick)(&self.node.counters);
        cell.set(cell.get() - 1);
        self.node.counters.fell.notify_waiters();
    }
}

/// The arena under its two numbers: a read-only handle for readers, a writable one for creators.
pub(crate) struct SharedArena {
    pub(crate) read_only: MemoryHandle,
    pub(crate) writable: MemoryHandle,
    /// Size of the arena in bytes.
    pub(crate) len: usize,
}

impl SharedArena {
    const WRITABLE_NUMBER: i32 = 1;
    const READ_ONLY_NUMBER: i32 = 2;
    /// Constant bases, so that no address of this process reaches a frame.
    const BASE: u64 = 1 << 46;
    /// Added to the size that the protocol reports; the released client maps `map_size - 8`.
    const MAP_SIZE_GAP: i64 = 8;

    pub(crate) fn handle(&self, number: i32) -> &MemoryHandle {
        if number == Self::WRITABLE_NUMBER {
            &self.writable
        } else {
            &self.read_only
        }
    }

    /// The location of a blob, under the number for `access`.
    pub(crate) fn payload(&self, blob: &vineyard_store::Blob, access: Access) -> Payload {
        if blob.size == 0 {
            return Payload::empty();
        }
        let number = match access {
            Access::ReadWrite => Self::WRITABLE_NUMBER,
            Access::ReadOnly => Self::READ_ONLY_NUMBER,
        };
        Payload {
            object_id: blob.id,
            store_fd: number,
            data_offset: blob.offset as i64,
            data_size: blob.size as i64,
            map_size: self.len as i64 + Self::MAP_SIZE_GAP,
            pointer: Self::BASE * number as u64 + blob.offset,
            is_sealed: blob.sealed,
            is_owner: true,
            is_gpu: false,
        }
    }
}
