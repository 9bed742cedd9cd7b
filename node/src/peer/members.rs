//! What this node knows of the members of its cluster now: who answers, what is shown of each, and how many may fail.
//!
//! Plain code over what the raft thread published, the replicated state, and who has answered this node just now. The
//! log cannot say who is unreachable while no majority agrees; this file can. It asks nobody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_wire::NodeId;
use vineyard_wire::reply::{self, Quorum};

use crate::context::NodeContext;

/// See the module.
pub(crate) struct Members {
    pub(crate) group: vineyard_raft::Status,
    pub(crate) state: Arc<State>,
    unreachable_after: Duration,
    answered: BTreeSet<NodeId>,
}

impl Members {
    /// What is known without asking anybody.
    pub(crate) fn known(node: &NodeContext) -> Self {
        Self {
            group: node.meta.status(),
            state: node.meta.state(),
            unreachable_after: node.stretch(node.config.limits.unreachable_after),
            answered: BTreeSet::new(),
        }
    }

    /// These have answered this node just now.
    pub(crate) fn answered(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        self.answered.extend(nodes);
    }

    /// The current instance of each member that has one, voters first.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        let members = self.group.voters.iter().chain(&self.group.learners);
        let current = |id: &NodeId| self.state.current_instance_of(*id).cloned();
        members.filter_map(current).collect()
    }

    /// Whether it is worth asking: without a majority nobody else knows who answers.
    pub(crate) fn may_answer(&self, instance: &Instance) -> bool {
        // Its node may have booted again and not be registered yet.
        !self.group.has_quorum || self.shown(instance) == reply::Liveness::Up
    }

    /// What is shown of the current instance of a member.
    pub(crate) fn shown(&self, instance: &Instance) -> reply::Liveness {
        let answers = self.answers(instance.id.node());
        match instance.liveness {
            Liveness::Gone => reply::Liveness::Gone,
            Liveness::Stopped => reply::Liveness::Stopped,
            Liveness::Up if answers => reply::Liveness::Up,
            // What the log says is old: nothing has been agreed on since.
            Liveness::Unreachable if answers && !self.group.has_quorum => reply::Liveness::Up,
            Liveness::Up | Liveness::Unreachable => reply::Liveness::Unreachable,
        }
    }

    /// Voters that answer, minus a majority; nothing may fail once the majority is lost.
    pub(crate) fn tolerates(&self) -> usize {
        match self.group.has_quorum {
            true => self
                .voters_answering()
                .saturating_sub(self.group.majority()),
            false => 0,
        }
    }

    pub(crate) fn quorum(&self) -> Quorum {
        Quorum {
            quorum: self.group.has_quorum,
            quorum_ms: self.group.quorum_ms,
            voters_answering: self.voters_answering() as u64,
            voters_needed: self.group.majority() as u64,
        }
    }

    fn voters_answering(&self) -> usize {
        let voters = self.group.voters.iter();
        voters.filter(|voter| self.answers(**voter)).count()
    }

    /// With a majority its leader knows who answers; without one this node knows who has answered it.
    fn answers(&self, member: NodeId) -> bool {
        let group = &self.group;
        let current = self.state.current_instance_of(member);
        let is = |liveness| current.is_some_and(|instance| instance.liveness == liveness);
        if is(Liveness::Stopped) {
            return false;
        }
        if member == group.me {
            return group.failure.is_none();
        }
        if !group.has_quorum {
            return self.answered.contains(&member);
        }
        match group.members_ms.get(&member) {
            Some(ms) => Duration::from_millis(*ms) < self.unreachable_after,
            // The log is old. A leader that knows the question has not said yet who answers it.
            None => match group.leader {
                Some(leader) if self.state.level_of(leader) >= features::MEMBERS => {
                    member == leader
                }
                _ => is(Liveness::Up),
            },
        }
    }
}

#[cfg(test)]
mod tests;
