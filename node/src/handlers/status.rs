//! Verbs that describe: the instances, this node, the whole cluster, and the join token.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::join_all;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_wire::reply::{
    ClusterStatus, GroupStatus, InstanceInfo, InstanceStatus, NodeStatus, Role,
};
use vineyard_wire::{NodeId, Reply, Status, reply};

use crate::context::NodeContext;
use crate::peer::stats::{self, Told};
use crate::session::{Kind, Session};

/// Instances that can be reached; clients dial what they find here.
pub(super) async fn cluster_meta(node: &Rc<NodeContext>) -> Result<Reply, Status> {
    let state = node.meta.state();
    let mut meta: BTreeMap<_, _> = state
        .instances()
        .filter(|instance| instance.liveness == Liveness::Up || instance.id == node.instance)
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

/// Asks all nodes for their statistics concurrently; a node that does not answer in time is listed without them.
pub(super) async fn cluster_status(node: &Rc<NodeContext>) -> Result<Reply, Status> {
    let state = node.meta.state();
    let group = node.meta.status();
    let current = |id: &NodeId| state.current_instance_of(*id);
    let members = group.voters.iter().chain(&group.learners);
    let instances: Vec<Instance> = members.filter_map(current).cloned().collect();
    let nodes = join_all(instances.iter().map(|instance| describe(node, instance))).await;
    let leader = group
        .leader
        .and_then(|leader| current(&leader))
        .map(|instance| instance.id);
    let cluster = GroupStatus {
        id: node.identity.cluster.clone(),
        leader,
        voters: group.voters.len() as u64,
        tolerates: stats::tolerates(node) as u64,
        commit_index: group.commit_index,
    };
    Ok(Reply::ClusterStatus(ClusterStatus { cluster, nodes }))
}

async fn describe(node: &Rc<NodeContext>, instance: &Instance) -> NodeStatus {
    let group = node.meta.status();
    let id = instance.id.node();
    let role = if group.leader == Some(id) {
        Role::Leader
    } else if group.voters.contains(&id) {
        Role::Voter
    } else {
        Role::Learner
    };
    let Told {
        stats,
        pieces,
        streams,
    } = stats::of(node, instance).await;
    NodeStatus {
        instance_id: instance.id,
        role,
        state: shown(instance.liveness),
        endpoint: instance.endpoint.clone(),
        ipc_socket: instance.ipc_socket.clone(),
        stats,
        pieces,
        streams,
    }
}

/// The token lets nodes join, so it is given only to clients on the Unix socket.
pub(super) fn token(session: &Session) -> Result<Reply, Status> {
    match session.kind {
        Kind::Ipc => Ok(Reply::Token {
            token: session.node.identity.token().to_string(),
        }),
        Kind::Rpc => Err(Status::invalid(
            "the token is only told over the Unix socket",
        )),
    }
}

fn shown(liveness: Liveness) -> reply::Liveness {
    match liveness {
        Liveness::Up => reply::Liveness::Up,
        Liveness::Unreachable => reply::Liveness::Unreachable,
        Liveness::Gone => reply::Liveness::Gone,
    }
}
