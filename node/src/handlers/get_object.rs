//! `get_object`: trees, and this node's blobs below them, in one message.
//!
//! Promise: the reply has a payload for every blob that is here and, on the Unix socket, the session holds it. Lost
//! bytes are an error that says so; for blobs of other nodes there is no payload. A reply that no client could decode
//! becomes a refusal.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use vineyard_env::{Access, Fault};
use vineyard_raft::state::State;
use vineyard_raft::state::objects::Record;
use vineyard_store::{Blob, Slice};
use vineyard_wire::reply::GotObjects;
use vineyard_wire::request::GetObject;
use vineyard_wire::{Code, ObjectId, Reply, Status, TreeText};

use super::agree::confirm;
use super::{Answered, blobs, names, persist, remote, reply_with};
use crate::context::NodeContext;
use crate::local::{Found, Known, Local};
use crate::session::Session;
use crate::session::connection::Connection;

/// Over the Unix socket: the payloads say where in the arena the bytes are.
pub(super) async fn get_object(session: &Session, get: GetObject) -> Result<Reply, Status> {
    let ids = ids(&session.node, get).await?;
    let holder = session.holder.get();
    let get =
        move |local: &mut Local, state: &State, ids: &[ObjectId]| local.get(state, ids, holder);
    let Found { texts, blobs } = known(&session.node, ids, get).await?;
    let blobs = match blobs {
        Some(blobs) => blobs,
        // The slow path: the cluster is asked about the blobs that are not here.
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

/// The id of `id` on this node, after a migration if it is elsewhere.
async fn fetched(node: &Rc<NodeContext>, id: ObjectId) -> Result<ObjectId, Status> {
    let state = node.meta.state();
    // An object of this node is answered without asking the cluster, as it is without `fetch`.
    let is_own = |record: &Record| !record.global && record.instance == node.instance;
    if state.object(id).is_some_and(|record| is_own(record)) {
        return Ok(id);
    }
    match persist::bring_here(node, id).await {
        // The caller refuses an unknown id with the error of `get_object`.
        Err(status) if status.code == Code::MetaTreeSubtreeNotExists => Ok(id),
        outcome => outcome,
    }
}

/// The longest that a `get_object` with `fetch` may take.
pub(super) fn fetch_deadline(node: &NodeContext) -> Duration {
    // A quorum confirms the id, or the name and the id, before the copy begins.
    node.migrator.deadline(node) + 2 * node.stretch(node.config.limits.metadata_deadline)
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
    if node.env.faults.has(Fault::LocalAsksTheQuorum) {
        confirm(node).await?;
    }
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

/// Over TCP: the bytes follow the reply that describes them.
pub(super) async fn get_remote(
    session: &Session,
    mut connection: Connection,
    get: GetObject,
) -> io::Result<Answered> {
    let compress = get.compress;
    let reading = read_remote(session, get);
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

async fn read_remote(session: &Session, get: GetObject) -> Result<Read, Status> {
    let ids = ids(&session.node, get).await?;
    let read =
        |local: &mut Local, state: &State, ids: &[ObjectId]| local.read_with_payloads(state, ids);
    let texts = known(&session.node, ids, read).await?;
    let here = texts.here.into_iter().flatten().collect();
    let (blobs, slices) = remote::read(session, here).await?;
    Ok((texts.trees, blobs, slices))
}

/// The requested ids, or the id that a name points to; with `fetch`, the ids after a migration.
async fn ids(node: &Rc<NodeContext>, get: GetObject) -> Result<Vec<ObjectId>, Status> {
    let ids = match get.name {
        None => get.ids,
        Some(_) if !get.ids.is_empty() => {
            return Err(Status::invalid("get_object takes ids or a name, not both"));
        }
        Some(name) => vec![names::resolve(node, &name).await?],
    };
    match (get.fetch, &*ids) {
        (false, _) => Ok(ids),
        (true, [id]) => Ok(vec![fetched(node, *id).await?]),
        (true, _) => Err(Status::invalid("get_object fetches one object at a time")),
    }
}

#[cfg(test)]
mod tests;
