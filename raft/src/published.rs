//! What the raft thread tells every other thread without being asked.

pub(crate) mod feed;
pub(crate) mod progress;
pub(crate) mod request;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use vineyard_wire::NodeId;

use crate::error::Error;
use crate::published::feed::Feeds;
use crate::published::progress::Progress;
use crate::published::request::Sequences;
use crate::published::status::Status;
use crate::state::State;

/// What the raft thread publishes for every thread to read.
pub(crate) struct Published {
    pub(crate) state: ArcSwap<State>,
    pub(crate) progress: Progress,
    pub(crate) feeds: Feeds,
    pub(crate) sequences: Sequences,
    /// Why the machine applies nothing any more, if it has said so.
    pub(crate) ended: OnceLock<Error>,
    pub(crate) view: ArcSwap<View>,
}

/// The group when openraft last said something about it.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) status: Status,
    /// On the leader: when each member last answered.
    pub(crate) heard: BTreeMap<NodeId, Instant>,
    pub(crate) endpoints: BTreeMap<NodeId, String>,
}

impl Published {
    pub(crate) fn new(me: NodeId) -> Self {
        let status = Status {
            me,
            ..Status::default()
        };
        Self {
            state: ArcSwap::default(),
            progress: Progress::default(),
            feeds: Feeds::default(),
            sequences: Sequences::default(),
            ended: OnceLock::new(),
            view: ArcSwap::from_pointee(View {
                status,
                ..View::default()
            }),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let view = self.view.load();
        let now = Instant::now();
        let silent = |at: &Instant| now.duration_since(*at).as_millis() as u64;
        Status {
            applied_index: self.progress.applied(),
            silent_ms: view
                .heard
                .iter()
                .map(|(node, at)| (*node, silent(at)))
                .collect(),
            ..view.status.clone()
        }
    }

    /// Returns when the entry at `index` has been applied here, or says why that will not happen.
    pub(crate) async fn applied(&self, index: u64) -> Result<(), Error> {
        if self.progress.reached(index).await {
            return Ok(());
        }
        Err(self.ended.get().cloned().unwrap_or(Error::Stopped))
    }

    /// Who leads and where it listens, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<(NodeId, String)> {
        let leader = self.view.load().status.leader?;
        Some((leader, self.endpoint_of(leader)?))
    }

    /// Where `node` listens: what its current boot registered, else what it was admitted with, else what the membership
    /// says.
    pub(crate) fn endpoint_of(&self, node: NodeId) -> Option<String> {
        let state = self.state.load();
        let registered = state
            .current_instance_of(node)
            .map(|instance| instance.endpoint.clone());
        let admitted = || state.node(node).map(|node| node.endpoint.clone());
        registered
            .or_else(admitted)
            .or_else(|| self.view.load().endpoints.get(&node).cloned())
    }
}
