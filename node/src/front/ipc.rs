//! One Unix-socket connection: its stream, its holder id, nothing else.

use std::io;

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::LocalStream;
use vineyard_wire::reply::GotObjects;
use vineyard_wire::{Reply, Request};

use crate::context::Counted;
use crate::session::frame_reader::{FrameError, FrameReader};
use crate::session::{self, Kind, Session};

pub(crate) struct IpcSession {
    /// Until the session starts.
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
        let work = serve(stream, counted).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn serve(stream: Box<dyn LocalStream>, counted: Counted) {
    let node = counted.node().clone();
    let session = match Session::open(node.clone(), Kind::Ipc, None).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    tokio::select! {
        biased;
        ended = converse(&session, stream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
        () = session::cut_off(&node) => tracing::debug!("a connection was cut off by the stop"),
    }
}

async fn converse(session: &Session, mut stream: Box<dyn LocalStream>) -> Result<(), FrameError> {
    let mut reader = FrameReader::default();
    while let Some(body) = session::next(session, &mut reader, &mut stream).await? {
        let request = match session.admit(body).await {
            Ok(Request::Exit) => return Ok(()),
            Ok(Request::LetGo { ids }) => {
                session.let_go(ids).await;
                continue;
            }
            request => request,
        };
        let Some(outcome) = session::answer(session, &mut reader, &mut stream, request).await
        else {
            return Ok(());
        };
        session::write(&mut stream, &outcome).await?;
        if let Ok(reply) = &outcome {
            send_memory(session, stream.as_mut(), reply).await?;
        }
    }
    Ok(())
}

/// After a reply that announces arena numbers: one byte with a handle for each, in order.
async fn send_memory(
    session: &Session,
    stream: &mut dyn LocalStream,
    reply: &Reply,
) -> io::Result<()> {
    let numbers = match reply {
        Reply::CreateBuffer { fd, .. } => std::slice::from_ref(fd),
        Reply::CreateBuffers { fds, .. }
        | Reply::GetBuffers { fds, .. }
        | Reply::GetObject(GotObjects { fds, .. }) => fds.as_slice(),
        _ => return Ok(()),
    };
    for number in numbers.iter().filter(|number| **number >= 0) {
        stream
            .send_memory(session.node.arena.handle(*number))
            .await?;
    }
    Ok(())
}
