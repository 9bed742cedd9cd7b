//! Where nodes listen, told from node to node while the log cannot say it.
//!
//! Promise: a process that the cluster has replaced draws nobody to its address; it is told that it was replaced. This
//! decides nothing about the cluster: what is learned here only says whom to dial.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use futures::future::join_all;
use vineyard_env::Fault;
use vineyard_raft::Whereabouts;
use vineyard_wire::Status;
use vineyard_wire::limits::ENDPOINT_BYTES_MAX;
use vineyard_wire::peer::{self, Answer, Ask, Moved};

use crate::context::NodeContext;

/// Addresses in one answer; with the longest ones they fit a message.
const PLACES_MAX: usize = 1024;

/// Takes the word of another node, and says where the nodes listen of which this one knows.
pub(crate) fn take(node: &NodeContext, moved: Moved) -> Result<Answer, Status> {
    let Moved { life, endpoint } = moved;
    let is_mine = life.instance.node() == node.instance.node();
    let is_me = life.key == node.boot.life().key;
    let believes_all = node.env.faults.has(Fault::OlderBootAccepted);
    if node.boot.has_removed(life.instance.node()) {
        return Ok(Answer::Removed);
    }
    if node.boot.knows_better(&life) && !believes_all {
        let called = node.meta.state().called(life.instance.node());
        tracing::warn!(node = %called, instance = %life.instance, endpoint, "a process that was replaced says where it listens");
        return Ok(Answer::Outlived);
    }
    if is_mine && !is_me {
        return Err(Status::invalid(
            "another process of the same node runs here",
        ));
    }
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        let reason = format!("an address of more than {ENDPOINT_BYTES_MAX} bytes");
        return Err(Status::invalid(reason));
    }
    let place = Whereabouts {
        instance: life.instance,
        endpoint,
    };
    if !is_mine && let Err(later) = node.meta.learn(place) {
        let reason = format!("{later} is a later start of the node");
        return Err(Status::invalid(reason));
    }
    Ok(Answer::Places {
        places: known(node),
    })
}

/// This node's own place, and where it dials the others.
fn known(node: &NodeContext) -> Vec<peer::Whereabouts> {
    let mine = peer::Whereabouts {
        instance: node.instance,
        endpoint: node.endpoint.clone(),
    };
    let others = node.meta.places().into_iter();
    let others = others.filter(|place| place.instance.node() != node.instance.node());
    let others =
        others.map(|Whereabouts { instance, endpoint }| peer::Whereabouts { instance, endpoint });
    std::iter::once(mine)
        .chain(others)
        .take(PLACES_MAX)
        .collect()
}

/// Says to every node that may be there where this one listens, and learns where the others do.
pub(crate) async fn tell_all(node: &Rc<NodeContext>) {
    let life = node.boot.life().clone();
    let ask = Ask::Moved(Moved {
        life,
        endpoint: node.endpoint.clone(),
    });
    let told = whom(node)
        .into_iter()
        .map(|endpoint| tell(node, endpoint, &ask));
    join_all(told).await;
}

/// The seeds, and every address at which a node was known to listen. A founder has no seeds, and after a start it has
/// applied nothing before it hears of a leader: then the members in the log are all that it knows.
pub(crate) fn whom(node: &NodeContext) -> BTreeSet<String> {
    let state = node.meta.state();
    let learned = node.meta.places().into_iter().map(|place| place.endpoint);
    let registered = state.nodes().flat_map(|known| {
        let current = state.current_instance_of(known.id);
        let current = current.map(|instance| instance.endpoint.clone());
        [Some(known.endpoint.clone()), current]
    });
    let seeds = node.config.seeds.iter().cloned();
    let members = node.meta.member_endpoints().into_iter();
    let known = learned.chain(registered.flatten()).chain(members);
    let mut all: BTreeSet<String> = seeds.chain(known).collect();
    all.remove(&node.endpoint);
    all
}

async fn tell(node: &NodeContext, endpoint: String, ask: &Ask) {
    let limit = node.stretch(node.config.limits.connect_deadline);
    let asked = tokio::time::timeout(limit, node.dialer.ask(&endpoint, ask)).await;
    match asked {
        Ok(Ok((_, Answer::Places { places }))) => {
            for peer::Whereabouts { instance, endpoint } in places {
                let is_mine = instance.node() == node.instance.node();
                // Refused is what is older than what this node knows.
                if !is_mine && node.meta.learn(Whereabouts { instance, endpoint }).is_err() {
                    tracing::debug!(%instance, "an address of an earlier start is not taken");
                }
            }
        }
        Ok(Ok((_, Answer::Outlived))) => node.boot.is_outlived(),
        Ok(Ok((_, Answer::Removed))) => node.boot.is_removed(),
        // Another node may listen there by now, or one of a build that does not know the question.
        Ok(Ok((answerer, _))) => tracing::debug!(endpoint, %answerer, "no addresses were learned"),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(endpoint, reason = %error, "refused by a node");
        }
        Ok(Err(error)) => tracing::debug!(endpoint, %error, "no addresses were learned"),
        Err(_) => tracing::debug!(endpoint, "no addresses were learned in time"),
    }
}
