//! Membership: promotes learners so that there are 1, 3 or 5 voters, gives the vote of a voter that stays dead to a
//! learner that lives, takes the vote of a node that leaves, and forgets nodes that were removed. The leader does it,
//! in one task, one change at a time; every other node's task idles.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use tokio::time::Instant;
use vineyard_env::Fault;
use vineyard_wire::NodeId;

use crate::command::Cordon;
use crate::meta::driver::Driver;
use crate::options::{
    CHANGE_WITHIN, GROUP_TICK, PROMOTE_BEHIND_MAX, PROMOTE_SILENT_MAX, VOTERS_MAX,
};
use crate::types::Address;

/// What the leader does next to the group.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// Those that are to vote; who loses the vote stays as a learner.
    Voters(BTreeSet<NodeId>),
    /// Learners that are no members any more.
    Forget(BTreeSet<NodeId>),
}

/// When this node began to lead, and in which term.
type LeadsSince = Option<(u64, Instant)>;

/// Watches the membership until the group stops.
pub(crate) async fn keep(driver: Rc<Driver>) {
    let mut leads_since: LeadsSince = None;
    loop {
        let _either = tokio::time::timeout(GROUP_TICK, driver.group_changed.notified()).await;
        if driver.leaves(driver.me) && driver.successor().is_some() {
            // The next leader takes this node's vote.
            driver.hand_over().await;
        }
        if let Some(change) = change(&driver, &mut leads_since) {
            let (what, nodes) = match &change {
                Change::Voters(voters) => ("who votes", voters),
                Change::Forget(nodes) => ("who is forgotten", nodes),
            };
            let called = nodes.iter().map(|node| driver.shared.called(*node));
            let called = called.collect::<Vec<_>>().join(", ");
            tracing::info!(what, nodes = %called, "changing the members");
            let (members, retain): (ChangeMembers<NodeId, Address>, bool) = match change {
                Change::Voters(voters) => (ChangeMembers::ReplaceAllVoters(voters), true),
                Change::Forget(nodes) => (ChangeMembers::RemoveNodes(nodes), false),
            };
            let changing = driver.raft.change_membership(members, retain);
            match tokio::time::timeout(driver.stretch(CHANGE_WITHIN), changing).await {
                Ok(Ok(_)) => {}
                // The next look sees what is and tries again.
                Ok(Err(error)) => tracing::debug!(%error, "the members could not be changed"),
                Err(_) => tracing::debug!("no majority has agreed to the new members yet"),
            }
            // A change that fails at once must not be tried at once.
            tokio::time::sleep(GROUP_TICK).await;
        }
    }
}

/// What should be changed next, if anything.
fn change(driver: &Driver, leads_since: &mut LeadsSince) -> Option<Change> {
    let status = driver.shared.status();
    let receiver = driver.raft.metrics();
    let metrics = receiver.borrow_watched();
    if metrics.current_leader != Some(driver.me) {
        *leads_since = None;
        return None;
    }
    let fresh = (metrics.current_term, Instant::now());
    let known = leads_since.filter(|(term, _)| *term == metrics.current_term);
    let (_, since) = *leads_since.insert(known.unwrap_or(fresh));
    let membership = metrics.membership_config.membership();
    let configs = membership.get_joint_config();
    if let [_, .., goal] = configs.as_slice() {
        // A change that its leader began and did not end: until it ends, both majorities are needed.
        return Some(Change::Voters(goal.clone()));
    }
    let voters: BTreeSet<_> = membership.voter_ids().collect();
    let learners: BTreeSet<_> = membership.learner_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let replication = metrics.replication.as_ref()?;
    let caught_up = |node: &NodeId| {
        let matched = replication.get(node).and_then(|matched| *matched);
        matched.is_some_and(|matched| matched.index + PROMOTE_BEHIND_MAX >= last)
    };
    // One that died after it caught up would count for the majority and never vote.
    let silent_max = driver.stretch(PROMOTE_SILENT_MAX);
    let answers = |node: &NodeId| {
        let silent = status.silent_ms.get(node);
        silent.is_some_and(|silent| Duration::from_millis(*silent) <= silent_max)
    };
    let state = driver.shared.state.load();
    let members = || voters.union(&learners).copied();
    let removed: BTreeSet<NodeId> = members()
        .filter(|node| *node != driver.me && state.is_removed(*node))
        .filter(|_| !driver.env.faults.has(Fault::RemovedNodeCounts))
        .collect();
    let leaving = members().filter(|node| driver.leaves(*node));
    let leaving: BTreeSet<NodeId> = leaving.chain(removed.iter().copied()).collect();
    let ready: Vec<_> = learners
        .difference(&leaving)
        .filter(|node| caught_up(node) && answers(node))
        .copied()
        .collect();
    let dead = |node: &NodeId| {
        *node != driver.me
            && silence(&status.silent_ms, since, *node) >= driver.options.replace_after
    };
    let dead: BTreeSet<NodeId> = voters.iter().copied().filter(dead).collect();
    if let Some(voters) = wanted(&voters, &ready, &leaving, &dead) {
        return Some(Change::Voters(voters));
    }
    // One that left by itself has to learn from the log that it is no member any more, and ends then.
    let forgotten: BTreeSet<NodeId> = learners
        .intersection(&removed)
        .filter(|node| !answers(node))
        .copied()
        .collect();
    (!forgotten.is_empty()).then_some(Change::Forget(forgotten))
}

