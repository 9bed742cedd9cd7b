//! `put_object`: blobs, metadata, log entry and name in one message.
//!
//! Promise: a refused put leaves nothing behind. The blobs that it sealed are deleted, except for those that other
//! objects refer to by then. Only if the outcome of its persist is unknown does the object stay.

use std::io;

use vineyard_raft::state::State;
use vineyard_store::Blob;
use vineyard_wire::reply::{MadeObject, PutDone};
use vineyard_wire::request::PutObject;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::agree::{Patience, confirm};
use super::{Answered, delete, names, persist, remote, reply_with};
use crate::local::{Inline, Local, Made, Put, PutTurn};
use crate::session::Session;
use crate::session::connection::Connection;

/// A put whose bytes, if any, are in its frame.
pub(super) async fn put_object(session: &Session, mut put: PutObject) -> Result<Reply, Status> {
    check(&put)?;
    if waits_for_go_ahead(&put) {
        return Err(Status::invalid(
            "so many bytes do not come along over the Unix socket; use create_buffers and name the blobs in seal",
        ));
    }
    let inline = Inline::Bytes {
        sizes: std::mem::take(&mut put.inline),
        bytes: std::mem::take(&mut put.bytes),
    };
    finish(session, put, inline).await
}

/// Whether the client waits for the go-ahead before it sends the bytes.
pub(super) fn waits_for_go_ahead(put: &PutObject) -> bool {
    put.bytes.is_empty() && put.inline.iter().any(|size| *size > 0)
}

/// A put whose bytes come on the TCP connection: the first reply says "go ahead", the second has the result.
pub(super) async fn put_remote(
    session: &Session,
    mut connection: Connection,
    put: PutObject,
) -> io::Result<Answered> {
    let allocated = match check(&put) {
        Ok(()) => remote::allocate(session, put.inline.clone()).await,
        Err(status) => Err(status),
    };
    let (inline, writers) = match allocated {
        Ok(allocated) => allocated,
        Err(status) => return reply_with(session, connection, Err(status)).await,
    };
    let go_ahead = Ok(Reply::PutObject(PutDone {
        object: None,
        blobs: ids_of(&inline),
    }));
    connection.write(session, &go_ahead).await?;
    connection = remote::receive(session, connection, writers, put.compress).await?;
    let outcome = finish(session, put, Inline::Stored(inline)).await;
    reply_with(session, connection, outcome).await
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
    put.name.as_deref().map_or(Ok(()), names::check_length)
}

/// Makes the object, then persists and names it.
async fn finish(session: &Session, put: PutObject, inline: Inline) -> Result<Reply, Status> {
    let PutObject {
        content,
        seal,
        persist,
        name,
        ..
    } = put;
    let mut put = Put::new(session.holder.get(), session.deleter(), inline);
    (put.content, put.seal, put.persist) = (content, seal, persist);
    let Made {
        object,
        blobs,
        sealed,
        persisting,
    } = make(session, put).await?;
    let Some(created) = object else {
        let object = None;
        return Ok(Reply::PutObject(PutDone { object, blobs }));
    };
    tracing::debug!(id = %created.id, "made");
    if persist
        && let Err(unpublished) =
            persist::publish(&session.node, created.id, persisting, name).await
    {
        if unpublished.has_no_name || is_final(session, created.id).await? {
            let members = created.brought.iter().copied();
            let all = sealed.into_iter().chain(members).chain([created.id]);
            rollback(session, all.collect()).await;
        }
        return Err(unpublished.status);
    }
    let object = Some(MadeObject {
        id: created.id,
        signature: created.signature,
        instance_id: created.instance,
    });
    Ok(Reply::PutObject(PutDone { object, blobs }))
}

/// One turn, unless something is under way for a member, or a member is unknown here.
async fn make(session: &Session, mut put: Put) -> Result<Made, Status> {
    let node = &session.node;
    let now_ms = node.env.clock.unix_ms();
    let patience = Patience::begin(node);
    let mut is_confirmed = false;
    loop {
        let turn = move |local: &mut Local, state: &State| local.put(state, put, now_ms);
        let (back, failed) = match node.local.ask(turn).await? {
            PutTurn::Made(made) => return Ok(made),
            PutTurn::Refused(status) => return Err(status),
            PutTurn::Blocked(put, waiter) => (put, patience.wait(waiter).await.err()),
            PutTurn::Unknown(put, status) if is_confirmed => (put, Some(status)),
            PutTurn::Unknown(put, _) => {
                is_confirmed = true;
                (put, confirm(node).await.err())
            }
        };
        put = back;
        if let Some(status) = failed {
            let abandon =
                move |local: &mut Local, state: &State| local.abandon(state, &put, status);
            return Err(node.local.ask(abandon).await?);
        }
    }
}

/// Whether it is certain that the refused persist of `id` will not take effect.
async fn is_final(session: &Session, id: ObjectId) -> Result<bool, Status> {
    let may_take_effect = move |local: &mut Local, state: &State| {
        state.contains(id) || local.pending.is_persisting(id)
    };
    Ok(!session.node.local.ask(may_take_effect).await?)
}

/// Deletes what a refused put made. If that fails too, the client still gets the first refusal.
async fn rollback(session: &Session, ids: Vec<ObjectId>) {
    if let Err(status) = delete::rollback(session, ids).await {
        tracing::debug!(%status, "could not delete what a refused put made");
    }
}

fn ids_of(blobs: &[Blob]) -> Vec<ObjectId> {
    blobs.iter().map(|blob| blob.id).collect()
}

#[cfg(test)]
mod tests;
