//! When a majority of the voters was last known to follow one leader, and who of the members answers it.
//!
//! A leader knows it from the answers to its heartbeats. Every other node knows that it hears the leader, and asks it
//! what it knows: a leader that has lost its majority goes on to send heartbeats to those that are left. No network and
//! no openraft here: both tell this file what they heard.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use vineyard_wire::NodeId;

/// What this process has heard so far of a leader that is not itself.
#[derive(Default)]
pub(crate) struct Contact(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    /// When a majority was last known to follow the leader that was heard.
    quorum: Option<Instant>,
    /// The leader that was heard last, and when.
    leader: Option<(NodeId, Instant)>,
    said: Option<Said>,
}

/// What a leader has said of its group.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) by: NodeId,
    /// When a majority last answered it, and whether that is recent.
    pub(crate) quorum: Option<Instant>,
    pub(crate) has_quorum: bool,
    /// When each member was heard last, if ever.
    pub(crate) members: BTreeMap<NodeId, Instant>,
}

impl Contact {
    /// An entry or a heartbeat of `leader`, whose term is current, has arrived.
    pub(crate) fn hear(&self, leader: NodeId, now: Instant) {
        let mut heard = self.lock();
        heard.leader = Some((leader, now));
        let said = heard.said.as_ref().filter(|said| said.by == leader);
        // Until it says otherwise: it was elected by a majority.
        if said.is_none_or(|said| said.has_quorum) {
            heard.quorum = Some(now);
        }
    }

    /// The leader has answered what it knows.
    pub(crate) fn learn(&self, said: Said) {
        let mut heard = self.lock();
        if !said.has_quorum {
            heard.quorum = said.quorum.or(heard.quorum);
        }
        heard.said = Some(said);
    }

    /// This node led, and a majority last answered it then.
    pub(crate) fn led_until(&self, quorum: Instant) {
        let mut heard = self.lock();
        heard.quorum = heard.quorum.max(Some(quorum));
    }

    /// When a majority was last known to follow the leader that was heard last.
    pub(crate) fn quorum(&self) -> Option<Instant> {
        self.lock().quorum
    }

    /// When the members were heard last, as far as `leader` has said; and itself.
    pub(crate) fn members(&self, leader: NodeId) -> Option<BTreeMap<NodeId, Instant>> {
        let heard = self.lock();
        let said = heard.said.as_ref().filter(|said| said.by == leader)?;
        let mut members = said.members.clone();
        if let Some((_, at)) = heard.leader.filter(|(heard, _)| *heard == leader) {
            members.insert(leader, at);
        }
        Some(members)
    }

    /// When `node` was heard last by a leader of before, or by this node as the leader.
    pub(crate) fn last_heard(&self, node: NodeId) -> Option<Instant> {
        let heard = self.lock();
        let as_leader = heard.leader.filter(|(leader, _)| *leader == node);
        let as_member = heard.said.as_ref().and_then(|said| said.members.get(&node));
        as_leader.map(|(_, at)| at).max(as_member.copied())
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LEADER: NodeId = NodeId(0);

    fn said(has_quorum: bool, quorum: Instant) -> Said {
        Said {
            by: LEADER,
            quorum: Some(quorum),
            has_quorum,
            members: BTreeMap::from([(NodeId(2), quorum)]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_without_a_majority_that_is_still_heard_counts_for_nothing() {
        let (contact, start) = (Contact::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(contact.quorum(), None);
        contact.hear(LEADER, at(1));
        assert_eq!(contact.quorum(), Some(at(1)), "it was elected");
        contact.learn(said(true, at(2)));
        contact.hear(LEADER, at(3));
        assert_eq!(contact.quorum(), Some(at(3)));
        contact.learn(said(false, at(2)));
        contact.hear(LEADER, at(9));
        assert_eq!(contact.quorum(), Some(at(2)));
        contact.hear(NodeId(1), at(10));
        assert_eq!(contact.quorum(), Some(at(10)), "another one was elected");
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_is_what_the_present_leader_said() {
        let (contact, start) = (Contact::default(), Instant::now());
        contact.learn(said(true, start));
        let later = start + Duration::from_secs(1);
        contact.hear(LEADER, later);
        let members = contact.members(LEADER).unwrap();
        assert_eq!(
            members,
            BTreeMap::from([(LEADER, later), (NodeId(2), start)])
        );
        assert_eq!(contact.members(NodeId(1)), None);
        assert_eq!(contact.last_heard(LEADER), Some(later));
        assert_eq!(contact.last_heard(NodeId(2)), Some(start));
    }
}
