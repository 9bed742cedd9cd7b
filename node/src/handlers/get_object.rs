//! `get_object`: trees, and the bytes of this node below them, in one message.
//!
//! Promise: every blob that is here has its payload and, on the Unix socket, is held for the session. Bytes that died
//! with their node are an error that says so; bytes of other nodes are left to them. A reply that no client could decode
//! is a refusal.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use vineyard_env::Access;
use vineyard_raft::state::State;
use vineyard_store::Blob;
use vineyard_wire::reply::{GotObjects, Payload};
use vineyard_wire::request::{GetName, GetObject};
use vineyard_wire::{ObjectId, Reply, Status};

use super::agree::confirm;
use super::{blobs, names, remote};
use crate::context::NodeContext;
use crate::front::rpc::Connection;
use crate::local::{Found, Known, Local};
use crate::session::{self, Kind, Session};

/// On a TCP connection the payloads are ids alone, and the rest is left to [`send`].
pub(super) async fn get_object(session: &Session, get: GetObject) -> Result<Reply, Status> {
    let GetObject {
        mut ids,
        name,
        compress,
    } = get;
    if let Some(name) = name {
        if !ids.is_empty() {
            return Err(Status::invalid("get_object takes ids or a name, not both"));
        }
        ids.push(resolve(session, name).await?);
    }
    if session.kind == Kind::Rpc {
        let texts = known(
            &session.node,
            ids,
            |local: &mut Local, state: &State, ids: &[ObjectId]| {
                local.read_with_payloads(state, ids)
            },
        )
        .await?;
        let here = texts.here.into_iter().flatten();
        return Ok(Reply::GetObject(GotObjects {
            content: texts.trees,
            payloads: here.map(unread).collect(),
            compress,
            ..GotObjects::default()
        }));
    }
    let holder = session.holder.get();
    let get =
        move |local: &mut Local, state: &State, ids: &[ObjectId]| local.get(state, ids, holder);
    let Found { texts, blobs } = known(&session.node, ids, get).await?;
    let blobs = match blobs {
        Some(blobs) => blobs,
        // Slower, because the cluster is asked what became of those that are not here.
        None => {
            let here = texts.here.into_iter().flatten().collect();
            blobs::find(session, here, false).await?
        }
    };
    let payload = |blob: &Blob| session.node.arena.payload(blob, Access::ReadOnly);
    let payloads: Vec<_> = blobs.iter().map(payload).collect();
    let fds = session.unseen(payloads.iter().map(|payload| payload.store_fd));
    Ok(Reply::GetObject(GotObjects {
        content: texts.trees,
        payloads,
        fds,
        compress: false,
    }))
}

/// What `read` finds of `ids`, all of which must be known; a "no" is confirmed by the quorum.
async fn known<T: Send + 'static>(
    node: &Rc<NodeContext>,
    ids: Vec<ObjectId>,
    read: impl Fn(&mut Local, &State, &[ObjectId]) -> Result<Known<T>, Status> + Copy + Send + 'static,
) -> Result<T, Status> {
    let ids: Arc<[ObjectId]> = ids.into();
    let turn = || {
        let ids = ids.clone();
        move |local: &mut Local, state: &State| read(local, state, &ids)
    };
    if let Ok(found) = node.local.ask(turn()).await?? {
        return Ok(found);
    }
    confirm(node).await?;
    match node.local.ask(turn()).await?? {
        Ok(found) => Ok(found),
        Err(id) => {
            let why = move |local: &mut Local, state: &State| local.why_unreadable(state, id);
            Err(node.local.ask(why).await?)
        }
    }
}

async fn resolve(session: &Session, name: String) -> Result<ObjectId, Status> {
    let get_name = GetName {
        name,
        wait: false,
        timeout_ms: None,
    };
    match names::get_name(&session.node, get_name).await? {
        Reply::GetName { object_id } => Ok(object_id),
        other => unreachable!("get_name answers {other:?}"),
    }
}

/// What stands for a blob until [`send`] has looked at it.
fn unread(id: ObjectId) -> Payload {
    Payload {
        object_id: id,
        ..Payload::empty()
    }
}

/// The bytes of what was found, after the reply that says what it is.
pub(crate) async fn send(
    session: &Session,
    mut connection: Connection,
    mut got: GotObjects,
) -> io::Result<Connection> {
    let here = got.payloads.iter().map(|payload| payload.object_id);
    let here = here.collect();
    let (found, slices) = match remote::read(session, here).await {
        Ok(found) => found,
        Err(status) => {
            session::write(&mut connection.stream, &Err(status)).await?;
            return Ok(connection);
        }
    };
    got.payloads = remote::payloads(session, &found);
    let compress = got.compress;
    let head = session::encode(&Ok(Reply::GetObject(got)));
    remote::send(session, connection, head, slices, compress).await
}

#[cfg(test)]
mod tests;
