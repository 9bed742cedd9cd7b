//! Membership: promotes learners so that there are 1, 3 or 5 voters. The leader does it, in one task, one change at a
//! time; every other node's task idles.

use std::collections::BTreeSet;
use std::rc::Rc;

use openraft::async_runtime::WatchReceiver;
use vineyard_wire::NodeId;

use crate::meta::driver::Driver;
use crate::options::{
    CHANGE_WITHIN, GROUP_TICK, PROMOTE_BEHIND_MAX, PROMOTE_SILENT_MS_MAX, VOTERS_MAX,
};

/// Watches the membership until the group stops.
pub(crate) async fn keep(driver: Rc<Driver>) {
    loop {
        let _either = tokio::time::timeout(GROUP_TICK, driver.group_changed.notified()).await;
        if let Some(voters) = change(&driver) {
            tracing::info!(?voters, "changing the voters");
            let changing = driver.raft.change_membership(voters, true);
            match tokio::time::timeout(CHANGE_WITHIN, changing).await {
                Ok(Ok(_)) => {}
                // The next look sees what is and tries again.
                Ok(Err(error)) => tracing::debug!(%error, "the voters could not be changed"),
                Err(_) => tracing::debug!("no majority has agreed to the new voters yet"),
            }
            // A change that fails at once must not be tried at once.
            tokio::time::sleep(GROUP_TICK).await;
        }
    }
}

/// The voters that should be, if they are not.
fn change(driver: &Driver) -> Option<BTreeSet<NodeId>> {
    let status = driver.shared.status();
    let receiver = driver.raft.metrics();
    let metrics = receiver.borrow_watched();
    if metrics.current_leader != Some(driver.me) {
        return None;
    }
    let membership = metrics.membership_config.membership();
    let configs = membership.get_joint_config();
    if let [_, .., goal] = configs.as_slice() {
        // A change that its leader began and did not end: until it ends, both majorities are needed.
        return Some(goal.clone());
    }
    let voters: BTreeSet<_> = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let replication = metrics.replication.as_ref()?;
    let caught_up = |node: &NodeId| {
        let matched = replication.get(node).and_then(|matched| *matched);
        matched.is_some_and(|matched| matched.index + PROMOTE_BEHIND_MAX >= last)
    };
    // One that died after it caught up would count for the majority and never vote.
    let answers = |node: &NodeId| {
        let silent = status.silent_ms.get(node);
        silent.is_some_and(|silent| *silent <= PROMOTE_SILENT_MS_MAX)
    };
    let learners = membership.learner_ids();
    let ready: Vec<_> = learners
        .filter(|node| caught_up(node) && answers(node))
        .collect();
    wanted(&voters, &ready)
}

/// Adds as many of `ready` as make an odd number of voters, at most five.
fn wanted(voters: &BTreeSet<NodeId>, ready: &[NodeId]) -> Option<BTreeSet<NodeId>> {
    let possible = (voters.len() + ready.len()).min(VOTERS_MAX);
    let target = possible - usize::from(possible.is_multiple_of(2));
    if target <= voters.len() {
        return None;
    }
    let missing = target - voters.len();
    Some(
        voters
            .iter()
            .chain(ready.iter().take(missing))
            .copied()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_one_three_or_five_voters() {
        let nodes = |range: std::ops::Range<u64>| range.map(NodeId).collect::<Vec<_>>();
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
            let changed = wanted(&current, &ready).map(|voters| voters.len());
            assert_eq!(changed, expected, "{voters} voters, {learners} learners");
        }
    }
}
