//! One Unix-socket connection, as an actor.

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::LocalStream;

use crate::context::Counted;
use crate::serve;
use crate::session::connection::Connection;
use crate::session::{Kind, Session};

pub(crate) struct IpcSession {
    /// Present until the session starts.
    parts: Option<(Box<dyn LocalStream>, Counted)>,
}

impl IpcSession {
    /// `counted` counts this connection.
    pub(crate) fn start(stream: Box<dyn LocalStream>, counted: Counted) {
        Self {
            parts: Some((stream, counted)),
        }
        .start();
    }
}

impl Actor for IpcSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (stream, counted) = self.parts.take().expect("an actor starts once");
        let work = run(stream, counted).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn run(stream: Box<dyn LocalStream>, counted: Counted) {
    let node = counted.node().clone();
    let caller = stream.peer_address();
    let peer = Some(stream.peer_user());
    match Session::open(node, Kind::Ipc, caller, peer, None).await {
        Ok(session) => serve::serve(&session, Connection::unix(stream)).await,
        Err(status) => tracing::warn!(%status, "refused a connection"),
    }
}
