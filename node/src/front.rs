//! The doors: accepts connections and finds out who is calling.
//!
//! One TCP port serves vineyard clients and our own nodes; their first bytes tell them apart. A vineyard client's first
//! frame is shorter than 4 GiB, so bytes 4 to 7 are zero; the peer magic, TLS and HTTP never start like that.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use vineyard_env::{Listener, LocalListener, Stream};
use vineyard_wire::peer::MAGIC;

use crate::actors::ipc_session::IpcSession;
use crate::actors::rpc_session::RpcSession;
use crate::peer;
use crate::shared::Shared;

/// Pause after an accept that failed, for example because the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts clients of this machine until the node stops.
pub(crate) async fn accept_local(node: Rc<Shared>, mut listener: Box<dyn LocalListener>) {
    loop {
        match listener.accept().await {
            Ok(stream) if has_room(&node) => IpcSession::start(node.clone(), stream),
            Ok(_) => refuse(&node),
            Err(error) => pause(error).await,
        }
    }
}

/// Accepts clients and nodes from the network until the node stops.
pub(crate) async fn accept_network(node: Rc<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        match listener.accept().await {
            Ok(stream) if has_room(&node) => {
                tokio::task::spawn_local(greet(node.clone(), stream));
            }
            Ok(_) => refuse(&node),
            Err(error) => pause(error).await,
        }
    }
}

fn has_room(node: &Shared) -> bool {
    let counters = &node.counters;
    let open = counters.ipc_connections.get() + counters.rpc_connections.get();
    open < node.config.limits.connections_max as u64
}

fn refuse(node: &Shared) {
    let connections_max = node.config.limits.connections_max;
    tracing::warn!(connections_max, "refused a connection: too many are open");
}

async fn pause(error: io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn greet(node: Rc<Shared>, mut stream: Box<dyn Stream>) {
    let caller = stream.peer_address();
    let mut first = [0; MAGIC.len()];
    let deadline = node.config.limits.register_deadline;
    let read = tokio::time::timeout(deadline, stream.read_exact(&mut first)).await;
    if !matches!(read, Ok(Ok(_))) {
        tracing::debug!(%caller, "a connection ended before it said what it wants");
        return;
    }
    if first == MAGIC {
        if let Err(error) = peer::serve::serve(node, stream).await {
            tracing::debug!(%caller, %error, "a peer connection ended");
        }
    } else if first[4..] == [0; 4] && node.config.rpc {
        RpcSession::start(node, stream, first.to_vec());
    } else {
        tracing::debug!(%caller, "closed a connection that speaks neither protocol of this port");
    }
}
