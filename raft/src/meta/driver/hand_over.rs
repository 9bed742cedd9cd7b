//! A leader that leaves names its successor, so that nobody has to notice its silence first.

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use vineyard_wire::NodeId;

use super::Driver;

impl Driver {
    /// Returns when another member leads, or when an election would be as quick. At once if this node does not lead.
    pub(super) async fn hand_over(&self) {
        let Some(successor) = self.successor() else {
            return;
        };
        let called = self.shared.called(successor);
        tracing::info!(successor = %called, "handing leadership over before leaving");
        let within = self.stretch(Duration::from_millis(self.options.election_ms_min));
        let handing_over = async {
            // openraft waits until the successor has all that is in the log, and proposes nothing meanwhile.
            match self.raft.trigger().transfer_leader(successor).await {
                Ok(()) => drop(self.another_leads(self.me).await),
                Err(error) => tracing::debug!(%error, "leadership was not handed over"),
            }
        };
        if tokio::time::timeout(within, handing_over).await.is_err() {
            tracing::info!(successor = %called, "leadership was not taken over in time; the others will elect");
        }
    }

    /// If this node leads: of the other voters that have answered within a few heartbeats and do not leave, the one
    /// that has most of the log.
    pub(super) fn successor(&self) -> Option<NodeId> {
        let silent_max = self.stretch(Duration::from_millis(3 * self.options.heartbeat_ms));
        let silent_ms_max = silent_max.as_millis() as u64;
        let silent_ms = self.shared.status().silent_ms;
        let answers = |node: &NodeId| silent_ms.get(node).is_some_and(|ms| *ms <= silent_ms_max);
        let receiver = self.raft.metrics();
        let metrics = receiver.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let matched = |node: &NodeId| replication.get(node).copied().flatten();
        let voters = metrics.membership_config.membership().voter_ids();
        voters
            .filter(|node| *node != self.me && answers(node) && !self.leaves(*node))
            .max_by_key(matched)
    }
}
