//! The cluster as this node knows it now, for `status`.

use std::rc::Rc;

use futures::future::join_all;
use vineyard_raft::command::Cordon;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Instance;
use vineyard_wire::reply::{
    self, ClusterSettings, ClusterStatus, GroupStatus, NodeAbout, NodeStatus, Role,
};

use super::members::Members;
use super::stats::{self, Told};
use crate::context::NodeContext;

/// What this node knows now. Asks those that may answer for what they tell of themselves, concurrently; a node that
/// does not answer in time is listed without it.
pub(crate) async fn of_cluster(node: &Rc<NodeContext>) -> ClusterStatus {
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
        settings: Some(settings(&members.state)),
        traffic: Some(node.encryption.described(&node.endpoint, |id| {
            let current = members.state.current_instance_of(id);
            current.map_or_else(|| id.to_string(), |current| current.hostname.clone())
        })),
    };
    let nodes = instances.iter().zip(told).map(|(instance, told)| {
        let told = told.unwrap_or_default();
        describe(&members, instance, told, commit_index)
    });
    let nodes = nodes.collect();
    ClusterStatus { cluster, nodes }
}

/// What holds for the whole cluster, as far as `state` goes.
pub(crate) fn settings(state: &State) -> ClusterSettings {
    ClusterSettings {
        round_trip_ms: state.round_trip_ms(),
        metadata_bytes: state.metadata_bytes(),
        metadata_quota_bytes: state.metadata_quota_bytes(),
    }
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
            transient_bytes: Some(about.transient_bytes),
            transient_quota_bytes: Some(about.transient_quota_bytes),
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
