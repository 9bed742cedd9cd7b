//! One connection: frames, deadlines, and the promise that it is never used out of step.
//!
//! Promise: an exchange that ends early, by its deadline, an I/O error or because the caller went away, leaves the
//! connection unusable; the next call says `Closed`. It must never know what a request is for.

mod arenas;
mod call;
mod secure;
mod transfer;

use std::future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use vineyard_env::{LocalStream, Stream};
use vineyard_wire::frame::{self, HEADER_BYTES};
use vineyard_wire::limits::CLIENT_FRAME_BYTES_MAX;
use vineyard_wire::opening::PLAIN_REFUSED;
use vineyard_wire::reply::Registered;
use vineyard_wire::request::Register;
use vineyard_wire::{Reply, Request, Trace};

pub(crate) use arenas::{Arenas, Mapped};
pub(crate) use call::{Call, Limit};
pub use secure::Security;
pub(crate) use transfer::data_size;

use crate::error::CONNECTING;
use crate::{Error, Options, Result, World};

/// The protocol version we speak. Servers never refuse one; clients warn below it.
const VERSION: &str = "0.24.2";
const STORE_TYPE_NORMAL: u64 = 1;
/// We say when we no longer read a blob, and the node waits for it: it never uses bytes again under a slice that lives
/// here, also after a delete.
pub(crate) const RELEASES: &str = "release";
/// We speak `put_object` and `get_object`.
pub(crate) const OBJECTS: &str = "objects";
/// We speak `get_object` with `fetch`.
pub(crate) const FETCH: &str = "fetch";
/// We say which trace a request has, so that the logs of the nodes can be searched for it.
pub(crate) const TRACE: &str = "trace";
/// We speak our additions to streams.
pub(crate) const STREAMS: &str = "streams";
/// A node's state may be `stopped`.
const STATES: &str = "states";
/// A reply is read in steps of at most this, so that a false length costs no memory.
const BODY_STEP_BYTES: usize = 1 << 20;

/// Where a client is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Unix socket's path.
    Ipc(String),
    /// `host:port`.
    Rpc(String),
}

impl Target {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Ipc(text) | Self::Rpc(text) => text,
        }
    }
}

enum Socket {
    Ipc(Box<dyn LocalStream>),
    Rpc(Box<dyn Stream>),
}

impl Socket {
    fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Ipc(stream) => &mut **stream,
            Self::Rpc(stream) => &mut **stream,
        }
    }
}

/// A registered connection.
pub(crate) struct Connection {
    socket: Socket,
    pub(crate) arenas: Arenas,
    security: Security,
    /// False from the start of an exchange until its end.
    in_step: bool,
    /// Notices that go before the next request, or the rest of one that the socket did not take whole.
    unsent: Vec<u8>,
    /// A frame is being sent: what is sent now would be taken for its rest.
    is_sending: bool,
    /// If the node wants to know them.
    traces: Option<Traces>,
}

/// The traces of one connection's requests, one after the other. Clones share them.
#[derive(Clone)]
pub(crate) struct Traces(Arc<AtomicU64>);

