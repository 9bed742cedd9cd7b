//! What a connection's two kinds of sessions have in common: who is calling, and the road of one request.
//!
//! A session asks others for everything but its connection and its holder id. However it ends, what it held goes back.

pub(crate) mod frame_reader;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use vineyard_env::{Fault, LocalBoxFuture};
use vineyard_store::HolderId;
use vineyard_wire::{Code, ObjectId, Reply, Request, Status, frame, json, limits};

use crate::context::{Counted, NodeContext};
use crate::handlers;
use crate::session::frame_reader::{FrameError, FrameReader};

/// Frames from this size on are decoded by a bulk worker, bytes: a million small values take longer than all others on the
/// actor thread should wait.
const DECODE_HERE_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipc,
    Rpc,
}

/// One connection, as handlers see it. Dropping it gives back everything it held: dead clients leak nothing.
pub(crate) struct Session {
    pub(crate) node: Rc<NodeContext>,
    pub(crate) kind: Kind,
    /// Under which the store counts this connection's references; replaced at register.
    pub(crate) holder: Cell<HolderId>,
    pub(crate) registered: Cell<bool>,
    /// The client says when it no longer reads a blob.
    pub(crate) releases: Cell<bool>,
    wrong_passwords: Cell<usize>,
    /// Why it may not register, if its user may not use TCP.
    pub(crate) refusal: Option<Status>,
    was_refused: Cell<bool>,
    register_by: Instant,
    /// Counts the connection among those that have not registered.
    unregistered: RefCell<Option<Counted>>,
    /// Arena numbers whose handle this connection has received.
    sent: RefCell<BTreeSet<i32>>,
}

impl Session {
    pub(crate) async fn open(
        node: Rc<NodeContext>,
        kind: Kind,
        unregistered: Option<Counted>,
    ) -> Result<Self, Status> {
        let holder = node
            .local
            .ask(|local, _| local.store.open_holder(false))
            .await?;
        Ok(Self {
            register_by: Instant::now() + node.config.limits.register_deadline,
            node,
            kind,
            holder: Cell::new(holder),
            registered: Cell::new(false),
            releases: Cell::new(false),
            wrong_passwords: Cell::new(0),
            refusal: None,
            was_refused: Cell::new(false),
            unregistered: RefCell::new(unregistered),
            sent: RefCell::default(),
        })
    }

    /// In whose name it deletes. A client that releases may still read what it deletes, so it keeps its holds; any
    /// other one never would say more, and lets go of them by deleting.
    pub(crate) fn deleter(&self) -> HolderId {
        match self.releases.get() {
            true => HolderId::NOBODY,
            false => self.holder.get(),
        }
    }

    /// The client dropped its last handle of each blob. Nothing is answered.
    pub(crate) async fn let_go(&self, ids: Vec<ObjectId>) {
        let holder = self.holder.get();
        let noted = self
            .node
            .local
            .ask(move |local, _| local.store.let_go_all(holder, &ids));
        if let Err(status) = noted.await {
            tracing::debug!(%status, "the store ended before it took note of a let_go_notice");
        }
    }

    /// From now on it may ask for everything.
    pub(crate) fn enter(&self) {
        self.registered.set(true);
        self.unregistered.take();
    }

    pub(crate) fn note_wrong_password(&self) {
        self.wrong_passwords.set(self.wrong_passwords.get() + 1);
    }

    /// Why it may not register, if so; it is closed once it was told.
    pub(crate) fn refused(&self) -> Option<Status> {
        self.was_refused.set(self.refusal.is_some());
        self.refusal.clone()
    }

    /// Whether it has guessed often enough, or was told that it may not come in.
    fn is_shut_out(&self) -> bool {
        self.was_refused.get()
            || self.wrong_passwords.get() >= self.node.config.limits.wrong_passwords_max
    }

    /// The request in `body`, if this connection may ask it now.
    pub(crate) async fn admit(&self, body: Vec<u8>) -> Result<Request, Status> {
        let body = self.node.env.faults.received(body);
        let request = match body.len() < DECODE_HERE_BYTES_MAX {
            true => json::decode_request(&body)?,
            false => {
                let decode = move || -> LocalBoxFuture<'static, _> {
                    Box::pin(async move { json::decode_request(&body) })
                };
                self.node.bulk.run(decode).await??
            }
        };
        let open = matches!(request, Request::Register(_) | Request::Exit);
        if !open && !self.registered.get() {
            let name = json::request_type(&request);
            let message = format!("The connection is not registered yet, command is: {name}");
            return Err(Status::invalid(message));
        }
        Ok(request)
    }

    /// The arena numbers in `numbers` that this connection has not seen; they count as sent from now on.
    pub(crate) fn unseen(&self, numbers: impl IntoIterator<Item = i32>) -> Vec<i32> {
        let mut sent = self.sent.borrow_mut();
        numbers
            .into_iter()
            .filter(|number| *number >= 0 && sent.insert(*number))
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.node.env.faults.has(Fault::LeakedReference) {
            self.node.closed_sessions.add(self.holder.get());
        }
    }
}

