//! Verbs that describe: the instances, this node, the whole cluster, and the join token.

use std::collections::BTreeMap;
use std::rc::Rc;

use vineyard_raft::state::instances::{Instance, Liveness as Recorded};
use vineyard_wire::reply::{InstanceInfo, InstanceStatus, JoinToken, Liveness, NodeStatus};
use vineyard_wire::{Reply, Status};

use crate::context::NodeContext;
use crate::peer::{stats, view};
use crate::session::{Kind, Session};

/// Instances that can be reached; clients dial what they find here.
pub(super) async fn cluster_meta(node: &Rc<NodeContext>) -> Result<Reply, Status> {
    let state = node.meta.state();
    let mut meta: BTreeMap<_, _> = state
        .instances()
        .filter(|instance| instance.liveness == Recorded::Up || instance.id == node.instance)
        .map(|instance| (instance.id, info(instance)))
        .collect();
    // This node is listed even before the cluster has registered it.
    meta.entry(node.instance)
        .or_insert_with(|| info(&node.identity.instance_record(node)));
    Ok(Reply::ClusterMeta { meta })
}

fn info(instance: &Instance) -> InstanceInfo {
    InstanceInfo {
        hostid: instance.hostid,
        hostname: instance.hostname.clone(),
        nodename: instance.hostname.clone(),
        ipc_socket: instance.ipc_socket.clone(),
        rpc_endpoint: instance.endpoint.clone(),
        timestamp: instance.since_unix_ms,
    }
}

pub(super) async fn instance_status(node: &Rc<NodeContext>) -> Result<Reply, Status> {
    let usage = node.local.ask(|local, _| local.store.usage()).await?;
    Ok(Reply::InstanceStatus(InstanceStatus {
        deployment: node.config.deployment.clone(),
        instance_id: node.instance,
        memory_usage: usage.memory_usage,
        memory_limit: usage.memory_limit,
        deferred_requests: node.counters.waiting.get(),
        ipc_connections: node.counters.ipc_connections.get(),
        rpc_connections: node.counters.rpc_connections.get(),
        pieces: Some(stats::pieces(node).await?),
    }))
}

pub(super) async fn cluster_status(session: &Session) -> Result<Reply, Status> {
    let mut status = view::of_cluster(&session.node).await;
    for node in &mut status.nodes {
        known_to(session, node);
    }
    Ok(Reply::ClusterStatus(status))
}

/// In words that the client knows.
fn known_to(session: &Session, status: &mut NodeStatus) {
    if status.state == Liveness::Stopped && !session.knows_stopped.get() {
        status.state = Liveness::Unreachable;
    }
}

pub(super) fn list_events(node: &NodeContext, after: u64, limit: u64) -> Reply {
    Reply::ListEvents(node.history.after(after, limit))
}

/// The token lets nodes join, so it is given only to clients on the Unix socket.
pub(super) fn token(session: &Session) -> Result<Reply, Status> {
    match session.kind {
        Kind::Ipc => Ok(token_of(&session.node)),
        Kind::Rpc => Err(Status::invalid(
            "the token is only told over the Unix socket",
        )),
    }
}

pub(super) fn token_of(node: &NodeContext) -> Reply {
    Reply::Token(JoinToken {
        token: node.identity_now().token().to_string(),
        old_until_unix_ms: node.credentials.secrets.older_until_unix_ms(),
    })
}
