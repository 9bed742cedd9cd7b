//! Verbs of streams. The owner of what is local decides; here requests wait.
//!
//! Promise: each wait has an end: an answer, the client's own limit, the end of its connection, or, for memory that no
//! reader can make free, `stream_memory_wait`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use vineyard_env::{Access, Fault};
use vineyard_raft::state::State;
use vineyard_store::Blob;
use vineyard_wire::stream::{
    ChunkBatch, CreateStream, GetNextStreamChunk, OpenStream, PullNextStreamChunk, PulledChunks,
    PushNextStreamChunk, ReadFrom, StopStream,
};
use vineyard_wire::{ObjectId, Reply, Status};

use super::agree::confirm;
use crate::context::{Counted, call};
use crate::failure;
use crate::local::streams::Who;
use crate::local::{Awaited, Local, Need, PullOptions, Pulled};
use crate::peer::relay;
use crate::session::{Kind, Session};

/// The mode of the protocol.
const READ: u64 = 1;
/// A request is asked again after this long, whatever happens; also the longest limit of a client.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) async fn create_stream(
    session: &Session,
    create: CreateStream,
) -> Result<Reply, Status> {
    match create.source {
        Some(source) => {
            know_maker(session, source).await?;
            relay::migrate(&session.node, create.object_id, source).await?;
        }
        None => {
            let by = session.holder.get();
            let turn = move |local: &mut Local, _: &State| local.create_stream(by, create);
            session.node.local.ask(turn).await??;
        }
    }
    Ok(Reply::CreateStream)
}

pub(super) async fn open_stream(session: &Session, mut open: OpenStream) -> Result<Reply, Status> {
    let who = who(session);
    let (id, from) = (open.object_id, open.from);
    if open.mode == READ && ensure_here(session, id, open.cursor.as_deref(), from).await? {
        // The relay begins there.
        open.from = None;
    }
    let turn = move |local: &mut Local, state: &State| local.open_stream(state, who, &open);
    session.node.local.ask(turn).await??;
    Ok(Reply::OpenStream)
}

/// Returns once this node has the stream, or a relay of it, or knows that there is none; true if a relay was opened.
async fn ensure_here(
    session: &Session,
    id: ObjectId,
    cursor: Option<&str>,
    from: Option<ReadFrom>,
) -> Result<bool, Status> {
    know_maker(session, id).await?;
    relay::ensure(&session.node, id, cursor, from).await
}

/// That nobody of this cluster made an id is an answer of the quorum: this node may have started a moment ago.
async fn know_maker(session: &Session, id: ObjectId) -> Result<(), Status> {
    let (node, maker) = (&session.node, id.made_by());
    let is_own = maker.node() == node.instance.node();
    match is_own || node.meta.state().instance(maker).is_some() {
        true => Ok(()),
        false => confirm(node).await,
    }
}

pub(super) async fn get_next(session: &Session, get: GetNextStreamChunk) -> Result<Reply, Status> {
    if session.kind == Kind::Rpc {
        let text = "memory cannot be passed over a TCP connection; use create_remote_buffer_request, then \
                    push_next_stream_chunk_request";
        return Err(Status::invalid(text));
    }
    let GetNextStreamChunk {
        id,
        size,
        timeout_ms,
    } = get;
    let who = who(session);
    let turn =
        move || move |local: &mut Local, state: &State| local.next_chunk(state, who, id, size);
    let blob = in_time(session, id, timeout_ms, turn).await?;
    let blob: Blob = blob.map_err(|after| failure::deadline("room for a chunk", after))?;
    let buffer = session.node.arena.payload(&blob, Access::ReadWrite);
    let fd = session
        .unseen([buffer.store_fd])
        .first()
        .copied()
        .unwrap_or(-1);
    Ok(Reply::GetNextStreamChunk { buffer, fd })
}

pub(super) async fn push_next(
    session: &Session,
    push: PushNextStreamChunk,
) -> Result<Reply, Status> {
    let PushNextStreamChunk {
        id,
        chunk,
        seal,
        inline,
        bytes,
        timeout_ms,
    } = push;
    let who = who(session);
    if inline.is_some() {
        let bytes: Arc<[u8]> = bytes.into();
        let turn = move || {
            let bytes = bytes.clone();
            move |local: &mut Local, state: &State| local.write_chunk(state, who, id, &bytes)
        };
        let written = in_time(session, id, timeout_ms, turn).await?;
        written.map_err(|after| failure::deadline("room for a chunk", after))?;
        return Ok(Reply::PushNextStreamChunk);
    }
    let turn = move || {
        move |local: &mut Local, state: &State| local.push_chunk(state, who, (id, chunk), seal)
    };
    let pushed = in_time(session, id, timeout_ms, turn).await?;
    pushed.map_err(|after| failure::deadline("room in the stream's window", after))?;
    Ok(Reply::PushNextStreamChunk)
}

pub(super) async fn pull_next(
    session: &Session,
    pull: PullNextStreamChunk,
) -> Result<Reply, Status> {
    let PullNextStreamChunk {
        id,
        max,
        cursor,
        timeout_ms,
    } = pull;
    let who = who(session);
    let maps = session.kind == Kind::Ipc;
    ensure_here(session, id, cursor.as_deref(), None).await?;
    let turn = move || {
        let options = PullOptions {
            cursor: cursor.clone(),
            max,
            maps,
        };
        move |local: &mut Local, state: &State| local.pull_chunks(state, who, id, &options)
    };
    let pulled = match in_time(session, id, timeout_ms, turn).await? {
        Ok(pulled) => pulled,
        Err(_) if max.is_some() => Pulled::default(),
        Err(after) => return Err(failure::deadline("a chunk", after)),
    };
    Ok(Reply::PullNextStreamChunk(reply(
        session,
        pulled,
        max.is_some(),
    )))
}

