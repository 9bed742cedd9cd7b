//! One TCP connection of a vineyard client: its stream, its holder id, nothing else.

use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::Stream;
use vineyard_wire::{Reply, Request, Status};

use crate::context::{Counted, NodeContext};
use crate::handlers::{get_object, put_object, remote};
use crate::session::frame_reader::{FrameError, FrameReader};
use crate::session::{self, Kind, Session};

/// A connection and what has been read ahead of it.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) reader: FrameReader,
}

/// What a session starts with.
struct Parts {
    connection: Connection,
    counted: Counted,
    unregistered: Counted,
}

pub(crate) struct RpcSession {
    /// Until the session starts.
    parts: Option<Parts>,
}

impl RpcSession {
    /// `first` are the bytes that were read to find out who is calling; `unregistered` counts it until it registers.
    pub(crate) fn start(
        stream: Box<dyn Stream>,
        first: Vec<u8>,
        counted: Counted,
        unregistered: Counted,
    ) {
        let connection = Connection {
            stream,
            reader: FrameReader::new(first),
        };
        Self {
            parts: Some(Parts {
                connection,
                counted,
                unregistered,
            }),
        }
        .start();
    }
}

impl Actor for RpcSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let parts = self.parts.take().expect("an actor starts once");
        let work = serve(parts).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn serve(parts: Parts) {
    let Parts {
        mut connection,
        counted,
        unregistered,
    } = parts;
    let node = counted.node().clone();
    if let Some(entry) = &node.entry {
        let judged = tokio::select! {
            biased;
            () = node.stopping.begun() => return,
            judged = entry.judge(&node.bulk, connection.stream) => judged,
        };
        let refusal = match judged {
            Ok((stream, refusal)) => {
                connection.stream = stream;
                refusal
            }
            Err(error) => return tracing::debug!(%error, "a connection ended before it registered"),
        };
        if let Some(refusal) = refusal {
            drop((counted, unregistered));
            return turn_away(&node, connection, refusal).await;
        }
    }
    let session = match Session::open(node.clone(), Kind::Rpc, Some(unregistered)).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    tokio::select! {
        biased;
        ended = converse(&session, connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
        () = session::cut_off(&node) => tracing::debug!("a connection was cut off by the stop"),
    }
}

/// Answers the register request of a client that may not come in, if it comes soon. It has no place among those that may.
async fn turn_away(node: &Rc<NodeContext>, connection: Connection, refusal: Status) {
    let Some(_place) = Counted::refusal(node) else {
        return;
    };
    let mut session = match Session::open(node.clone(), Kind::Rpc, None).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    session.refusal = Some(refusal);
    let deadline = node.config.limits.parting_deadline;
    match tokio::time::timeout(deadline, converse(&session, connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused connection ended"),
        Err(_) => tracing::debug!("a refused connection did not register in time"),
    }
}

async fn converse(session: &Session, mut connection: Connection) -> Result<(), FrameError> {
    loop {
        let Connection { stream, reader } = &mut connection;
        let Some(body) = session::next(session, reader, stream).await? else {
            return Ok(());
        };
        connection = match session.admit(body).await {
            Ok(Request::Exit) => return Ok(()),
            Ok(Request::LetGo { ids }) => {
                session.let_go(ids).await;
                connection
            }
            // These move raw bytes on the connection itself.
            Ok(Request::CreateRemoteBuffer { size, compress }) => {
                remote::create_remote_buffer(session, connection, size, compress).await?
            }
            Ok(Request::CreateRemoteBuffers { sizes, compress }) => {
                remote::create_remote_buffers(session, connection, sizes, compress).await?
            }
            Ok(Request::GetRemoteBuffers { ids, compress, .. }) => {
                remote::get_remote_buffers(session, connection, ids, compress).await?
            }
            Ok(Request::PutObject(put)) if put_object::waits_for_go_ahead(&put) => {
                put_object::put_remote(session, connection, put).await?
            }
            request => match session::answer(session, reader, stream, request).await {
                None => return Ok(()),
                Some(Ok(Reply::GetObject(got))) => {
                    get_object::send(session, connection, got).await?
                }
                Some(outcome) => {
                    session::write(stream, &outcome).await?;
                    connection
                }
            },
        };
    }
}
