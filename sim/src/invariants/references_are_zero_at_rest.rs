//! When every client has gone, no node counts a reference, an unsealed blob, a wait or a connection of theirs.

use vineyard_wire::reply::NodeStats;

use super::Judged;

pub const NAME: &str = "references_are_zero_at_rest";

/// Judges a node's stats, asked over one connection that is the only one left in the cluster.
pub fn judge(node: &str, stats: &NodeStats) -> Judged {
    let NodeStats {
        references,
        unsealed,
        waiting,
        ipc_connections,
        rpc_connections,
        ..
    } = stats;
    let clients = ipc_connections + rpc_connections;
    if *references == 0 && *unsealed == 0 && *waiting == 0 && clients <= 1 {
        return Ok(());
    }
    Err(format!(
        "{node} still counts {references} references, {unsealed} unsealed blobs, {waiting} waits, \
         {clients} clients"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaked_reference_is_found() {
        let mut stats = NodeStats {
            ipc_connections: 1,
            ..NodeStats::default()
        };
        judge("n1", &stats).unwrap();
        stats.references = 1;
        assert!(judge("n1", &stats).is_err());
    }
}