fn reply(session: &Session, pulled: Pulled, in_full: bool) -> PulledChunks {
    let Pulled {
        chunks,
        trees,
        blobs,
    } = pulled;
    let (numbers, chunks): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
    let chunk = chunks.first().copied().unwrap_or(ObjectId::INVALID);
    let batch = in_full.then(|| {
        let payload = |blob: &Blob| session.node.arena.payload(blob, Access::ReadOnly);
        let payloads: Vec<_> = blobs.iter().map(payload).collect();
        let fds = session.unseen(payloads.iter().map(|payload| payload.store_fd));
        ChunkBatch {
            chunks,
            numbers,
            content: trees,
            payloads,
            fds,
        }
    });
    PulledChunks { chunk, batch }
}

pub(super) async fn stop_stream(session: &Session, stop: StopStream) -> Result<Reply, Status> {
    let who = who(session);
    let turn = move |local: &mut Local, state: &State| local.stop_stream(state, who, stop);
    session.node.local.ask(turn).await??;
    Ok(Reply::StopStream)
}

pub(super) async fn drop_stream(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let turn = move |local: &mut Local, state: &State| local.drop_stream(state, id);
    session.node.local.ask(turn).await??;
    Ok(Reply::DropStream)
}

pub(super) async fn stream_status(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let turn = move |local: &mut Local, state: &State| local.stream_status(state, id);
    Ok(Reply::StreamStatus(session.node.local.ask(turn).await??))
}

fn who(session: &Session) -> Who {
    Who {
        holder: session.holder.get(),
        is_ours: session.knows_streams.get(),
    }
}

/// Asks until the turn has an answer. The inner error is the client's own limit, which passed first.
async fn in_time<R, T>(
    session: &Session,
    id: ObjectId,
    timeout_ms: Option<u64>,
    mut turn: impl FnMut() -> T,
) -> Result<Result<R, Duration>, Status>
where
    R: Send + 'static,
    T: FnOnce(&mut Local, &State) -> Result<Awaited<R>, Status> + Send + 'static,
{
    let node = &session.node;
    let limits = &node.config.limits;
    let begun = Instant::now();
    let after = timeout_ms.map(Duration::from_millis);
    let until = after.map(|after| begun + after.min(WAIT_MAX));
    let mut counted = None;
    // A client waits in several requests, each shorter than `stream_memory_wait`.
    let before = session.memory_wait.take().filter(|(of, _)| *of == id);
    let mut waited_before = before.map_or(Duration::ZERO, |(_, waited)| waited);
    let mut hopeless_since = None;
    loop {
        let (waiter, need) = match node.local.ask(turn()).await?? {
            Awaited::Ready(value) => return Ok(Ok(value)),
            Awaited::Waits { waiter, need } => (waiter, need),
        };
        if counted.is_none() {
            match Counted::waiting(node) {
                Ok(one) => counted = Some(one),
                Err(refused) => {
                    end_wait(session, id).await?;
                    return Err(refused);
                }
            }
        }
        let now = Instant::now();
        let again = match need {
            Need::Chunk | Need::Window => now + WAIT_MAX,
            Need::Memory(_) => now + limits.stream_memory_recheck,
        };
        match need {
            Need::Memory(Some(status)) => {
                let since = *hopeless_since.get_or_insert(now);
                if waited_before + (now - since) >= limits.stream_memory_wait {
                    end_wait(session, id).await?;
                    return Err(out_of_memory(status, limits.stream_memory_wait));
                }
            }
            _ => (hopeless_since, waited_before) = (None, Duration::ZERO),
        }
        let next = until.map_or(again, |until| until.min(again));
        let sleeps_on = node.env.faults.has(Fault::WaitNotWoken);
        let change = async {
            match sleeps_on {
                false => waiter.woken().await,
                true => std::future::pending().await,
            }
        };
        let woken = call::as_asked(timeout_at(next, change)).await;
        if woken.is_err() && until.is_some_and(|until| Instant::now() >= until) {
            end_wait(session, id).await?;
            if let Some(since) = hopeless_since {
                let waited = waited_before + since.elapsed();
                session.memory_wait.set(Some((id, waited)));
            }
            call::note_timeout();
            return Ok(Err(after.unwrap_or_default()));
        }
    }
}

/// No chunk came, and none of any stream is there that could make room.
fn out_of_memory(status: Status, waited: Duration) -> Status {
    let Status { code, message } = status;
    let seconds = waited.as_secs();
    Status::new(
        code,
        format!(
            "{message}; no stream has a chunk that could make room, and none was made in {seconds} s"
        ),
    )
}

async fn end_wait(session: &Session, id: ObjectId) -> Result<(), Status> {
    let holder = session.holder.get();
    let turn = move |local: &mut Local, _: &State| local.end_stream_wait(id, holder);
    session.node.local.ask(turn).await
}

#[cfg(test)]
mod tests;
