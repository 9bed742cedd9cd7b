//! Which members do not answer, and since when. It knows no connection and writes no log.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_wire::NodeId;

/// Members whose last question failed.
#[derive(Default)]
pub(super) struct Absences(BTreeMap<NodeId, Absence>);

struct Absence {
    since: Instant,
    is_away: bool,
}

impl Absences {
    /// A question to `node` failed. True once, when all have failed for `away_after`, so that the node counts as away.
    pub(super) fn fails(&mut self, node: NodeId, now: Instant, away_after: Duration) -> bool {
        let absence = self.0.entry(node).or_insert(Absence {
            since: now,
            is_away: false,
        });
        let begins = !absence.is_away && now - absence.since >= away_after;
        absence.is_away |= begins;
        begins
    }

    /// `node` answered. For how long it was away, if it counted as away.
    pub(super) fn answers(&mut self, node: NodeId, now: Instant) -> Option<Duration> {
        let absence = self.0.remove(&node)?;
        absence.is_away.then(|| now - absence.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::AWAY_AFTER;

    #[tokio::test(start_paused = true)]
    async fn a_node_is_away_once_and_back_once() {
        let mut absences = Absences::default();
        let node = NodeId(1);
        let begun = Instant::now();
        assert!(!absences.fails(node, begun, AWAY_AFTER));
        // Answers in time: nothing to say.
        assert_eq!(absences.answers(node, begun + AWAY_AFTER / 2), None);
        let begun = begun + AWAY_AFTER;
        assert!(!absences.fails(node, begun, AWAY_AFTER));
        assert!(absences.fails(node, begun + AWAY_AFTER, AWAY_AFTER));
        assert!(!absences.fails(node, begun + 2 * AWAY_AFTER, AWAY_AFTER));
        let away = absences.answers(node, begun + 3 * AWAY_AFTER);
        assert_eq!(away, Some(3 * AWAY_AFTER));
        assert_eq!(absences.answers(node, begun + 3 * AWAY_AFTER), None);
    }
}
