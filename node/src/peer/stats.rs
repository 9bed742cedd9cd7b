//! Statistics of a node, for `cluster_status`.

use std::io;
use std::rc::Rc;

use vineyard_raft::state::State;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::reply::{MemoryPieces, NodeStats};
use vineyard_wire::{InstanceId, NodeId, Status};

use crate::context::NodeContext;
use crate::local::Local;

/// What a node tells of itself; of its memory nothing if its build does not know that question.
pub(crate) type Told = (NodeStats, Option<MemoryPieces>);

/// The statistics of `instance`; `None` if it does not answer in time.
pub(crate) async fn of(node: &Rc<NodeContext>, instance: &Instance) -> Option<Told> {
    if instance.id == node.instance {
        return Some((here(node).await.ok()?, pieces(node).await.ok()));
    }
    if instance.liveness != Liveness::Up {
        return None;
    }
    let asked = ask(node, &instance.endpoint);
    match tokio::time::timeout(node.config.limits.stats_deadline, asked).await {
        Ok(Some((id, told))) if id == instance.id => Some(told),
        _ => None,
    }
}

/// A build that does not know the first question closes the connection. Then the older one is asked.
async fn ask(node: &NodeContext, endpoint: &str) -> Option<(InstanceId, Told)> {
    let answer = match node.dialer.ask(endpoint, &Ask::MemoryStats).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            node.dialer.ask(endpoint, &Ask::Stats).await
        }
        asked => asked,
    };
    match answer.ok()?.1 {
        Answer::MemoryStats {
            instance,
            stats,
            pieces,
        } => Some((instance, (stats, Some(pieces)))),
        Answer::Stats { instance, stats } => Some((instance, (stats, None))),
        _ => None,
    }
}

/// Voters that are up now, minus a majority.
pub(crate) fn tolerates(node: &NodeContext) -> usize {
    let (state, group) = (node.meta.state(), node.meta.status());
    let is_up = |id: &&NodeId| {
        let current = state.current_instance_of(**id);
        current.is_some_and(|instance| instance.liveness == Liveness::Up)
    };
    let majority = group.voters.len() / 2 + 1;
    let reachable = group.voters.iter().filter(is_up).count();
    reachable.saturating_sub(majority)
}

/// The memory of this node: what deleted blobs hold, and what fits.
pub(crate) async fn pieces(node: &NodeContext) -> Result<MemoryPieces, Status> {
    let pieces = |local: &mut Local, _: &State| MemoryPieces {
        deleted_bytes: local.store.usage().deleted_bytes,
        largest_free_bytes: local.store.largest_free(),
    };
    node.local.ask(pieces).await
}

/// The statistics of this node.
pub(crate) async fn here(node: &NodeContext) -> Result<NodeStats, Status> {
    let count = |local: &mut Local, _: &State| (local.store.usage(), local.catalog.len());
    let (usage, transients) = node.local.ask(count).await?;
    let state = node.meta.state();
    let persistent = state
        .objects()
        .filter(|record| record.instance == node.instance)
        .count();
    Ok(NodeStats {
        memory_usage: usage.memory_usage,
        memory_limit: usage.memory_limit,
        references: usage.references,
        unsealed: usage.unsealed,
        blobs: usage.blobs,
        objects: (transients + persistent) as u64,
        ipc_connections: node.counters.ipc_connections.get(),
        rpc_connections: node.counters.rpc_connections.get(),
        waiting: node.counters.waiting.get(),
        open_fds: node.env.host.open_fds(),
        rss: node.env.host.resident_bytes(),
    })
}
