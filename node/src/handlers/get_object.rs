//! `get_object`: trees, and the bytes of this node below them, in one message.
//!
//! Promise: every blob that is here has its payload and, on the Unix socket, is held for the session. Bytes that died
//! with their node are an error that says so; bytes of other nodes are left to them. A reply that no client could decode
//! is a refusal.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use vineyard_env::Access;
use vineyard_raft::state::State;
use vineyard_store::{Blob, Slice};
use vineyard_wire::reply::GotObjects;
use vineyard_wire::request::GetObject;
use vineyard_wire::{ObjectId, Reply, Status, TreeText};

use super::agree::confirm;
use super::{Answered, blobs, names, remote, reply_with};
use crate::context::NodeContext;
use crate::local::{Found, Known, Local};
use crate::session::Session;
use crate::session::connection::Connection;

/// Over the Unix socket: the payloads say where in the arena the bytes are.
pub(super) async fn get_object(session: &Session, get: GetObject) -> Result<Reply, Status> {
    let ids = ids(&session.node, get.ids, get.name).await?;
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

/// Over TCP: the bytes of what was found come after the reply that says what it is.
pub(super) async fn get_remote(
    session: &Session,
    mut connection: Connection,
    get: GetObject,
) -> io::Result<Answered> {
    let GetObject {
        ids,
        name,
        compress,
    } = get;
    let reading = read_remote(session, ids, name);
    let Some(read) = connection.while_open(session, reading).await else {
        return Err(io::ErrorKind::ConnectionAborted.into());
    };
    let (content, blobs, slices) = match read {
        Ok(read) => read,
        Err(status) => return reply_with(session, connection, Err(status)).await,
    };
    let reply = Reply::GetObject(GotObjects {
        content,
        payloads: remote::payloads(session, &blobs),
        compress,
        ..GotObjects::default()
    });
    remote::send(session, connection, reply, slices, compress).await
}

/// Trees, and the bytes of this node below them.
type Read = (BTreeMap<ObjectId, TreeText>, Vec<Blob>, Vec<Slice>);

async fn read_remote(
    session: &Session,
    asked: Vec<ObjectId>,
    name: Option<String>,
) -> Result<Read, Status> {
    let ids = ids(&session.node, asked, name).await?;
    let read =
        |local: &mut Local, state: &State, ids: &[ObjectId]| local.read_with_payloads(state, ids);
    let texts = known(&session.node, ids, read).await?;
    let here = texts.here.into_iter().flatten().collect();
    let (blobs, slices) = remote::read(session, here).await?;
    Ok((texts.trees, blobs, slices))
}

/// What is asked for: some ids, or what a name points to.
async fn ids(
    node: &Rc<NodeContext>,
    ids: Vec<ObjectId>,
    name: Option<String>,
) -> Result<Vec<ObjectId>, Status> {
    match name {
        None => Ok(ids),
        Some(_) if !ids.is_empty() => {
            Err(Status::invalid("get_object takes ids or a name, not both"))
        }
        Some(name) => Ok(vec![names::resolve(node, &name).await?]),
    }
}

#[cfg(test)]
mod tests;