impl Traces {
    /// What the next request gets.
    fn next(&self) -> Trace {
        Trace(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// What the last request got.
    pub(crate) fn last(&self) -> Trace {
        Trace(self.0.load(Ordering::Relaxed).wrapping_sub(1))
    }
}

impl Connection {
    /// Connects and registers, within the options' deadline.
    pub(crate) async fn open(
        world: &World,
        target: &Target,
        options: &Options,
    ) -> Result<(Self, Registered)> {
        let opened = Self::open_as(world, target, options, false).await;
        match opened {
            Err(Error::Status { message, .. }) if message == PLAIN_REFUSED => {
                Self::open_as(world, target, options, true).await
            }
            opened => opened,
        }
    }

    async fn open_as(
        world: &World,
        target: &Target,
        options: &Options,
        must_encrypt: bool,
    ) -> Result<(Self, Registered)> {
        let limit = Limit::new(target.text(), options.deadline);
        let (socket, security) = limit
            .run(CONNECTING, async {
                Ok(match target {
                    Target::Ipc(path) => (
                        Socket::Ipc(world.local.connect(path).await?),
                        Security::Local,
                    ),
                    Target::Rpc(address) => {
                        let ca = options.ca.as_deref();
                        let opened = secure::connect(world, address, ca, must_encrypt).await?;
                        (Socket::Rpc(opened.0), opened.1)
                    }
                })
            })
            .await?;
        let arenas = Arenas::new(world.memory.clone());
        let mut connection = Self {
            socket,
            arenas,
            security,
            in_step: true,
            unsent: Vec::new(),
            is_sending: false,
            traces: None,
        };
        let request = Request::Register(Register {
            version: VERSION.to_owned(),
            store_type: STORE_TYPE_NORMAL,
            session_id: 0,
            username: options.username.clone(),
            password: options.password.clone(),
            features: match options.additions {
                true => [RELEASES, OBJECTS, FETCH, TRACE, STREAMS, STATES]
                    .map(str::to_owned)
                    .to_vec(),
                false => Vec::new(),
            },
            deadline_ms: options
                .additions
                .then(|| u64::try_from(options.deadline.as_millis()).unwrap_or(u64::MAX)),
        });
        let mut call = Call::begin(&mut connection, limit)?;
        let registered = call
            .ask(&request, |reply| match reply {
                Reply::Register(registered) => Ok(registered),
                other => Err(other),
            })
            .await?;
        call.done();
        if registered.features.iter().any(|feature| feature == TRACE) {
            connection.traces = Some(Traces(Arc::new(registered.first_trace.into())));
        }
        Ok((connection, registered))
    }

    pub(crate) fn security(&self) -> Security {
        self.security
    }

    /// If the node wants to know them.
    pub(crate) fn traces(&self) -> Option<Traces> {
        self.traces.clone()
    }

    /// Counts on with the traces of another connection.
    pub(crate) fn share_traces(&mut self, traces: &Option<Traces>) {
        if self.traces.is_some() {
            self.traces.clone_from(traces);
        }
    }

    /// What it has mapped of the node's memory.
    pub(crate) fn mapped(&self) -> Weak<Mutex<Mapped>> {
        self.arenas.mapped()
    }

    /// Uses what another connection to the same life of the node has mapped.
    pub(crate) fn share_mapped(&mut self, mapped: &Weak<Mutex<Mapped>>) {
        self.arenas.share(mapped);
    }

    /// Whether the next exchange may begin.
    pub(crate) fn in_step(&self) -> bool {
        self.in_step
    }

    /// Whether the node has closed its end, as far as the system knows; nothing is asked of the node. What arrives
    /// between two exchanges answers nothing, so a connection that has bytes to read is over too.
    pub(crate) async fn has_ended(&mut self) -> bool {
        let mut byte = [0];
        // The second look comes after a turn of the reactor, which learns there what happened since the last exchange.
        for _ in 0..2 {
            let mut buffer = ReadBuf::new(&mut byte);
            let stream = self.socket.stream();
            let read = future::poll_fn(|context| {
                Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer))
            });
            if read.await.is_ready() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }

    /// Says goodbye and closes, without waiting for anything.
    pub(crate) async fn exit(mut self, deadline: Duration) {
        if self.in_step {
            let body = vineyard_wire::json::encode_request(&Request::Exit);
            // The node may be gone already; closing the socket says the same.
            tokio::time::timeout(deadline, self.send(&body)).await.ok();
        }
    }

    fn stream(&mut self) -> &mut dyn Stream {
        self.socket.stream()
    }

    /// Lets `notice`, which has no reply, go before the next request.
    pub(crate) fn queue(&mut self, notice: &Request) {
        let body = vineyard_wire::json::encode_request(notice);
        self.unsent.extend(frame::with_header(&body));
    }

    /// Sends what is queued as far as the socket takes it now; the rest goes before the next request. So does what a
    /// broken socket does not take, and that request will say so.
    pub(crate) fn push(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let Self { socket, unsent, .. } = self;
        while !unsent.is_empty() {
            match Pin::new(socket.stream()).poll_write(&mut context, unsent) {
                Poll::Ready(Ok(sent)) if sent > 0 => drop(unsent.drain(..sent)),
                _ => return,
            }
        }
    }

    async fn send(&mut self, body: &[u8]) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.unsent);
        frame.extend(frame::with_header(body));
        self.is_sending = true;
        let stream = self.stream();
        stream.write_all(&frame).await?;
        stream.flush().await?;
        self.is_sending = false;
        Ok(())
    }

    /// Sends a notice now, as far as the socket takes it, also if the reply to an earlier request was not waited for:
    /// the node reads one frame after the other.
    pub(crate) fn queue_anyway(&mut self, notice: &Request) {
        if !self.is_sending {
            self.queue(notice);
            self.push();
        }
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let stream = self.stream();
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header).await?;
        let length = frame::body_bytes(header, CLIENT_FRAME_BYTES_MAX)
            .map_err(|long| io::Error::new(io::ErrorKind::InvalidData, long))?;
        let mut body = Vec::new();
        while body.len() < length {
            let at = body.len();
            body.resize(length.min(at + BODY_STEP_BYTES), 0);
            stream.read_exact(&mut body[at..]).await?;
        }
        Ok(body)
    }

    async fn receive_memory(&mut self) -> io::Result<vineyard_env::MemoryHandle> {
        match &mut self.socket {
            Socket::Ipc(stream) => stream.receive_memory().await,
            Socket::Rpc(_) => {
                let reason = "memory was announced on a connection that cannot carry it";
                Err(io::Error::new(io::ErrorKind::InvalidData, reason))
            }
        }
    }
}
