//! Verbs on blobs over the Unix socket.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use vineyard_env::Access;
use vineyard_raft::state::State;
use vineyard_store::{Blob, Store};
use vineyard_wire::{Code, ObjectId, Reply, Status};

use crate::context::NodeContext;
use crate::failure;
use crate::local::Local;
use crate::session::{Kind, Session};

pub(super) async fn create_buffer(session: &Session, size: u64) -> Result<Reply, Status> {
    refuse_on_rpc(session, "create_remote_buffer_request")?;
    let holder = session.holder.get();
    let blob = session
        .node
        .local
        .ask(move |local, _| local.store.create(holder, size))
        .await??;
    let created = session.node.arena.payload(&blob, Access::ReadWrite);
    let fd = session
        .unseen([created.store_fd])
        .first()
        .copied()
        .unwrap_or(-1);
    Ok(Reply::CreateBuffer {
        id: blob.id,
        created,
        fd,
    })
}

pub(super) async fn create_buffers(session: &Session, sizes: Vec<u64>) -> Result<Reply, Status> {
    refuse_on_rpc(session, "create_remote_buffers_request")?;
    let holder = session.holder.get();
    let blobs = session
        .node
        .local
        .ask(move |local, _| local.store.create_many(holder, &sizes))
        .await??;
    let payload = |blob: &Blob| session.node.arena.payload(blob, Access::ReadWrite);
    let payloads: Vec<_> = blobs.iter().map(payload).collect();
    let fds = session.unseen(payloads.iter().map(|payload| payload.store_fd));
    Ok(Reply::CreateBuffers {
        ids: blobs.iter().map(|blob| blob.id).collect(),
        payloads,
        fds,
    })
}

pub(super) async fn seal(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let holder = session.holder.get();
    session
        .node
        .local
        .ask(move |local, _| local.seal(holder, id))
        .await??;
    Ok(Reply::Seal)
}

/// Unknown blobs are left out; lost blobs are an error that says so.
pub(super) async fn get_buffers(
    session: &Session,
    ids: Vec<ObjectId>,
    unsafe_: bool,
) -> Result<Reply, Status> {
    refuse_on_rpc(session, "get_remote_buffers_request")?;
    let blobs = find(session, ids, unsafe_).await?;
    let access = if unsafe_ {
        Access::ReadWrite
    } else {
        Access::ReadOnly
    };
    let payload = |blob: &Blob| session.node.arena.payload(blob, access);
    let payloads: Vec<_> = blobs.iter().map(payload).collect();
    let fds = session.unseen(payloads.iter().map(|payload| payload.store_fd));
    Ok(Reply::GetBuffers {
        payloads,
        fds,
        compress: false,
    })
}

/// The blobs in `ids` that are here; the session holds them from now on. A refusal holds nothing, because a client
/// cannot release what it did not get.
pub(super) async fn find(
    session: &Session,
    ids: Vec<ObjectId>,
    unsafe_: bool,
) -> Result<Vec<Blob>, Status> {
    let holder = session.holder.get();
    let ids: Arc<[ObjectId]> = ids.into();
    let mut absent = Arc::new(BTreeSet::new());
    loop {
        let (ids, known) = (ids.clone(), absent.clone());
        // One more may have been deleted while the cluster was asked about the others.
        let turn = move |local: &mut Local, _: &State| {
            let missing = missing(&local.store, &ids);
            match missing.is_subset(&known) {
                true => local.store.get(holder, &ids, unsafe_).map(Ok),
                false => Ok(Err(missing)),
            }
        };
        match session.node.local.ask(turn).await?? {
            Ok(blobs) => return Ok(blobs),
            Err(missing) => {
                check_lost(&session.node, &missing).await?;
                Arc::make_mut(&mut absent).extend(missing);
            }
        }
    }
}

/// Those of `ids` that are not here.
pub(super) fn missing(store: &Store, ids: &[ObjectId]) -> BTreeSet<ObjectId> {
    let missing = ids.iter().filter(|id| !store.exists(**id));
    missing.copied().collect()
}

/// Fails if one of `missing` is lost. Unless this node knows of one already, it first catches up with the cluster, if
/// the cluster answers in time.
pub(super) async fn check_lost(
    node: &Rc<NodeContext>,
    missing: &BTreeSet<ObjectId>,
) -> Result<(), Status> {
    if missing.is_empty() {
        return Ok(());
    }
    let check = || {
        let state = node.meta.state();
        let lost = missing.iter().find_map(|id| {
            let instance = failure::lost_with(state.blob(*id)?, node.instance)?;
            Some(failure::lost(&state, *id, instance))
        });
        lost.map_or(Ok(()), Err)
    };
    check()?;
    super::agree::catch_up(node).await;
    check()
}

pub(super) async fn shrink_buffer(
    session: &Session,
    id: ObjectId,
    size: u64,
) -> Result<Reply, Status> {
    let holder = session.holder.get();
    session
        .node
        .local
        .ask(move |local, _| local.shrink(holder, id, size))
        .await??;
    Ok(Reply::ShrinkBuffer)
}

pub(super) async fn increase_reference_count(
    session: &Session,
    ids: Vec<ObjectId>,
) -> Result<Reply, Status> {
    let holder = session.holder.get();
    session
        .node
        .local
        .ask(move |local, _| local.store.retain(holder, &ids))
        .await??;
    Ok(Reply::IncreaseReferenceCount)
}

pub(super) async fn release(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let holder = session.holder.get();
    session
        .node
        .local
        .ask(move |local, _| local.store.release(holder, id))
        .await??;
    Ok(Reply::Release)
}

pub(super) async fn is_in_use(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let is_in_use = session
        .node
        .local
        .ask(move |local, _| local.store.is_in_use(id))
        .await?;
    Ok(Reply::IsInUse { is_in_use })
}

pub(super) async fn memory_trim(session: &Session) -> Result<Reply, Status> {
    let trimmed = session
        .node
        .local
        .ask(|local, _| local.store.trim())
        .await?;
    let failed = |error| Status::new(Code::IoError, format!("cannot give memory back: {error}"));
    Ok(Reply::MemoryTrim {
        trimmed: trimmed.map_err(failed)? > 0,
    })
}

fn refuse_on_rpc(session: &Session, instead: &str) -> Result<(), Status> {
    match session.kind {
        Kind::Ipc => Ok(()),
        Kind::Rpc => Err(Status::invalid(format!(
            "memory cannot be passed over a TCP connection; use {instead}"
        ))),
    }
}
