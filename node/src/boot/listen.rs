//! Where a node listens, and where others dial it.

use vineyard_env::{Env, Listener, LocalListener};

use crate::boot::node::Error;
use crate::config::{Config, Listen, flags};

pub(crate) async fn bind_network(config: &Config, env: &Env) -> Result<Box<dyn Listener>, Error> {
    if let Some(listener) = bind_own_of(config, env).await {
        return Ok(listener);
    }
    let address = match &config.listen {
        Listen::At(address) => address.clone(),
        Listen::Auto { port } => format!("{}:{port}", route(config, env).await),
    };
    let listening = env.network.listen(&address).await;
    listening.map_err(|source| Error::Listen { address, source })
}

/// The address among those that form the cluster that is this machine's, if nothing says where to listen.
async fn bind_own_of(config: &Config, env: &Env) -> Option<Box<dyn Listener>> {
    let (Listen::Auto { .. }, Some(_), Some(join)) = (&config.listen, config.expect, &config.join)
    else {
        return None;
    };
    for endpoint in &join.endpoints {
        if let Ok(listener) = env.network.listen(endpoint).await {
            return Some(listener);
        }
    }
    None
}

/// `host:port` that others dial.
pub(crate) fn advertised(config: &Config, bound: &str) -> String {
    let port = bound.rsplit_once(':').map_or("", |(_, port)| port);
    match &config.advertise {
        None => bound.to_owned(),
        Some(told) if flags::has_port(told) => told.clone(),
        Some(host) => format!("{host}:{port}"),
    }
}

/// The local address of the route to the cluster this node joins; loopback if there is none.
async fn route(config: &Config, env: &Env) -> String {
    const LOOPBACK: &str = "127.0.0.1";
    for endpoint in config.join.iter().flat_map(|join| &join.endpoints) {
        let connected = tokio::time::timeout(
            config.stretch(config.limits.connect_deadline),
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

pub(crate) async fn bind_local(
    config: &Config,
    env: &Env,
) -> Result<Box<dyn LocalListener>, Error> {
    let listening = env
        .local
        .listen(&config.ipc_socket, config.ipc_socket_mode)
        .await;
    let address = config.ipc_socket.clone();
    listening.map_err(|source| Error::Listen { address, source })
}
