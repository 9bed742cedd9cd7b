//! One TCP connection of a vineyard client: its stream, its holder id, nothing else.

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::Stream;
use vineyard_wire::{Reply, Request};

use crate::handlers::{get_object, put_object, remote};
use crate::inbox::{FrameError, Inbox};
use crate::session::{self, Kind, Session};
use crate::shared::Counted;

/// A connection and what has been read ahead of it.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) inbox: Inbox,
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
            inbox: Inbox::new(first),
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
    let mut refusal = None;
    if let Some(entry) = &node.entry {
        (connection.stream, refusal) = match entry.judge(&node.bulk, connection.stream).await {
            Ok(judged) => judged,
            Err(error) => return tracing::debug!(%error, "a connection ended before it registered"),
        };
    }
    let mut session = match Session::open(node.clone(), Kind::Rpc, Some(unregistered)).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    session.refusal = refusal;
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

async fn converse(session: &Session, mut connection: Connection) -> Result<(), FrameError> {
    loop {
        let Connection { stream, inbox } = &mut connection;
        let Some(body) = session::next(session, inbox, stream).await? else {
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
            request => match session::answer(session, inbox, stream, request).await {
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
