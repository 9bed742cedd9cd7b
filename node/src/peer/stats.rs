//! Statistics of a node, for `cluster_status`.

use std::io;
use std::rc::Rc;

use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::reply::{MemoryPieces, NodeStats, StreamTotals};
use vineyard_wire::{InstanceId, NodeId, Status};

use crate::context::NodeContext;
use crate::local::Local;

/// What a node tells of itself: what its build does not know, it does not tell.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) stats: Option<NodeStats>,
    pub(crate) pieces: Option<MemoryPieces>,
    pub(crate) streams: Option<StreamTotals>,
}

/// The statistics of `instance`; none if it does not answer in time.
pub(crate) async fn of(node: &Rc<NodeContext>, instance: &Instance) -> Told {
    if instance.id == node.instance {
        return Told {
            stats: here(node).await.ok(),
            pieces: pieces(node).await.ok(),
            streams: streams(node).await.ok(),
        };
    }
    if instance.liveness != Liveness::Up {
        return Told::default();
    }
    let knows_streams = node.meta.state().level_of(instance.id.node()) >= features::RELAY;
    let asked = async {
        match knows_streams {
            true => ask_one(node, &instance.endpoint, &Ask::StreamStats).await,
            false => ask_earlier(node, &instance.endpoint).await,
        }
    };
    match tokio::time::timeout(node.config.limits.stats_deadline, asked).await {
        Ok(Ok(Some((id, told)))) if id == instance.id => told,
        _ => Told::default(),
    }
}

/// A build that does not know the first question closes the connection. Then the older one is asked.
async fn ask_earlier(node: &NodeContext, endpoint: &str) -> io::Result<Option<(InstanceId, Told)>> {
    match ask_one(node, endpoint, &Ask::MemoryStats).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            ask_one(node, endpoint, &Ask::Stats).await
        }
        asked => asked,
    }
}

async fn ask_one(
    node: &NodeContext,
    endpoint: &str,
    ask: &Ask,
) -> io::Result<Option<(InstanceId, Told)>> {
    let (instance, stats, pieces, streams) = match node.dialer.ask(endpoint, ask).await?.1 {
        Answer::StreamStats {
            instance,
            stats,
            pieces,
            streams,
        } => (instance, stats, Some(pieces), Some(streams)),
        Answer::MemoryStats {
            instance,
            stats,
            pieces,
        } => (instance, stats, Some(pieces), None),
        Answer::Stats { instance, stats } => (instance, stats, None, None),
        _ => return Ok(None),
    };
    let told = Told {
        stats: Some(stats),
        pieces,
        streams,
    };
    Ok(Some((instance, told)))
}

/// The answer to `MemoryStats`.
pub(super) async fn with_memory(node: &NodeContext) -> Result<Answer, Status> {
    Ok(Answer::MemoryStats {
        instance: node.instance,
        stats: here(node).await?,
        pieces: pieces(node).await?,
    })
}

/// The answer to `StreamStats`.
pub(super) async fn with_streams(node: &NodeContext) -> Result<Answer, Status> {
    Ok(Answer::StreamStats {
        instance: node.instance,
        stats: here(node).await?,
        pieces: pieces(node).await?,
        streams: streams(node).await?,
    })
}

/// The streams of this node.
async fn streams(node: &NodeContext) -> Result<StreamTotals, Status> {
    let totals = |local: &mut Local, _: &State| local.streams.totals();
    node.local.ask(totals).await
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