impl Driver {
    /// Whether `node` has asked to give up its vote.
    pub(super) fn leaves(&self, node: NodeId) -> bool {
        self.shared.state.load().cordon_of(node) == Some(Cordon::Leaves)
    }
}

/// For how long `node` has not answered. One that has not answered this leader yet counts since the begin of the term.
fn silence(silent_ms: &BTreeMap<NodeId, u64>, since: Instant, node: NodeId) -> Duration {
    let silent = silent_ms.get(&node).copied().map(Duration::from_millis);
    silent.unwrap_or_else(|| since.elapsed())
}

/// Takes the vote from nodes that leave or were removed, and from as many of the dead as there are others in `ready`;
/// then adds as many of `ready` as make an odd number of voters, at most five.
fn wanted(
    voters: &BTreeSet<NodeId>,
    ready: &[NodeId],
    leaving: &BTreeSet<NodeId>,
    dead: &BTreeSet<NodeId>,
) -> Option<BTreeSet<NodeId>> {
    let mut wanted: BTreeSet<NodeId> = voters.difference(leaving).copied().collect();
    let mut ready = ready.iter().copied();
    for node in dead.difference(leaving) {
        let Some(heir) = ready.next() else { break };
        wanted.remove(node);
        wanted.insert(heir);
    }
    let possible = (wanted.len() + ready.len()).min(VOTERS_MAX);
    let target = possible.saturating_sub(usize::from(possible.is_multiple_of(2)));
    let missing = target.saturating_sub(wanted.len());
    wanted.extend(ready.take(missing));
    (wanted != *voters && !wanted.is_empty()).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(range: std::ops::Range<u64>) -> Vec<NodeId> {
        range.map(NodeId).collect()
    }

    fn set(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn there_are_one_three_or_five_voters() {
        for (voters, learners, expected) in [
            (1, 0, None),
            (1, 1, None),
            (1, 2, Some(3)),
            (3, 1, None),
            (3, 2, Some(5)),
            (1, 9, Some(5)),
            (5, 4, None),
            (2, 1, Some(3)),
        ] {
            let current = nodes(0..voters).into_iter().collect();
            let ready = nodes(voters..voters + learners);
            let changed = wanted(&current, &ready, &set(&[]), &set(&[]));
            let changed = changed.map(|voters| voters.len());
            assert_eq!(changed, expected, "{voters} voters, {learners} learners");
        }
    }

    #[test]
    fn the_dead_lose_their_vote_to_the_living_alone() {
        for (voters, ready, removed, dead, expected) in [
            // Without a learner that lives nothing changes.
            (3, 3..3, &[][..], &[2][..], None),
            (3, 3..4, &[], &[2], Some(set(&[0, 1, 3]))),
            (3, 3..4, &[], &[1, 2], Some(set(&[0, 2, 3]))),
            (5, 5..7, &[], &[1, 4], Some(set(&[0, 2, 3, 5, 6]))),
            (3, 3..6, &[], &[2], Some(set(&[0, 1, 3, 4, 5]))),
            // Who was removed does not vote, also if nobody takes the place.
            (3, 3..3, &[2], &[2], Some(set(&[0, 1]))),
            (3, 3..4, &[2], &[2], Some(set(&[0, 1, 3]))),
            (5, 5..5, &[3, 4], &[3, 4], Some(set(&[0, 1, 2]))),
            (5, 5..5, &[4], &[3, 4], Some(set(&[0, 1, 2, 3]))),
            // The only voter leaves.
            (1, 1..2, &[0], &[], Some(set(&[1]))),
            (1, 1..1, &[0], &[], None),
        ] {
            let voters = nodes(0..voters).into_iter().collect();
            let changed = wanted(&voters, &nodes(ready), &set(removed), &set(dead));
            assert_eq!(changed, expected, "{removed:?} removed, {dead:?} dead");
        }
    }
}
