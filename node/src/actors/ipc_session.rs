//! One Unix-socket connection: its stream, its holder id, nothing else.

use std::io;
use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use futures::FutureExt;
use vineyard_env::LocalStream;
use vineyard_wire::{Reply, Request, Status, limits};

use crate::handlers;
use crate::inbox::{FrameError, Inbox};
use crate::session::{self, Kind, Session};
use crate::shared::{Counted, Shared};

pub(crate) struct IpcSession {
    node: Rc<Shared>,
    stream: Option<Box<dyn LocalStream>>,
}

impl IpcSession {
    pub(crate) fn start(node: Rc<Shared>, stream: Box<dyn LocalStream>) {
        Self {
            node,
            stream: Some(stream),
        }
        .start();
    }
}

impl Actor for IpcSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let stream = self.stream.take().expect("an actor starts once");
        let work = serve(self.node.clone(), stream).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn serve(node: Rc<Shared>, stream: Box<dyn LocalStream>) {
    let _counted = Counted::new(&node, |counters| &counters.ipc_connections);
    let stopping = node.clone();
    let session = match Session::open(node, Kind::Ipc).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    let stopped = stopping.stopping.notified().fuse();
    tokio::select! {
        biased;
        () = stopped => {}
        ended = converse(&session, stream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
    }
    session.close().await;
}

async fn converse(session: &Session, mut stream: Box<dyn LocalStream>) -> Result<(), FrameError> {
    let mut inbox = Inbox::default();
    while let Some(body) = inbox
        .frame(&mut stream, limits::CLIENT_FRAME_BYTES_MAX)
        .await?
    {
        let request = session.admit(&body);
        if request == Ok(Request::Exit) {
            return Ok(());
        }
        let outcome = tokio::select! {
            biased;
            outcome = answer(session, request) => outcome,
            () = inbox.until_closed(&mut stream) => return Ok(()),
        };
        session::write(&mut stream, &outcome).await?;
        if let Ok(reply) = &outcome {
            send_memory(session, stream.as_mut(), reply).await?;
        }
    }
    Ok(())
}

async fn answer(session: &Session, request: Result<Request, Status>) -> Result<Reply, Status> {
    handlers::answer(session, request?).await
}

/// After a reply that announces arena numbers: one byte with a handle for each, in order.
async fn send_memory(
    session: &Session,
    stream: &mut dyn LocalStream,
    reply: &Reply,
) -> io::Result<()> {
    let numbers = match reply {
        Reply::CreateBuffer { fd, .. } => std::slice::from_ref(fd),
        Reply::CreateBuffers { fds, .. } | Reply::GetBuffers { fds, .. } => fds.as_slice(),
        _ => return Ok(()),
    };
    for number in numbers.iter().filter(|number| **number >= 0) {
        stream
            .send_memory(session.node.arena.handle(*number))
            .await?;
    }
    Ok(())
}
