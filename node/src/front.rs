//! The listeners: accept connections and tell clients from nodes.
//!
//! One TCP port serves vineyard clients, other nodes and HTTP; their first bytes tell them apart. Each kind of
//! connection has a limit of its own, so that too many of one kind do not exclude the others, and all limits together
//! leave descriptors for the disk and the members (`config::descriptors`). At the limit of unregistered TCP
//! connections, the oldest one that has sent nothing, or has not finished the handshake of a node, is closed for the
//! next one. Clients and nodes send their first bytes at once, so they are served even then.

mod http;
mod ipc;
mod limit;
pub(crate) mod lobby;
pub(crate) mod rpc;
mod tls;

use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWrite};
use vineyard_env::{Listener, LocalListener, Stream};
use vineyard_wire::opening::{OPENING_BYTES, Opening, PLAIN_REFUSED};
use vineyard_wire::{Code, Status};

use self::http::Http;
use self::ipc::IpcSession;
use self::limit::{ConnectionLimit, Displaced, Silent};
use self::rpc::RpcSession;
use self::tls::Begun;
use crate::context::{Counted, NodeContext, audit};
use crate::peer;
use crate::session::writer;

/// Accepts clients of this machine until the node stops.
pub(crate) async fn accept_local(node: Rc<NodeContext>, mut listener: Box<dyn LocalListener>) {
    let connections_max = node.config.limits.ipc_connections_max;
    let limit = ConnectionLimit::new(&node, "connections on the Unix socket", connections_max);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = tokio::time::sleep(node.config.limits.socket_check) => {
                if !listener.is_in_place() && let Some(again) = listen_again(&node).await {
                    listener = again;
                }
                continue;
            }
        };
        match accepted {
            Ok(stream) => {
                failing = false;
                match limit.acquire(|counters| &counters.ipc_connections) {
                    Ok(counted) => IpcSession::start(stream, counted),
                    Err(status) => refuse(&node, stream, status),
                }
            }
            Err(error) => pause(&node, error, &mut failing).await,
        }
    }
}

/// Listens once more on the Unix socket whose file was removed or replaced; `None` if that is not possible now.
async fn listen_again(node: &NodeContext) -> Option<Box<dyn LocalListener>> {
    let (socket, mode) = (&node.config.ipc_socket, node.config.ipc_socket_mode);
    let listening = async {
        // The folder may have been removed as well, and made by another user since.
        node.env.host.check_above(socket)?;
        node.env.local.listen(socket, mode).await
    };
    match listening.await {
        Ok(listener) => {
            tracing::warn!(
                socket,
                "the socket's file was removed; listening there again"
            );
            Some(listener)
        }
        Err(error) => {
            tracing::warn!(socket, %error, "the socket's file was removed or replaced; no new client can connect");
            None
        }
    }
}

/// Accepts clients and nodes from the network until the node stops.
pub(crate) async fn accept_network(node: Rc<NodeContext>, mut listener: Box<dyn Listener>) {
    let limit = ConnectionLimit::new(
        &node,
        "unregistered connections",
        node.config.limits.unregistered_max,
    );
    let protocols = Rc::new(Protocols {
        limits: ClientLimits::new(&node),
        http: Http::start(&node),
    });
    let mut silent = Silent::default();
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failing = false;
                silent.make_room(&limit).await;
                match limit.acquire(|counters| &counters.unregistered) {
                    Ok(counted) => {
                        let arrival = Arrival {
                            stream,
                            counted,
                            displaced: silent.add(),
                        };
                        tokio::task::spawn_local(greet(node.clone(), arrival, protocols.clone()));
                    }
                    Err(status) => refuse(&node, stream, status),
                }
            }
            Err(error) => pause(&node, error, &mut failing).await,
        }
    }
}

/// Where connections of clients and of HTTP go on.
struct Protocols {
    limits: ClientLimits,
    /// `None` if the node serves no HTTP.
    http: Option<Http>,
}

/// The limits for TCP connections of clients.
struct ClientLimits {
    clients: ConnectionLimit,
    unregistered: ConnectionLimit,
}

impl ClientLimits {
    fn new(node: &Rc<NodeContext>) -> Self {
        let limits = &node.config.limits;
        Self {
            clients: ConnectionLimit::new(node, "clients over TCP", limits.rpc_connections_max),
            unregistered: ConnectionLimit::new(
                node,
                "clients over TCP that have not registered",
                limits.unregistered_max,
            ),
        }
    }

    /// Counts a client that has not registered.
    fn acquire(&self) -> Result<(Counted, Counted), Status> {
        let unregistered = self
            .unregistered
            .acquire(|counters| &counters.unregistered_clients)?;
        let counted = self.clients.acquire(|counters| &counters.rpc_connections)?;
        Ok((counted, unregistered))
    }
}

