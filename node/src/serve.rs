//! The path of every request: admit, span, call, count, answer. Verbs that move raw bytes take it too.
//!
//! It must never know what a verb does: that is `crate::handlers`.

mod record;

use std::pin::pin;

use vineyard_env::LocalBoxFuture;
use vineyard_wire::{Code, Reply, Request, Status, Trace, json};

use self::record::Record;
use crate::context::NodeContext;
use crate::handlers::{self, Answered};
use crate::session::connection::Connection;
use crate::session::frame_reader::FrameError;
use crate::session::{Kind, Session};

/// Frames of at least so many bytes are decoded by a bulk worker: decoding a million small values would block the actor
/// thread for too long.
const DECODE_HERE_BYTES_MAX: usize = 1 << 20;

/// Serves a session until its client closes, or until the stop deadline of the node has passed.
pub(crate) async fn serve(session: &Session, connection: Connection) {
    let number = session.number;
    tokio::select! {
        biased;
        ended = converse(session, connection) => {
            if let Err(error) = ended {
                tracing::debug!(session = number, %error, "a connection ended");
            }
        }
        () = cut_off(&session.node) => {
            tracing::debug!(session = number, "a connection was cut off by the stop");
        }
    }
}

/// Serves one request after the other, until the client closes. A notice is none: it has no answer and no record.
pub(crate) async fn converse(
    session: &Session,
    mut connection: Connection,
) -> Result<(), FrameError> {
    while let Some(body) = connection.next(session).await? {
        let admitted = match admit(session, body).await {
            Ok((Request::ReleaseNotice { ids }, _)) => {
                if let Err(status) = handlers::note_release(session, ids).await {
                    tracing::debug!(session = session.number, %status, "a notice came too late");
                }
                continue;
            }
            admitted => admitted,
        };
        let record = Record::begin(session, &admitted);
        let request = admitted.map(|(request, _)| request);
        // Pinned here: the future of all verbs is large, and each wrapper around it would copy it.
        let work = pin!(answer(session, connection, request));
        let served = record.run(record.call().run(work)).await;
        record.end(session, served.as_ref().ok());
        let served = served?;
        match served.connection {
            Some(back) => connection = back,
            None => break,
        }
    }
    Ok(())
}

/// The result of serving one request.
struct Served {
    /// `None` if the client has closed.
    connection: Option<Connection>,
    /// `None` if the client closed before the answer.
    outcome: Option<Result<(), Status>>,
}

/// Decodes `body` to a request and its trace, if any. Fails if this connection may not send it yet.
async fn admit(session: &Session, body: Vec<u8>) -> Result<(Request, Option<Trace>), Status> {
    let body = session.node.env.faults.received(body);
    let (request, trace) = match body.len() < DECODE_HERE_BYTES_MAX {
        true => json::decode_traced_request(&body)?,
        false => {
            let decode = move || -> LocalBoxFuture<'static, _> {
                Box::pin(async move { json::decode_traced_request(&body) })
            };
            session.node.bulk.run(decode).await??
        }
    };
    let open = matches!(request, Request::Register(_) | Request::Exit);
    if !open && !session.registered.get() {
        let name = json::request_type(&request);
        let message = format!("The connection is not registered yet, command is: {name}");
        return Err(Status::invalid(message));
    }
    Ok((request, trace))
}

async fn answer(
    session: &Session,
    mut connection: Connection,
    request: Result<Request, Status>,
) -> Result<Served, FrameError> {
    let outcome = match request {
        Ok(Request::Exit) => {
            return Ok(Served {
                connection: None,
                outcome: Some(Ok(())),
            });
        }
        Ok(request) if session.kind == Kind::Rpc && handlers::moves_bytes(&request) => {
            let Answered {
                connection,
                outcome,
            } = handlers::answer_with_bytes(session, connection, request).await?;
            return Ok(Served {
                connection: Some(connection),
                outcome: Some(outcome),
            });
        }
        Ok(request) => match call(session, &mut connection, request).await {
            Some(outcome) => outcome,
            None => {
                return Ok(Served {
                    connection: None,
                    outcome: None,
                });
            }
        },
        Err(status) => Err(status),
    };
    connection.write(session, &outcome).await?;
    Ok(Served {
        connection: Some(connection),
        outcome: Some(outcome.map(drop)),
    })
}

/// The reply to one request; `None` if the client closed before the reply was ready.
async fn call(
    session: &Session,
    connection: &mut Connection,
    request: Request,
) -> Option<Result<Reply, Status>> {
    if is_carried_through(&request) {
        return Some(handlers::answer(session, request).await);
    }
    if !may_wait(&request) {
        let work = pin!(handlers::answer(session, request));
        return connection.while_open(session, work).await;
    }
    let waiting = async {
        tokio::select! {
            biased;
            outcome = handlers::answer(session, request) => outcome,
            () = session.node.stopping.begun() => Err(Status::new(
                Code::VineyardServerNotReady,
                "this node stops; what the request waits for will not appear here",
            )),
        }
    };
    connection.while_open(session, waiting).await
}

/// Whether the request is served to its end even if its client closes. If it were dropped half way, the holder that the
/// store has opened would have no session, and a persist that has begun would not be ended.
fn is_carried_through(request: &Request) -> bool {
    matches!(request, Request::Register(_) | Request::PutObject(_))
}

/// Whether the request may wait for as long as its client is connected: for an object or name to appear, or for the
/// other side of a stream.
fn may_wait(request: &Request) -> bool {
    match request {
        Request::GetData { wait, .. } => *wait,
        Request::GetName(request) => request.wait,
        Request::GetNextStreamChunk(_)
        | Request::PushNextStreamChunk(_)
        | Request::PullNextStreamChunk(_) => true,
        _ => false,
    }
}

/// Returns when the stop deadline has passed after a stop has begun.
async fn cut_off(node: &NodeContext) {
    node.stopping.begun().await;
    tokio::time::sleep(node.config.limits.stop_deadline).await;
}
