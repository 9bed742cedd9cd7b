//! The stream's node: answers the relays of others, and ends those that fall silent.

use std::rc::Rc;

use tokio::time::{Instant, timeout_at};
use vineyard_raft::state::State;
use vineyard_wire::peer::{Answer, OpenRelay, PullRelay, RelayedChunk};
use vineyard_wire::{InstanceId, ObjectId, Status};

use crate::context::NodeContext;
use crate::local::{Awaited, Local};

pub(crate) async fn open(node: &Rc<NodeContext>, open: OpenRelay) -> Result<Answer, Status> {
    let (reader, stream) = (open.reader, open.stream);
    let turn = move |local: &mut Local, state: &State| local.open_relay(state, &open);
    let answer = node.local.ask(turn).await??;
    tokio::task::spawn_local(watch(node.clone(), reader, stream));
    Ok(answer)
}

/// Waits a period for a chunk; then the answer is empty.
pub(crate) async fn pull(node: &NodeContext, pull: PullRelay) -> Result<Answer, Status> {
    let until = Instant::now() + node.config.limits.relay_period;
    loop {
        let turn = move |local: &mut Local, state: &State| local.pull_relay(state, &pull);
        let waiter = match node.local.ask(turn).await?? {
            Awaited::Ready(answer) => return Ok(answer),
            Awaited::Waits { waiter, .. } => waiter,
        };
        if timeout_at(until, waiter.woken()).await.is_err() {
            let chunks: Vec<RelayedChunk> = Vec::new();
            return Ok(Answer::Relayed {
                chunks,
                is_last: false,
            });
        }
    }
}

pub(crate) async fn leave(
    node: &NodeContext,
    reader: InstanceId,
    stream: ObjectId,
) -> Result<Answer, Status> {
    let turn = move |local: &mut Local, state: &State| local.leave_relay(state, reader, stream);
    node.local.ask(turn).await?;
    Ok(Answer::RelayLeft)
}

/// Ends a relay that has not asked for as long as makes a node unreachable, or whose process is over.
async fn watch(node: Rc<NodeContext>, reader: InstanceId, stream: ObjectId) {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        tokio::time::sleep(node.config.limits.relay_period).await;
        let asks = move |local: &mut Local, _: &State| local.relay_asks(reader, stream);
        let Ok(Some(asks)) = node.local.ask(asks).await else {
            return;
        };
        if asks != seen {
            (seen, since) = (asks, Instant::now());
        }
        let state = node.meta.state();
        let current = state.current_instance_of(reader.node());
        let is_over = current.is_some_and(|current| current.id != reader);
        let is_silent = since.elapsed() >= node.stretch(node.config.limits.unreachable_after);
        if is_over || is_silent {
            let end =
                move |local: &mut Local, state: &State| local.leave_relay(state, reader, stream);
            match node.local.ask(end).await {
                Ok(()) => tracing::info!(%stream, %reader, "the relay of a stream fell silent"),
                Err(status) => tracing::debug!(%status, "the node stopped before a relay ended"),
            }
            return;
        }
    }
}
