//! The doors: accepts connections and finds out who is calling.
//!
//! One TCP port serves vineyard clients and our own nodes; their first bytes tell them apart. A vineyard client's first
//! frame is shorter than 4 GiB, so bytes 4 to 7 are zero; the peer magic, TLS and HTTP never start like that.
//! Each kind of connection has a bound of its own, so that a flood of one kind does not shut the others out.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWrite};
use vineyard_env::{Listener, LocalListener, Stream};
use vineyard_wire::peer::MAGIC;
use vineyard_wire::{Code, Status};

use crate::actors::ipc_session::IpcSession;
use crate::actors::rpc_session::RpcSession;
use crate::peer;
use crate::session;
use crate::shared::{Counted, Counters, Shared};

/// Accepts clients of this machine until the node stops.
pub(crate) async fn accept_local(node: Rc<Shared>, mut listener: Box<dyn LocalListener>) {
    let connections_max = node.config.limits.ipc_connections_max;
    let room = Room::new(&node, "connections on the Unix socket", connections_max);
    loop {
        match listener.accept().await {
            Ok(stream) => match room.enter(|counters| &counters.ipc_connections) {
                Ok(counted) => IpcSession::start(stream, counted),
                Err(status) => refuse(&node, stream, status),
            },
            Err(error) => pause(&node, error).await,
        }
    }
}

/// Accepts clients and nodes from the network until the node stops.
pub(crate) async fn accept_network(node: Rc<Shared>, mut listener: Box<dyn Listener>) {
    let limits = &node.config.limits;
    let room = Room::new(&node, "unregistered connections", limits.unregistered_max);
    let clients = Room::new(&node, "clients over TCP", limits.rpc_connections_max);
    let clients = Rc::new(clients);
    loop {
        match listener.accept().await {
            Ok(stream) => match room.enter(|counters| &counters.unregistered) {
                Ok(unregistered) => {
                    let greeted = greet(node.clone(), stream, unregistered, clients.clone());
                    tokio::task::spawn_local(greeted);
                }
                Err(status) => refuse(&node, stream, status),
            },
            Err(error) => pause(&node, error).await,
        }
    }
}

/// How many connections of one kind there may be.
struct Room {
    node: Rc<Shared>,
    kind: &'static str,
    connections_max: usize,
    /// Said once each time it fills up: a flood of connections shall not become one of lines.
    is_full: Cell<bool>,
}

impl Room {
    fn new(node: &Rc<Shared>, kind: &'static str, connections_max: usize) -> Self {
        Self {
            node: node.clone(),
            kind,
            connections_max,
            is_full: Cell::new(false),
        }
    }

    fn enter(&self, pick: fn(&Counters) -> &Cell<u64>) -> Result<Counted, Status> {
        let Self {
            kind,
            connections_max,
            ..
        } = self;
        if pick(&self.node.counters).get() < *connections_max as u64 {
            self.is_full.set(false);
            return Ok(Counted::new(&self.node, pick));
        }
        if !self.is_full.replace(true) {
            tracing::warn!(kind, connections_max, "refusing connections: too many");
        }
        let message = format!("this node has {connections_max} {kind}, and takes no more");
        Err(Status::new(Code::ConnectionFailed, message))
    }
}

/// Says why, and closes.
fn refuse<S: AsyncWrite + Unpin + ?Sized + 'static>(
    node: &Shared,
    mut stream: Box<S>,
    status: Status,
) {
    let deadline = node.config.limits.parting_deadline;
    tokio::task::spawn_local(async move {
        let refusal = Err(status);
        let told = session::write(&mut stream, &refusal);
        // Whoever does not read is not told.
        tokio::time::timeout(deadline, told).await.ok();
    });
}

async fn pause(node: &Shared, error: io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(node.config.limits.accept_pause).await;
}

async fn greet(
    node: Rc<Shared>,
    mut stream: Box<dyn Stream>,
    unregistered: Counted,
    clients: Rc<Room>,
) {
    let caller = stream.peer_address();
    let mut first = [0; MAGIC.len()];
    let deadline = node.config.limits.register_deadline;
    let read = tokio::time::timeout(deadline, stream.read_exact(&mut first)).await;
    if !matches!(read, Ok(Ok(_))) {
        tracing::debug!(%caller, "a connection ended before it said what it wants");
        return;
    }
    if first == MAGIC {
        let served = peer::serve::serve(node.clone(), stream, unregistered);
        tokio::select! {
            biased;
            () = node.stopping.begun() => {}
            Err(error) = served => tracing::debug!(%caller, %error, "a peer connection ended"),
            else => {}
        }
    } else if first[4..] == [0; 4] && node.config.rpc {
        match clients.enter(|counters| &counters.rpc_connections) {
            Ok(counted) => RpcSession::start(stream, first.to_vec(), counted, unregistered),
            Err(status) => refuse(&node, stream, status),
        }
    } else {
        tracing::debug!(%caller, "closed a connection that speaks neither protocol of this port");
    }
}
