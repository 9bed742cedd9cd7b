//! Verbs that change who is a member of the cluster.
//!
//! Promise: a node that answers is not removed, and bytes that only a dead one had are given up by word alone. Whether
//! it is a member any more is decided by the log.

use std::rc::Rc;

use tokio::time::{Instant, sleep, timeout};
use vineyard_raft::command::Command;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Liveness;
use vineyard_wire::peer::Ask;
use vineyard_wire::reply::RemovedNode;
use vineyard_wire::request::RemoveNode;
use vineyard_wire::{Code, NodeId, Reply, Status};

use crate::boot::registration;
use crate::context::NodeContext;
use crate::failure;
use crate::session::{Kind, Session};

/// Takes a dead node out of the cluster.
pub(super) async fn remove_node(session: &Session, request: RemoveNode) -> Result<Reply, Status> {
    let node = &session.node;
    let RemoveNode {
        node: dead,
        lose_objects,
        dry_run,
    } = request;
    on_the_socket(session)?;
    let deadline = node.stretch(node.config.limits.metadata_deadline);
    let confirmed = node.meta.confirm(deadline).await;
    confirmed.map_err(failure::from_raft)?;
    let state = node.meta.state();
    is_member(&state, dead)?;
    if dead == node.instance.node() || answers(node, &state, dead).await {
        let reason = format!("{dead} answers: a node is removed when it is dead; stop it first");
        return Err(Status::invalid(reason));
    }
    let objects_lost = state.objects_only_on(dead) as u64;
    let endpoint = endpoints(node, &state, dead).pop().unwrap_or_default();
    if !dry_run {
        if objects_lost > 0 && !lose_objects {
            let reason = format!(
                "only {dead} has the bytes of {objects_lost} persisted objects: bring it back, or remove it with \
                 --lose-objects"
            );
            return Err(Status::invalid(reason));
        }
        let called = state.called(dead);
        let removed = registration::submit(node, Command::Remove { node: dead }).await;
        removed.map_err(failure::from_raft)?;
        tracing::warn!(node = %called, objects_lost, "a node was removed from the cluster");
        out_of_group(node, dead).await?;
    }
    Ok(Reply::RemoveNode(RemovedNode {
        node: dead,
        endpoint,
        objects_lost,
    }))
}

/// Who is a member is decided by those who may open the socket of a node.
pub(super) fn on_the_socket(session: &Session) -> Result<(), Status> {
    match session.kind {
        Kind::Ipc => Ok(()),
        Kind::Rpc => Err(Status::invalid(
            "who is a member is changed over the Unix socket of a node only",
        )),
    }
}

pub(super) fn is_member(state: &State, node: NodeId) -> Result<(), Status> {
    if state.is_removed(node) {
        return Err(Status::invalid(format!("{node} was removed before")));
    }
    match state.node(node) {
        Some(_) => Ok(()),
        None => Err(Status::invalid(format!("the cluster has no node {node}"))),
    }
}

/// Where the node listened; what is known best comes last.
fn endpoints(node: &NodeContext, state: &State, of: NodeId) -> Vec<String> {
    let admitted = state.node(of).map(|known| known.endpoint.clone());
    let known = node.meta.places().into_iter();
    let known = known.filter(|known| known.instance.node() == of);
    let mut all: Vec<String> = admitted.into_iter().collect();
    all.extend(known.map(|known| known.endpoint));
    all
}

/// Whether the leader hears of the node, or this one reaches it.
async fn answers(node: &NodeContext, state: &State, other: NodeId) -> bool {
    let current = state.current_instance_of(other);
    if current.is_some_and(|instance| instance.liveness == Liveness::Up) {
        return true;
    }
    let deadline = node.stretch(node.config.limits.connect_deadline);
    for endpoint in endpoints(node, state, other) {
        let asked = timeout(deadline, node.dialer.ask(&endpoint, &Ask::Stats)).await;
        if matches!(asked, Ok(Ok((answerer, _))) if answerer == other) {
            return true;
        }
    }
    false
}

/// Returns once the leader has taken the node out of the group.
async fn out_of_group(node: &Rc<NodeContext>, removed: NodeId) -> Result<(), Status> {
    let limits = &node.config.limits;
    let until = Instant::now() + node.stretch(limits.metadata_deadline);
    loop {
        let group = node.meta.status();
        if !group.voters.contains(&removed) && !group.learners.contains(&removed) {
            return Ok(());
        }
        if Instant::now() >= until {
            let reason = format!(
                "{removed} was removed; the leader has not taken it out of the voters yet, and goes on trying"
            );
            return Err(Status::new(Code::IoError, reason));
        }
        sleep(limits.accept_pause).await;
    }
}
