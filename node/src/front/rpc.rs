//! One TCP connection of a vineyard client, as an actor.

use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};
use vineyard_env::Stream;
use vineyard_wire::Status;

use crate::context::{Counted, NodeContext};
use crate::serve;
use crate::session::connection::Connection;
use crate::session::frame_reader::FrameReader;
use crate::session::{Kind, Session};

/// What a session starts with.
struct Parts {
    stream: Box<dyn Stream>,
    /// Has the bytes that were read to tell clients from nodes.
    reader: FrameReader,
    counted: Counted,
    unregistered: Counted,
}

pub(crate) struct RpcSession {
    /// Present until the session starts.
    parts: Option<Parts>,
}

impl RpcSession {
    /// `first` are the bytes that were read to tell clients from nodes; `unregistered` counts the connection until it
    /// registers.
    pub(crate) fn start(
        stream: Box<dyn Stream>,
        first: Vec<u8>,
        counted: Counted,
        unregistered: Counted,
    ) {
        Self {
            parts: Some(Parts {
                stream,
                reader: FrameReader::new(first),
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
        let work = run(parts).into_actor(self);
        ctx.spawn(actix::ActorFutureExt::map(work, |(), _, ctx| ctx.stop()));
    }
}

async fn run(parts: Parts) {
    let Parts {
        mut stream,
        reader,
        counted,
        unregistered,
    } = parts;
    let node = counted.node().clone();
    if let Some(access) = &node.tcp_access {
        let judged = tokio::select! {
            biased;
            () = node.stopping.begun() => return,
            judged = access.judge(&node.bulk, stream) => judged,
        };
        let refusal = match judged {
            Ok((back, refusal)) => {
                stream = back;
                refusal
            }
            Err(error) => return tracing::debug!(%error, "a connection ended before it registered"),
        };
        if let Some(refusal) = refusal {
            drop((counted, unregistered));
            return refuse_register(&node, Connection::tcp(stream, reader), refusal).await;
        }
    }
    let caller = stream.peer_address();
    match Session::open(node, Kind::Rpc, caller, None, Some(unregistered)).await {
        Ok(session) => serve::serve(&session, Connection::tcp(stream, reader)).await,
        Err(status) => tracing::warn!(%status, "refused a connection"),
    }
}

/// Answers the register request of a refused client with the refusal, if the request comes soon. The connection is not
/// counted among the clients.
async fn refuse_register(node: &Rc<NodeContext>, mut connection: Connection, refusal: Status) {
    let Some(_counted) = Counted::refusal(node) else {
        return;
    };
    let caller = connection.caller();
    let mut session = match Session::open(node.clone(), Kind::Rpc, caller, None, None).await {
        Ok(session) => session,
        Err(status) => return tracing::warn!(%status, "refused a connection"),
    };
    session.refusal = Some(refusal);
    let deadline = node.config.limits.parting_deadline;
    match tokio::time::timeout(deadline, serve::converse(&session, connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused connection ended"),
        Err(_) => tracing::debug!("a refused connection did not register in time"),
    }
}
