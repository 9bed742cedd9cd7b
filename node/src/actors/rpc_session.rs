//! One TCP connection of a vineyard client: its stream, its holder id, nothing else.

use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::Stream;
use vineyard_wire::{Request, limits};

use crate::handlers::{self, remote};
use crate::inbox::{FrameError, Inbox};
use crate::session::{self, Kind, Session};
use crate::shared::{Counted, Shared};

/// A connection and what has been read ahead of it.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) inbox: Inbox,
}

pub(crate) struct RpcSession {
    node: Rc<Shared>,
    connection: Option<Connection>,
}

impl RpcSession {
    /// `first` are the bytes that were read to find out who is calling.
    pub(crate) fn start(node: Rc<Shared>, stream: Box<dyn Stream>, first: Vec<u8>) {
        let connection = Connection {
            stream,
            inbox: Inbox::new(first),
        };
        Self {
            node,
            connection: Some(connection),
        }
        .start();
    }
}

impl Actor for RpcSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let connection = self.connection.take().expect("an actor starts once");
        let work = serve(self.node.clone(), connection).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn serve(node: Rc<Shared>, connection: Connection) {
    let _counted = Counted::new(&node, |counters| &counters.rpc_connections);
    let stopping = node.clone();
    let session = match Session::open(node, Kind::Rpc).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    tokio::select! {
        biased;
        () = stopping.stopping.notified() => {}
        ended = converse(&session, connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
    }
    session.close().await;
}

async fn converse(session: &Session, mut connection: Connection) -> Result<(), FrameError> {
    loop {
        let Connection { stream, inbox } = &mut connection;
        let Some(body) = inbox.frame(stream, limits::CLIENT_FRAME_BYTES_MAX).await? else {
            return Ok(());
        };
        connection = match session.admit(&body) {
            Ok(Request::Exit) => return Ok(()),
            // These move raw bytes on the connection itself.
            Ok(Request::CreateRemoteBuffer { size, compress }) => {
                remote::create_remote_buffer(session, connection, size, compress).await?
            }
            Ok(Request::CreateRemoteBuffers { sizes, compress }) => {
                remote::create_remote_buffers(session, connection, sizes, compress).await?
            }
            Ok(Request::GetRemoteBuffers {
                ids,
                unsafe_,
                compress,
            }) => remote::get_remote_buffers(session, connection, ids, unsafe_, compress).await?,
            request => {
                let outcome = tokio::select! {
                    biased;
                    outcome = async { handlers::answer(session, request?).await } => outcome,
                    () = inbox.until_closed(stream) => return Ok(()),
                };
                session::write(stream, &outcome).await?;
                connection
            }
        };
    }
}
