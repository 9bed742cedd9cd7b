//! What a cluster's status means to somebody who waits for it or watches over it. Plain code: it asks nobody.

use vineyard_client::{ClusterStatus, Liveness, NodeStatus};

/// From good to bad; the number is the exit code of `status --check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Ready = 0,
    /// A majority agrees, and something is not as it should be.
    Degraded = 1,
    NoQuorum = 2,
}

/// Judges what one node knows.
pub(crate) fn judge(status: &ClusterStatus) -> Health {
    let cluster = &status.cluster;
    if !has_quorum(status) {
        return Health::NoQuorum;
    }
    let voters_may_fail = cluster.voters.saturating_sub(cluster.voters / 2 + 1);
    let is_well = |node: &NodeStatus| {
        let about = &node.about;
        node.state == Liveness::Up && about.failure.is_none() && about.shortage.is_none()
    };
    match status.nodes.iter().all(is_well) && cluster.tolerates >= voters_may_fail {
        true => Health::Ready,
        false => Health::Degraded,
    }
}

/// A node of an earlier build says it by a leader alone.
pub(crate) fn has_quorum(status: &ClusterStatus) -> bool {
    let cluster = &status.cluster;
    let said = cluster.quorum.map(|quorum| quorum.quorum);
    said.unwrap_or(cluster.leader.is_some())
}

/// Nodes that are up.
pub(crate) fn up(status: &ClusterStatus) -> usize {
    let nodes = status.nodes.iter();
    nodes.filter(|node| node.state == Liveness::Up).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::status::tests::status;

    #[test]
    fn a_cluster_is_ready_when_all_are_up_and_as_many_may_fail_as_can() {
        let mut status = status();
        assert_eq!(judge(&status), Health::Degraded, "one is unreachable");
        status.nodes[1].state = Liveness::Up;
        assert_eq!(judge(&status), Health::Ready);
        status.cluster.tolerates = 0;
        assert_eq!(judge(&status), Health::Degraded);
        status.cluster.tolerates = 1;
        status.nodes[1].about.failure = Some("the disk failed".into());
        assert_eq!(judge(&status), Health::Degraded);
        status.nodes[1].about.failure = None;
        status.nodes[1].about.shortage = Some("12 MiB free".into());
        assert_eq!(judge(&status), Health::Degraded);
        status.cluster.quorum.as_mut().unwrap().quorum = false;
        assert_eq!(judge(&status), Health::NoQuorum);
        status.cluster.quorum = None;
        assert_eq!(judge(&status), Health::Degraded, "it has a leader");
        status.cluster.leader = None;
        assert_eq!(judge(&status), Health::NoQuorum);
    }

    #[test]
    fn a_node_alone_is_ready() {
        let mut status = status();
        status.nodes.truncate(1);
        (status.cluster.voters, status.cluster.tolerates) = (1, 0);
        assert_eq!(judge(&status), Health::Ready);
        assert_eq!(up(&status), 1);
    }
}
