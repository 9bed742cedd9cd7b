//! `put_object`: blobs, metadata, log entry and name in one message.
//!
//! Promise: a put that is refused leaves nothing behind, and the blobs that it sealed are gone, but for what others refer
//! to by then; only if the cluster may still decide about its persist does it stay.

use std::io;

use vineyard_raft::command::{Command, Condition};
use vineyard_store::{Blob, Error, HolderId, Store};
use vineyard_wire::reply::{MadeObject, PutDone};
use vineyard_wire::request::PutObject;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::{delete, metadata, persist, remote};
use crate::actors::proposal::decided;
use crate::boot::registration;
use crate::failure;
use crate::front::rpc::Connection;
use crate::session::{self, Session};

/// A put whose bytes, if any, are in its frame.
pub(super) async fn put_object(session: &Session, mut put: PutObject) -> Result<Reply, Status> {
    check(&put)?;
    if waits_for_go_ahead(&put) {
        return Err(Status::invalid(
            "so many bytes do not come along over the Unix socket; use create_buffers and name the blobs in seal",
        ));
    }
    let holder = session.holder.get();
    let (sizes, bytes) = (put.inline.clone(), std::mem::take(&mut put.bytes));
    let store = move |store: &mut Store| {
        let blobs = store.create_many(holder, &sizes)?;
        let mut rest = &bytes[..];
        for blob in &blobs {
            let mut writer = store.writer(blob.id)?;
            let (own, others) = rest.split_at(writer.len());
            writer.copy_from_slice(own);
            rest = others;
        }
        Ok::<_, Status>(blobs)
    };
    let inline = session.node.blobs.ask(store).await??;
    finish(session, put, inline).await
}

/// Whether the client sends the bytes when it is told to.
pub(crate) fn waits_for_go_ahead(put: &PutObject) -> bool {
    put.bytes.is_empty() && put.inline.iter().any(|size| *size > 0)
}

/// A put whose bytes come on the TCP connection: one reply says "go ahead", another how it went.
pub(crate) async fn put_remote(
    session: &Session,
    mut connection: Connection,
    put: PutObject,
) -> io::Result<Connection> {
    let room = match check(&put) {
        Ok(()) => remote::allocate(session, put.inline.clone()).await,
        Err(status) => Err(status),
    };
    let (inline, writers) = match room {
        Ok(room) => room,
        Err(status) => {
            session::write(&mut connection.stream, &Err(status)).await?;
            return Ok(connection);
        }
    };
    let go_ahead = Reply::PutObject(PutDone {
        object: None,
        blobs: ids_of(&inline),
    });
    session::write(&mut connection.stream, &Ok(go_ahead)).await?;
    connection = remote::receive(session, connection, writers, put.compress).await?;
    let outcome = finish(session, put, inline).await;
    session::write(&mut connection.stream, &outcome).await?;
    Ok(connection)
}

fn check(put: &PutObject) -> Result<(), Status> {
    if put.content.is_none() && put.persist {
        let message = "!IsBlob(id): The blobs cannot be persisted";
        return Err(Status::new(Code::AssertionFailed, message));
    }
    if put.name.is_some() && !put.persist {
        let message = "transient objects cannot have name, please persist it first";
        return Err(Status::invalid(message));
    }
    Ok(())
}

/// All but the bytes, which are in `inline`.
async fn finish(session: &Session, put: PutObject, inline: Vec<Blob>) -> Result<Reply, Status> {
    let holder = session.holder.get();
    let blobs = ids_of(&inline);
    let outcome = seal_and_make(session, put, inline).await;
    // Nobody holds what came along: who wants to read it gets it.
    let let_go = blobs.clone();
    let ended = session
        .node
        .blobs
        .ask(move |store| store.let_go_all(holder, &let_go));
    ended.await?;
    session.node.changed.notify_waiters();
    let object = outcome?;
    Ok(Reply::PutObject(PutDone { object, blobs }))
}

