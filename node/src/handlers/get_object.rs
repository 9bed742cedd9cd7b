//! `get_object`: trees, and the bytes of this node below them, in one message.
//!
//! Promise: every blob that is here has its payload and, on the Unix socket, is held for the session. Bytes that died
//! with their node are an error that says so; bytes of other nodes are left to them. A reply that no client could decode
//! is a refusal.

mod extent;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;
use vineyard_env::Access;
use vineyard_store::Blob;
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::reply::GotObjects;
use vineyard_wire::request::{GetName, GetObject};
use vineyard_wire::{Code, InstanceId, ObjectId, Reply, Status, Tree};

use self::extent::Extent;
use super::{blobs, metadata, names, remote};
use crate::actors::rpc_session::Connection;
use crate::session::{self, Kind, Session};

type Trees = BTreeMap<ObjectId, Tree>;

/// On a TCP connection the payloads are left to [`send`].
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
    let content = trees(session, ids).await?;
    let here = blobs_here(&content, session.node.instance);
    Extent::of(&content, here.len()).check()?;
    if session.kind == Kind::Rpc {
        return Ok(Reply::GetObject(GotObjects {
            content,
            compress,
            ..GotObjects::default()
        }));
    }
    let found = blobs::find(session, here, false).await?;
    let payload = |blob: &Blob| session.node.arena.payload(blob, Access::ReadOnly);
    let payloads: Vec<_> = found.iter().map(payload).collect();
    let fds = session.unseen(payloads.iter().map(|payload| payload.store_fd));
    Ok(Reply::GetObject(GotObjects {
        content,
        payloads,
        fds,
        compress: false,
    }))
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

/// The trees of `ids`, none of which is unknown.
async fn trees(session: &Session, ids: Vec<ObjectId>) -> Result<Trees, Status> {
    let node = &session.node;
    let Reply::GetData { content } = metadata::get_data(node, ids.clone(), false).await? else {
        unreachable!("get_data answers with data");
    };
    match ids.iter().find(|id| !content.contains_key(id)) {
        None => Ok(content),
        Some(id) if id.is_blob() && metadata::is_here(node, *id).await? => {
            let message = format!("the blob {id} is not sealed");
            Err(Status::new(Code::ObjectNotSealed, message))
        }
        Some(id) => Err(Status::not_exists(format!("no such object: {id}"))),
    }
}

/// The bytes of what was found, after the reply that says what it is.
pub(crate) async fn send(
    session: &Session,
    mut connection: Connection,
    mut got: GotObjects,
) -> io::Result<Connection> {
    let here = blobs_here(&got.content, session.node.instance);
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

/// The blobs in `trees` that are on `me`, each once.
fn blobs_here(trees: &Trees, me: InstanceId) -> Vec<ObjectId> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&Tree> = trees.values().collect();
    while let Some(tree) = left.pop() {
        if tree.get(key::TYPENAME).and_then(Value::as_str) != Some(BLOB_TYPENAME) {
            left.extend(tree.values().filter_map(Value::as_object));
        } else if tree.get(key::INSTANCE_ID).and_then(Value::as_u64) == Some(me.0) {
            let id = tree.get(key::ID).and_then(Value::as_str);
            found.extend(id.and_then(|id| id.parse::<ObjectId>().ok()));
        }
    }
    found.remove(&ObjectId::EMPTY_BLOB);
    found.into_iter().collect()
}

#[cfg(test)]
mod tests;