/// The next request's body; `None` when the other side has left or is shut out, or the node stops. A connection that breaks the rules
/// is told so before this fails.
pub(crate) async fn next<S: AsyncRead + AsyncWrite + Unpin + ?Sized>(
    session: &Session,
    reader: &mut FrameReader,
    stream: &mut S,
) -> Result<Option<Vec<u8>>, FrameError> {
    if session.is_shut_out() {
        part(session, stream, None).await;
        return Ok(None);
    }
    let read = tokio::select! {
        biased;
        () = session.node.stopping.begun() => return Ok(None),
        read = read(session, reader, stream) => read,
    };
    let reason = match &read {
        Err(FrameError::TooLong(error)) => Status::invalid(error.to_string()),
        Err(FrameError::Late { .. }) => Status::new(Code::IoError, "no register_request in time"),
        Ok(_) | Err(FrameError::Io(_)) => return read,
    };
    part(session, stream, Some(reason)).await;
    read
}

async fn read<S: AsyncRead + Unpin + ?Sized>(
    session: &Session,
    reader: &mut FrameReader,
    stream: &mut S,
) -> Result<Option<Vec<u8>>, FrameError> {
    if session.registered.get() {
        return reader.frame(stream, limits::CLIENT_FRAME_BYTES_MAX).await;
    }
    let own = &session.node.config.limits;
    let frame = reader.frame(stream, own.unregistered_frame_bytes_max);
    let late = |_| FrameError::Late {
        after: own.register_deadline,
    };
    tokio::time::timeout_at(session.register_by, frame)
        .await
        .map_err(late)?
}

/// Says why the connection is closed, if it was not said, and lets the other side read it: to close over bytes that were
/// not read resets a TCP connection, and the reason could be lost.
async fn part<S: AsyncRead + AsyncWrite + Unpin + ?Sized>(
    session: &Session,
    stream: &mut S,
    reason: Option<Status>,
) {
    let parting = async {
        if let Some(reason) = reason {
            write(stream, &Err(reason)).await?;
        }
        stream.shutdown().await?;
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let deadline = session.node.config.limits.parting_deadline;
    // Whoever does not listen is not told.
    tokio::time::timeout(deadline, parting).await.ok();
}

/// The answer to one request; `None` if the other side left before it came.
pub(crate) async fn answer<S: AsyncRead + Unpin + ?Sized>(
    session: &Session,
    reader: &mut FrameReader,
    stream: &mut S,
    request: Result<Request, Status>,
) -> Option<Result<Reply, Status>> {
    let request = match request {
        Ok(request) => request,
        Err(status) => return Some(Err(status)),
    };
    if is_carried_through(&request) {
        return Some(handlers::answer(session, request).await);
    }
    let may_wait = may_wait(&request);
    let limits = &session.node.config.limits;
    tokio::select! {
        biased;
        outcome = handlers::answer(session, request) => Some(outcome),
        () = reader.until_closed(stream, limits.session_read_ahead_bytes) => None,
        () = session.node.stopping.begun(), if may_wait => Some(Err(Status::new(
            Code::VineyardServerNotReady,
            "this node stops; what the request waits for will not appear here",
        ))),
    }
}

/// Whether the request is served to its end although its client leaves. Given up half way, the holder that the store has
/// opened would belong to nobody, and metadata would stand unchecked.
fn is_carried_through(request: &Request) -> bool {
    matches!(
        request,
        Request::Register(_)
            | Request::PutObject(_)
            | Request::CreateData { .. }
            | Request::CreateDatas { .. }
    )
}

/// Whether the request waits for something to appear, for as long as its client stays.
fn may_wait(request: &Request) -> bool {
    match request {
        Request::GetData { wait, .. } => *wait,
        Request::GetName(request) => request.wait,
        _ => false,
    }
}

/// Returns when a stop has given this connection's last reply all the time it gets.
pub(crate) async fn cut_off(node: &NodeContext) {
    node.stopping.begun().await;
    tokio::time::sleep(node.config.limits.stop_deadline).await;
}

/// A frame ready to be written.
pub(crate) fn encode(outcome: &Result<Reply, Status>) -> Vec<u8> {
    let body = match outcome {
        Ok(reply) => json::encode_reply(reply),
        Err(status) => json::encode_status(status),
    };
    frame::with_header(&within(limits::CLIENT_FRAME_BYTES_MAX, body))
}

/// `body`, or a refusal in its place: no client reads a longer one. What may become so long is refused before it is
/// written, but for lists of names.
fn within(bytes_max: usize, body: Vec<u8>) -> Vec<u8> {
    let bytes = body.len();
    if bytes <= bytes_max {
        return body;
    }
    let message = format!(
        "too large for one reply: {bytes} bytes of at most {bytes_max}; ask for less at once"
    );
    json::encode_status(&Status::invalid(message))
}

/// Writes one reply in one piece.
pub(crate) async fn write<S>(stream: &mut S, outcome: &Result<Reply, Status>) -> io::Result<()>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    stream.write_all(&encode(outcome)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_no_client_reads_becomes_a_refusal() {
        let body = json::encode_reply(&Reply::Clear);
        let bytes = body.len();
        assert_eq!(within(bytes, body.clone()), body);
        let refused = json::decode_reply(&within(bytes - 1, body)).unwrap();
        let status = refused.unwrap_err();
        assert_eq!(status.code, Code::Invalid);
        assert!(status.message.contains("too large"), "{status}");
    }
}
