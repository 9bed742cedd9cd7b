//! Verbs that describe: the instances, this node, the whole cluster, and the join token.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::join_all;
use vineyard_raft::command::Cordon;
use vineyard_raft::state::instances::{Instance, Liveness as Recorded};
use vineyard_wire::reply::{
    ClusterStatus, GroupStatus, InstanceInfo, InstanceStatus, JoinToken, Liveness, NodeAbout,
    NodeStatus, Role,
};
use vineyard_wire::{Reply, Status, reply};

use crate::context::NodeContext;
use crate::peer::members::Members;
use crate::peer::stats::{self, Told};
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

/// What this node knows now. Asks those that may answer for what they tell of themselves, concurrently; a node that
/// does not answer in time is listed without it.
pub(super) async fn cluster_status(session: &Session) -> Result<Reply, Status> {
    let node = &session.node;
    let mut members = Members::known(node);
    let instances = members.instances();
    let asked = join_all(instances.iter().map(|instance| async {
        match members.may_answer(instance) {
            true => stats::of(node, instance).await,
            false => None,
        }
    }));
    let told = asked.await;
    // It has taken a while: what is known of the group is read after the answers.
    members = Members::known(node);
    let pairs = instances.iter().zip(&told);
    members.answered(pairs.filter_map(|(one, told)| told.as_ref().map(|_| one.id.node())));
    let leader = members.group.leader_now();
    let leader = leader.and_then(|leader| members.state.current_instance_of(leader));
    let committed = told.iter().flatten().filter_map(|told| told.about.as_ref());
    let committed = committed.map(|about| about.commit_index);
    let commit_index = committed.fold(members.group.commit_index, u64::max);
    let cluster = GroupStatus {
        id: node.identity.cluster.clone(),
        leader: leader.map(|instance| instance.id),
        voters: members.group.voters.len() as u64,
        tolerates: members.tolerates() as u64,
        commit_index: members.group.commit_index,
        quorum: Some(members.quorum()),
        epoch: Some(node.credentials.epoch.get()),
    };
    let nodes = instances.iter().zip(told).map(|(instance, told)| {
        let told = told.unwrap_or_default();
        let described = describe(&members, instance, told, commit_index);
        known_to(session, described)
    });
    let nodes = nodes.collect();
    Ok(Reply::ClusterStatus(ClusterStatus { cluster, nodes }))
}

/// In words that the client knows.
fn known_to(session: &Session, mut status: NodeStatus) -> NodeStatus {
    if status.state == Liveness::Stopped && !session.knows_stopped.get() {
        status.state = Liveness::Unreachable;
    }
    status
}

fn describe(members: &Members, instance: &Instance, told: Told, commit_index: u64) -> NodeStatus {
    let group = &members.group;
    let id = instance.id.node();
    let role = if group.leader_now() == Some(id) {
        Role::Leader
    } else if group.voters.contains(&id) {
        Role::Voter
    } else {
        Role::Learner
    };
    let Told {
        about,
        stats,
        pieces,
        streams,
    } = told;
    let silent_ms = group.members_ms.get(&id).copied();
    let about = NodeAbout {
        name: Some(instance.hostname.clone()),
        silent_ms: silent_ms.filter(|_| group.has_quorum),
        cordon: members.state.cordon_of(id).map(|cordon| match cordon {
            Cordon::Drains => reply::Cordon::Drains,
            Cordon::Leaves => reply::Cordon::Leaves,
        }),
        ..about.map_or_else(NodeAbout::default, |about| NodeAbout {
            lag: Some(commit_index.saturating_sub(about.applied_index)),
            version: Some(about.version),
            uptime_ms: Some(about.uptime_ms),
            unix_ms: Some(about.unix_ms),
            failure: about.failure,
            shortage: about.shortage,
            ..NodeAbout::default()
        })
    };
    NodeStatus {
        instance_id: instance.id,
        role,
        state: members.shown(instance),
        endpoint: instance.endpoint.clone(),
        ipc_socket: instance.ipc_socket.clone(),
        about,
        stats,
        pieces,
        streams,
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
