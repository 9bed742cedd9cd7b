//! Verbs that delete. Deletion hides at once; bytes that others still read stay until they let go.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::command::{Applied, Command};
use vineyard_store::Store;
use vineyard_wire::request::DelData;
use vineyard_wire::{ObjectId, Reply, Status};

use super::metadata::{confirm, settled, submit};
use crate::actors::catalog::DeleteOnItsWay;
use crate::catalog::{Catalog, DeletePlan};
use crate::session::Session;
use crate::shared::Shared;

/// Objects in one delete entry of the log.
const DELETE_ITEMS_MAX: usize = 50_000;

pub(super) async fn del_data(session: &Session, request: DelData) -> Result<Reply, Status> {
    delete(session, request).await?;
    Ok(Reply::DelData)
}

pub(super) async fn del_data_with_feedbacks(
    session: &Session,
    request: DelData,
) -> Result<Reply, Status> {
    let deleted_bids = delete(session, request).await?;
    Ok(Reply::DelDataWithFeedbacks { deleted_bids })
}

/// Deletes, and says which blobs of this node went.
async fn delete(session: &Session, request: DelData) -> Result<Vec<ObjectId>, Status> {
    let DelData {
        ids,
        force,
        deep,
        memory_trim,
        fastpath,
    } = request;
    if fastpath {
        return delete_blobs(session, ids, memory_trim).await;
    }
    let node = &session.node;
    confirm_unknown(node, &ids).await?;
    let named: BTreeSet<_> = ids.iter().copied().filter(|id| id.is_blob()).collect();
    let plan_all = || {
        let (ids, state) = (ids.clone(), node.meta.state());
        move |catalog: &mut Catalog| {
            let plan = catalog.delete_plan(&state, &ids, force, deep);
            (!catalog.is_in_flight(&plan.transients)).then_some(plan)
        }
    };
    let mut plan = settled(node, plan_all).await?;
    let _on_its_way = DeleteOnItsWay::begin(node);
    // The cluster first: if it does not agree in time, everything is still there to be deleted again.
    delete_persistent(session, &mut plan, force, deep).await?;
    let transients = std::mem::take(&mut plan.transients);
    let forget = move |catalog: &mut Catalog| {
        for id in transients {
            if !catalog.is_in_flight([&id]) {
                catalog.remove(id);
            }
        }
    };
    node.catalog.ask(forget).await?;
    let unreferred = keep_referred(session, plan.blobs, named).await?;
    let deleted = delete_blobs(session, unreferred, memory_trim).await?;
    node.changed.notify_waiters();
    Ok(deleted)
}

/// An id that nobody here knows may have become persistent elsewhere a moment ago.
async fn confirm_unknown(node: &Rc<Shared>, ids: &[ObjectId]) -> Result<(), Status> {
    let objects: Vec<_> = ids.iter().copied().filter(|id| !id.is_blob()).collect();
    let state = node.meta.state();
    let known = move |catalog: &mut Catalog| objects.iter().all(|id| catalog.contains(&state, *id));
    match node.catalog.ask(known).await? {
        true => Ok(()),
        false => confirm(node).await,
    }
}

/// Asks the cluster; blobs it let go of join the plan's.
async fn delete_persistent(
    session: &Session,
    plan: &mut DeletePlan,
    force: bool,
    deep: bool,
) -> Result<(), Status> {
    let asked = [(std::mem::take(&mut plan.persistent), force, deep)];
    let members = [(std::mem::take(&mut plan.persistent_members), false, true)];
    for (ids, force, deep) in asked.into_iter().chain(members) {
        let ids: Vec<_> = ids.into_iter().collect();
        for chunk in ids.chunks(DELETE_ITEMS_MAX) {
            let command = Command::Delete {
                ids: chunk.to_vec(),
                force,
                deep,
            };
            if let Applied::Deleted { blobs, .. } = submit(&session.node, command).await? {
                plan.blobs.extend(blobs);
            }
        }
    }
    Ok(())
}

/// Drops from `candidates` what metadata still refers to; blobs that were `named` by the caller go in any case.
async fn keep_referred(
    session: &Session,
    candidates: BTreeSet<ObjectId>,
    named: BTreeSet<ObjectId>,
) -> Result<Vec<ObjectId>, Status> {
    let state = session.node.meta.state();
    let keep = move |catalog: &mut Catalog| {
        let goes = |id: &ObjectId| {
            named.contains(id) || (!catalog.is_referred_to(*id) && state.blob(*id).is_none())
        };
        candidates.into_iter().filter(goes).collect()
    };
    session.node.catalog.ask(keep).await
}

async fn delete_blobs(
    session: &Session,
    ids: Vec<ObjectId>,
    trim: bool,
) -> Result<Vec<ObjectId>, Status> {
    let holder = session.holder.get();
    let delete = move |store: &mut Store| {
        ids.into_iter()
            .filter(|id| store.delete(holder, *id, trim))
            .collect()
    };
    session.node.blobs.ask(delete).await
}

/// Every object this instance can see, with its names, and every blob of this instance.
pub(super) async fn clear(session: &Session) -> Result<Reply, Status> {
    let node = &session.node;
    confirm(node).await?;
    let _on_its_way = DeleteOnItsWay::begin(node);
    let mut plan = DeletePlan::default();
    plan.persistent
        .extend(node.meta.state().objects().map(|record| record.id));
    delete_persistent(session, &mut plan, true, true).await?;
    node.catalog.ask(Catalog::clear).await?;
    let holder = session.holder.get();
    node.blobs.ask(move |store| store.clear(holder)).await?;
    node.changed.notify_waiters();
    Ok(Reply::Clear)
}