async fn seal_and_make(
    session: &Session,
    put: PutObject,
    inline: Vec<Blob>,
) -> Result<Option<MadeObject>, Status> {
    let (holder, mut listed) = (session.holder.get(), put.seal);
    listed.extend(ids_of(&inline));
    let seal = move |store: &mut Store| seal_all(store, &listed, holder);
    // Refused here, everything is as it was, and what came along goes unsealed.
    let sealed = session.node.blobs.ask(seal).await??;
    let Some(content) = put.content else {
        return Ok(None);
    };
    let state = session.node.meta.state();
    let inline: Vec<_> = inline.iter().map(|blob| (blob.id, blob.size)).collect();
    let complete = session
        .node
        .catalog
        .ask(move |catalog| catalog.complete(&state, content, &inline));
    let made = match complete.await? {
        Ok(content) => metadata::create(&session.node, vec![content]).await,
        Err(status) => Err(status),
    };
    let created = match made {
        Ok(mut made) => made.pop().expect("one tree makes one object"),
        Err(status) => {
            take_back(session, sealed).await;
            return Err(status);
        }
    };
    if let Err(unpublished) = publish(session, created.id, put.persist, put.name).await {
        if unpublished.is_final(session, created.id).await? {
            let members = created.brought.iter().copied();
            let all = sealed.into_iter().chain(members).chain([created.id]);
            take_back(session, all.collect()).await;
        }
        return Err(unpublished.status);
    }
    Ok(Some(MadeObject {
        id: created.id,
        signature: created.signature,
        instance_id: created.instance,
    }))
}

/// Seals all of `ids`, or none. Says which were not sealed before.
fn seal_all(store: &mut Store, ids: &[ObjectId], holder: HolderId) -> Result<Vec<ObjectId>, Error> {
    let mut newly = Vec::new();
    for id in ids {
        let blob = store.info(*id).ok_or(Error::NotFound {
            act: "seal",
            id: *id,
        })?;
        if !blob.sealed && *id != ObjectId::EMPTY_BLOB {
            newly.push(*id);
        }
    }
    for id in ids {
        store.seal(holder, *id)?;
    }
    Ok(newly)
}

/// Why an object was made but not published.
struct Unpublished {
    status: Status,
    /// The cluster has refused, for good.
    refused: bool,
}

impl Unpublished {
    /// Whether it is certain that nothing comes of the object `id` any more.
    async fn is_final(&self, session: &Session, id: ObjectId) -> Result<bool, Status> {
        let state = session.node.meta.state();
        let may_come = session
            .node
            .catalog
            .ask(move |catalog| state.contains(id) || catalog.is_in_flight([&id]));
        Ok(self.refused || !may_come.await?)
    }
}

/// Persists and names what was made.
async fn publish(
    session: &Session,
    id: ObjectId,
    persist: bool,
    name: Option<String>,
) -> Result<(), Unpublished> {
    let node = &session.node;
    if persist {
        persist::persist_all(node, vec![id])
            .await
            .map_err(|status| Unpublished {
                status,
                refused: false,
            })?;
    }
    let Some(name) = name else {
        return Ok(());
    };
    let condition = Condition::Always;
    let command = Command::PutName {
        name,
        id,
        condition,
    };
    let submitted = registration::submit(node, command).await;
    let refused = matches!(decided(submitted.clone()), Some(Err(_)));
    submitted.map(drop).map_err(|error| Unpublished {
        status: failure::from_raft(error),
        refused,
    })
}

/// Deletes what a refused put made. If that fails too, the first refusal is what the client should know.
async fn take_back(session: &Session, ids: Vec<ObjectId>) {
    if let Err(status) = delete::take_back(session, ids).await {
        tracing::debug!(%status, "what a refused put made stays");
    }
}

fn ids_of(blobs: &[Blob]) -> Vec<ObjectId> {
    blobs.iter().map(|blob| blob.id).collect()
}

#[cfg(test)]
mod tests;
