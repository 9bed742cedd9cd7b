//! Verbs by which a node that runs is emptied, or leaves the cluster in order.
//!
//! Promise: each answers within its deadline, however much is to be moved, and says how far it is. A node that has left
//! is no member for anybody before its process ends, and takes no bytes along that nobody gave up by name.

use std::rc::Rc;

use tokio::time::{Instant, sleep, timeout};
use vineyard_raft::command::{Command, Cordon, Refusal};
use vineyard_raft::{Error as RaftError, features};
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::reply::Left;
use vineyard_wire::request::DrainNode;
use vineyard_wire::{Code, NodeId, Reply, Status};

use super::members::{is_member, on_the_socket};
use crate::boot::registration;
use crate::context::{NodeContext, call};
use crate::failure;
use crate::session::Session;

/// Begins to drain a node, or says how far that is.
pub(super) async fn drain_node(session: &Session, request: DrainNode) -> Result<Reply, Status> {
    let DrainNode {
        node: which,
        all,
        begin,
    } = request;
    let node = &session.node;
    on_the_socket(session)?;
    let progress = match which == node.instance.node() {
        true => node.drain.step(node, all, begin).await?,
        false => drain_another(node, which, all, begin).await?,
    };
    Ok(Reply::DrainNode(progress))
}

async fn drain_another(
    node: &Rc<NodeContext>,
    which: NodeId,
    all: bool,
    begin: bool,
) -> Result<vineyard_wire::reply::DrainProgress, Status> {
    let state = node.meta.state();
    is_member(&state, which)?;
    knows_how(node)?;
    let Some(instance) = state.current_instance_of(which) else {
        return Err(Status::invalid(format!("{which} has not started yet")));
    };
    let (endpoint, within) = (
        &instance.endpoint,
        call::patience(node.stretch(node.config.limits.metadata_deadline)),
    );
    let ask = match begin {
        true => Ask::BeginDrain { all },
        false => Ask::Drain { all },
    };
    match timeout(within, node.dialer.ask(endpoint, &ask)).await {
        Ok(Ok((answerer, Answer::Drain(progress)))) if answerer == which => Ok(progress),
        Ok(Ok((_, Answer::Refused(status)))) => Err(status),
        Ok(Ok((answerer, _))) => Err(Status::new(
            Code::IoError,
            format!("{endpoint}, where {which} was, is node {answerer}"),
        )),
        Ok(Err(error)) => Err(Status::new(
            Code::IoError,
            format!("{which} at {endpoint} cannot be asked: {error}"),
        )),
        Err(_) => Err(failure::deadline(&format!("{which} at {endpoint}"), within)),
    }
}

/// Lets a node take copies again.
pub(super) async fn uncordon_node(session: &Session, which: NodeId) -> Result<Reply, Status> {
    let node = &session.node;
    on_the_socket(session)?;
    knows_how(node)?;
    set_cordon(node, which, None).await?;
    Ok(Reply::UncordonNode)
}

async fn set_cordon(
    node: &Rc<NodeContext>,
    which: NodeId,
    cordon: Option<Cordon>,
) -> Result<(), Status> {
    let cordon = Command::Cordon {
        node: which,
        cordon,
    };
    let submitted = registration::submit(node, cordon).await;
    submitted.map(drop).map_err(failure::from_raft)
}

fn knows_how(node: &NodeContext) -> Result<(), Status> {
    match node.meta.feature_level() >= features::MEMBERS {
        true => Ok(()),
        false => Err(Status::invalid(
            "this needs a build that knows how to on every node of the cluster",
        )),
    }
}

/// Gives up the vote of this node, then its membership. `VineyardServerNotReady` asks the caller to drain again, or to
/// ask again.
pub(super) async fn leave_cluster(session: &Session, discard: bool) -> Result<Reply, Status> {
    let node = &session.node;
    on_the_socket(session)?;
    knows_how(node)?;
    let patience = call::patience(node.stretch(node.config.limits.metadata_deadline));
    let until = Instant::now() + patience;
    let confirmed = node.meta.confirm(patience).await;
    confirmed.map_err(failure::from_raft)?;
    let me = node.instance.node();
    let state = node.meta.state();
    let others = state.nodes().filter(|other| other.id != me);
    let mut others = others.filter_map(|other| state.current_instance_of(other.id));
    if !others.any(|other| state.is_to_stay(other.id)) {
        let reason = format!("{me} cannot leave: no other node is up and stays");
        return Err(Status::invalid(reason));
    }
    let refuse_only_copies = || match only_here(node) {
        left if left.blobs_lost > 0 && !discard => Err(holds_only_copies(me, left)),
        left => Ok(left),
    };
    if state.cordon_of(me).is_none() {
        refuse_only_copies()?;
    }
    // From here on nothing more is persisted on this node, so that a further drain finds an end.
    set_cordon(node, me, Some(Cordon::Leaves)).await?;
    let left = refuse_only_copies()?;
    vote_given_up(node, until).await?;
    // From here on the cluster may let this node go at any time.
    node.leaves.set(true);
    let leave = Command::Leave { node: me, discard };
    let left_of_it = until.saturating_duration_since(Instant::now());
    match node.meta.submit(node.instance, leave, left_of_it).await {
        Ok(_) => Ok(Reply::LeaveCluster(left)),
        Err(RaftError::Refused(Refusal::OnlyCopies { .. })) => {
            node.leaves.set(false);
            Err(holds_only_copies(me, only_here(node)))
        }
        Err(error) => Err(failure::from_raft(error)),
    }
}

fn only_here(node: &NodeContext) -> Left {
    let state = node.meta.state();
    let rows = state.only_copies_on(node.instance.node());
    rows.fold(Left::default(), |left, row| Left {
        blobs_lost: left.blobs_lost + 1,
        bytes_lost: left.bytes_lost + row.size,
    })
}

fn holds_only_copies(me: NodeId, left: Left) -> Status {
    let Left {
        blobs_lost,
        bytes_lost,
    } = left;
    Status::new(
        Code::VineyardServerNotReady,
        format!(
            "only {me} has the bytes of {blobs_lost} persisted blobs, {bytes_lost} bytes: drain it, or give them up with \
             --discard"
        ),
    )
}

/// Returns once this node does not vote any more: its death then takes nobody's majority.
async fn vote_given_up(node: &Rc<NodeContext>, until: Instant) -> Result<(), Status> {
    let me = node.instance.node();
    while node.meta.status().voters.contains(&me) {
        if Instant::now() >= until {
            let reason = format!("{me} has its vote still: no other node has taken it over yet");
            return Err(Status::new(Code::VineyardServerNotReady, reason));
        }
        sleep(node.config.limits.accept_pause).await;
    }
    Ok(())
}
