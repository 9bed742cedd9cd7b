//! Statistics of a node, for `cluster_status`.

use std::io;
use std::rc::Rc;

use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Instance;
use vineyard_wire::peer::{About, Answer, Ask};
use vineyard_wire::reply::{MemoryPieces, NodeStats, StreamTotals};
use vineyard_wire::{InstanceId, Status};

use crate::context::NodeContext;
use crate::local::Local;

/// What a node tells of itself: what its build does not know, it does not tell.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) about: Option<About>,
    pub(crate) stats: Option<NodeStats>,
    pub(crate) pieces: Option<MemoryPieces>,
    pub(crate) streams: Option<StreamTotals>,
}

/// What `instance` tells now; `None` if it does not answer in time.
pub(crate) async fn of(node: &Rc<NodeContext>, instance: &Instance) -> Option<Told> {
    if instance.id.node() == node.instance.node() {
        return Some(Told {
            about: about(node).await.ok(),
            stats: here(node).await.ok(),
            pieces: pieces(node).await.ok(),
            streams: streams(node).await.ok(),
        });
    }
    let level = node.meta.state().level_of(instance.id.node());
    let asked = async {
        match level {
            features::MEMBERS.. => ask_one(node, &instance.endpoint, &Ask::About).await,
            features::RELAY => ask_one(node, &instance.endpoint, &Ask::StreamStats).await,
            _ => ask_earlier(node, &instance.endpoint).await,
        }
    };
    match tokio::time::timeout(node.stretch(node.config.limits.stats_deadline), asked).await {
        Ok(Ok(Some((id, told)))) if id == instance.id => Some(told),
        // A later boot that is not registered yet: the node is there, its figures are not this instance's.
        Ok(Ok(Some((id, _)))) if id.node() == instance.id.node() => Some(Told::default()),
        _ => None,
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
    let earlier = |stats| Told {
        stats: Some(stats),
        ..Told::default()
    };
    let (instance, told) = match node.dialer.ask(endpoint, ask).await?.1 {
        Answer::About {
            instance,
            about,
            stats,
            pieces,
            streams,
        } => {
            let told = Told {
                about: Some(about),
                stats: Some(stats),
                pieces: Some(pieces),
                streams: Some(streams),
            };
            (instance, told)
        }
        Answer::StreamStats {
            instance,
            stats,
            pieces,
            streams,
        } => {
            let told = Told {
                pieces: Some(pieces),
                streams: Some(streams),
                ..earlier(stats)
            };
            (instance, told)
        }
        Answer::MemoryStats {
            instance,
            stats,
            pieces,
        } => {
            let told = Told {
                pieces: Some(pieces),
                ..earlier(stats)
            };
            (instance, told)
        }
        Answer::Stats { instance, stats } => (instance, earlier(stats)),
        _ => return Ok(None),
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

/// The answer to `About`.
pub(super) async fn with_about(node: &NodeContext) -> Result<Answer, Status> {
    Ok(Answer::About {
        instance: node.instance,
        about: about(node).await?,
        stats: here(node).await?,
        pieces: pieces(node).await?,
        streams: streams(node).await?,
    })
}

async fn about(node: &NodeContext) -> Result<About, Status> {
    let transient = node.local.ask(|local, _| local.catalog.quota()).await?;
    let group = node.meta.status();
    Ok(About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: node.started.elapsed().as_millis() as u64,
        commit_index: group.commit_index,
        applied_index: group.applied_index,
        failure: group.failure,
        unix_ms: node.env.clock.unix_ms(),
        shortage: group.shortage.map(|shortage| shortage.to_string()),
        transient_bytes: transient.used,
        transient_quota_bytes: transient.limit,
    })
}

/// The streams of this node.
async fn streams(node: &NodeContext) -> Result<StreamTotals, Status> {
    let totals = |local: &mut Local, _: &State| local.streams.totals();
    node.local.ask(totals).await
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
