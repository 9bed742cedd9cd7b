//! Makes this node the only one of a cluster that has lost its majority for ever.
//!
//! Promise: nothing is changed without the cluster's id, nor while a majority answers, counted with this node: then the
//! others are asked first. What is given up is told before.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use futures::future::join_all;
use tokio::time::timeout;
use vineyard_env::Fault;
use vineyard_raft::Survey;
use vineyard_raft::state::State;
use vineyard_raft::state::nodes::Node;
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::reply::{GivenUp, Recovery};
use vineyard_wire::request::RecoverCluster;
use vineyard_wire::{NodeId, Reply, Status};

use super::members::on_the_socket;
use super::to_its_end;
use crate::boot::identity::Identity;
use crate::context::NodeContext;
use crate::failure;
use crate::peer::places;
use crate::session::Session;

/// What was found before anything is changed.
struct Found {
    group: vineyard_raft::Status,
    answering: Answering,
    /// Of the cluster after the recovery.
    epoch: u64,
}

/// The other nodes that have answered just now, each with the last entry that it has applied, if it said so.
type Answering = BTreeMap<NodeId, Option<u64>>;

pub(super) async fn recover_cluster(
    session: &Session,
    request: RecoverCluster,
) -> Result<Reply, Status> {
    let node = &session.node;
    on_the_socket(session)?;
    let within = node.stretch(node.config.limits.metadata_deadline);
    let survey = node.meta.survey(within).await;
    let survey = survey.map_err(failure::from_raft)?;
    let found = look_around(node).await;
    found.is_without_majority()?;
    let cluster = &node.identity.cluster;
    match request.confirm {
        None => return Ok(Reply::RecoverCluster(found.tell(node, &survey))),
        Some(confirm) if confirm != *cluster => {
            let reason = format!("this node is of cluster {cluster}, not of {confirm}");
            return Err(Status::invalid(reason));
        }
        Some(_) => {}
    }
    let node = node.clone();
    to_its_end("the recovery", async move {
        let next = Identity {
            epoch: found.epoch,
            ..node.identity_now()
        };
        let recovered = node.meta.recover(next.epoch, vec![next.put()], within);
        let survey = recovered.await.map_err(failure::from_raft)?;
        Ok(Reply::RecoverCluster(found.tell(&node, &survey)))
    })
    .await
}

async fn look_around(node: &Rc<NodeContext>) -> Found {
    let epoch = node.credentials.epoch.get();
    Found {
        answering: who_answers(node).await,
        group: node.meta.status(),
        epoch: match node.env.faults.has(Fault::RecoveryKeepsTheEpoch) {
            true => epoch,
            false => epoch + 1,
        },
    }
}

/// Asks at every address at which another node was known to listen.
async fn who_answers(node: &Rc<NodeContext>) -> Answering {
    let asked = places::whom(node).into_iter();
    let asked = join_all(asked.map(|endpoint| who_is_at(node, endpoint))).await;
    let answers = asked.into_iter().flatten();
    let others = answers.filter(|(other, _)| *other != node.instance.node());
    others.collect()
}

async fn who_is_at(node: &Rc<NodeContext>, endpoint: String) -> Option<(NodeId, Option<u64>)> {
    let limit = node.stretch(node.config.limits.connect_deadline);
    match timeout(limit, node.dialer.ask(&endpoint, &Ask::About)).await {
        Ok(Ok((other, Answer::About { about, .. }))) => Some((other, Some(about.applied_index))),
        Ok(Ok((other, _))) => Some((other, None)),
        // A build that does not know the question closes the connection.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let asked = timeout(limit, node.dialer.ask(&endpoint, &Ask::Stats)).await;
            let (other, _) = asked.ok()?.ok()?;
            Some((other, None))
        }
        _ => None,
    }
}

impl Found {
    fn is_without_majority(&self) -> Result<(), Status> {
        let Self {
            group, answering, ..
        } = self;
        let voters = group.voters.iter();
        let there = voters.filter(|voter| **voter == group.me || answering.contains_key(*voter));
        let there: Vec<String> = there.map(NodeId::to_string).collect();
        let (count, voters, majority) = (there.len(), group.voters.len(), group.majority());
        if count < majority {
            return Ok(());
        }
        Err(Status::invalid(format!(
            "not recovered: {} answer, {count} of {voters} voters, and {majority} are a majority: let them reach each \
             other, or stop those that are not to come back",
            there.join(" and ")
        )))
    }

    fn tell(&self, node: &NodeContext, survey: &Survey) -> Recovery {
        let Survey {
            state,
            last_index,
            agreed_index,
            written_unix_ms,
        } = survey;
        let others = state.nodes().filter(|other| other.id != self.group.me);
        let losses = state.losses_without_all_but(node.instance);
        let now_unix_ms = node.env.clock.unix_ms();
        Recovery {
            cluster: node.identity.cluster.clone(),
            epoch: self.epoch,
            last_index: *last_index,
            agreed_index: *agreed_index,
            written_ms: written_unix_ms.map(|at| now_unix_ms.saturating_sub(at)),
            quorum_ms: self.group.quorum_ms,
            names: state.names().count() as u64,
            objects: state.objects().count() as u64,
            objects_lost: losses.objects,
            blobs_lost: losses.blobs,
            bytes_lost: losses.bytes,
            given_up: others.map(|other| self.given_up(state, other)).collect(),
        }
    }

    fn given_up(&self, state: &State, other: &Node) -> GivenUp {
        let node = other.id;
        let current = state.current_instance_of(node);
        let (name, endpoint) = match current {
            Some(current) => (current.hostname.clone(), &current.endpoint),
            None => (String::new(), &other.endpoint),
        };
        GivenUp {
            node,
            name,
            endpoint: endpoint.clone(),
            votes: self.group.voters.contains(&node),
            answers: self.answering.contains_key(&node),
            applied_index: self.answering.get(&node).copied().flatten(),
        }
    }
}
