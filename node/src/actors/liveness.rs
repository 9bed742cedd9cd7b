//! The leader's failure detector: records in the cluster when an instance becomes unreachable and when it is back.
//!
//! Only transitions go through the log. An unreachable instance loses nothing: it may only be paused.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_raft::Status;
use vineyard_raft::command::Command;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Liveness;
use vineyard_wire::{InstanceId, NodeId};

use crate::boot::registration;
use crate::context::NodeContext;

/// Runs until the node stops; idle while another node leads.
pub(crate) async fn watch(node: Rc<NodeContext>) {
    let limits = &node.config.limits;
    let mut leader_term = None;
    loop {
        tokio::time::sleep(limits.liveness_period).await;
        let group = node.meta.status();
        let silent = silences(&group, &mut leader_term, Instant::now());
        let unreachable_after = node.stretch(limits.unreachable_after);
        for command in transitions(&node.meta.state(), &silent, unreachable_after) {
            if let Err(error) = registration::submit(&node, command).await {
                // The next round sees the same change and retries.
                tracing::debug!(%error, "could not record which nodes are reachable");
            }
        }
    }
}

/// A term in which this node leads, and the time when it began to.
#[derive(Clone, Copy)]
struct LeaderTerm {
    term: u64,
    since: Instant,
}

/// For how long a member has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silence {
    lasts: Duration,
    /// Whether the member has answered this leader at all. Only then may it be recorded as back.
    was_heard: bool,
}

/// For how long each member has been silent; empty unless this node leads. A member that has not answered this leader
/// yet counts as silent since the begin of the term.
fn silences(
    group: &Status,
    leader_term: &mut Option<LeaderTerm>,
    now: Instant,
) -> BTreeMap<NodeId, Silence> {
    if !group.is_leader {
        *leader_term = None;
        return BTreeMap::new();
    }
    let fresh = LeaderTerm {
        term: group.term,
        since: now,
    };
    let known = leader_term.filter(|known| known.term == group.term);
    let LeaderTerm { since, .. } = *leader_term.insert(known.unwrap_or(fresh));
    let members = group.voters.iter().chain(&group.learners);
    let silence = |member: &NodeId| {
        let heard = match *member == group.me {
            true => Some(Duration::ZERO),
            false => group
                .silent_ms
                .get(member)
                .copied()
                .map(Duration::from_millis),
        };
        let silence = Silence {
            lasts: heard.unwrap_or(now.duration_since(since)),
            was_heard: heard.is_some(),
        };
        (*member, silence)
    };
    members.map(silence).collect()
}

/// The transitions that are not recorded yet.
fn transitions(state: &State, silent: &BTreeMap<NodeId, Silence>, limit: Duration) -> Vec<Command> {
    let watch = |instance: InstanceId, reachable| Command::Watch {
        instance,
        reachable,
    };
    let transition = |(member, silence): (&NodeId, &Silence)| {
        let instance = state.current_instance_of(*member)?;
        match (instance.liveness, silence.lasts < limit) {
            (Liveness::Up, false) => Some(watch(instance.id, false)),
            (Liveness::Unreachable, true) if silence.was_heard => Some(watch(instance.id, true)),
            _ => None,
        }
    };
    silent.iter().filter_map(transition).collect()
}

#[cfg(test)]
mod tests;