/// A TCP connection that has sent nothing yet.
struct Arrival {
    stream: Box<dyn Stream>,
    counted: Counted,
    /// Tells when the connection must close for a newer one.
    displaced: Displaced,
}

/// Sends the reason and closes. At the limit of refusals it only closes, because a connection that is being refused
/// takes a descriptor too.
fn refuse<S: AsyncWrite + Unpin + ?Sized + 'static>(
    node: &Rc<NodeContext>,
    mut stream: Box<S>,
    status: Status,
) {
    let Some(counted) = Counted::refusal(node) else {
        return;
    };
    let deadline = node.config.limits.parting_deadline;
    tokio::task::spawn_local(async move {
        let refusal = Err(status);
        let told = writer::write(&mut stream, &refusal);
        // Best effort: the peer may not read within the deadline.
        tokio::time::timeout(deadline, told).await.ok();
        drop(stream);
        drop(counted);
    });
}

/// Waits after an accept that failed. With `failing`, only the first of successive failures is logged.
async fn pause(node: &NodeContext, error: io::Error, failing: &mut bool) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(%error, "could not accept a connection");
    }
    tokio::time::sleep(node.config.limits.accept_pause).await;
}

async fn greet(node: Rc<NodeContext>, arrival: Arrival, protocols: Rc<Protocols>) {
    let Arrival {
        mut stream,
        counted: unregistered,
        mut displaced,
    } = arrival;
    let caller = stream.peer_address();
    let mut first = [0; OPENING_BYTES];
    let deadline = node.config.limits.register_deadline;
    let read = tokio::select! {
        biased;
        () = displaced.told() => {
            drop(unregistered);
            return refuse(&node, stream, limit::displaced());
        }
        read = tokio::time::timeout(deadline, stream.read_exact(&mut first)) => read,
    };
    if !matches!(read, Ok(Ok(_))) {
        tracing::debug!(%caller, "a connection closed before its first bytes");
        return;
    }
    let begun = Begun::plain(stream, first);
    let Some(begun) = decrypted(&node, begun, &mut displaced).await else {
        return;
    };
    match (Opening::of(&begun.first), &protocols.http) {
        (Opening::Node, _) => {
            let refused = begun.refused_of_nodes(&node.encryption);
            let displaced = async move { displaced.told().await };
            let stream = begun.stream;
            let served = peer::serve::serve(node.clone(), stream, refused, unregistered, displaced);
            tokio::select! {
                biased;
                () = node.stopping.begun() => {}
                Err(error) = served => match error.kind() {
                    io::ErrorKind::PermissionDenied => audit::refused_node(&caller, &error),
                    _ => tracing::debug!(%caller, %error, "a peer connection ended"),
                },
                else => {}
            }
        }
        (Opening::Client, _) if node.config.rpc => {
            drop(unregistered);
            if begun.is_refused_of_clients(&node.encryption) {
                let status = Status::new(Code::ConnectionFailed, PLAIN_REFUSED);
                return refuse(&node, begun.stream, status);
            }
            let Begun { stream, first, .. } = begun;
            match protocols.limits.acquire() {
                Ok((counted, unregistered)) => {
                    RpcSession::start(stream, first.to_vec(), counted, unregistered);
                }
                Err(status) => refuse(&node, stream, status),
            }
        }
        (Opening::Http, Some(http)) => {
            if let Err(error) = http.take(begun.stream, begun.first, unregistered) {
                tracing::debug!(%caller, %error, "an HTTP connection was not served");
            }
        }
        _ => {
            tracing::debug!(%caller, "closed a connection that speaks no protocol of this port");
        }
    }
}

/// The connection within TLS, if it begins with that; `None` if it was closed.
async fn decrypted(node: &NodeContext, begun: Begun, displaced: &mut Displaced) -> Option<Begun> {
    if !begun.is_tls(&node.encryption) {
        return Some(begun);
    }
    let caller = begun.stream.peer_address();
    let deadline = node.config.limits.register_deadline;
    let decrypted = tokio::select! {
        biased;
        () = displaced.told() => return None,
        decrypted = tokio::time::timeout(deadline, begun.decrypt(&node.encryption)) => decrypted,
    };
    match decrypted {
        Ok(Ok(decrypted)) => return Some(decrypted),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            audit::refused_tls(&caller, &error);
        }
        Ok(Err(error)) => tracing::debug!(%caller, %error, "TLS was not opened"),
        Err(_) => tracing::debug!(%caller, "TLS was not opened in time"),
    }
    None
}
