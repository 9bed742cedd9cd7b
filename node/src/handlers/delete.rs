//! Verbs that delete. Deletion hides at once; bytes that others still read stay until they let go.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::command::{Applied, Command};
use vineyard_raft::state::State;
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
    let named: BTreeSet<_> = ids.iter().copied().filter(|id| id.is_blob()).collect();
    let deleted = match delete_transients(node, &ids, &named, force, deep).await? {
        Some(free) => delete_blobs(session, free, memory_trim).await?,
        None => delete_everywhere(session, ids, named, force, deep, memory_trim).await?,
    };
    node.changed.notify_waiters();
    Ok(deleted)
}

/// The common case in one turn: all of it is known and only here. Returns the blobs to free.
async fn delete_transients(
    node: &Rc<Shared>,
    ids: &[ObjectId],
    named: &BTreeSet<ObjectId>,
    force: bool,
    deep: bool,
) -> Result<Option<Vec<ObjectId>>, Status> {
    let (ids, named, state) = (ids.to_vec(), named.clone(), node.meta.state());
    let turn = move |catalog: &mut Catalog| {
        let known = |id: &ObjectId| id.is_blob() || catalog.contains(&state, *id);
        if !ids.iter().all(known) {
            return None;
        }
        let plan = catalog.delete_plan(&state, &ids, force, deep);
        let elsewhere = !plan.persistent.is_empty() || !plan.persistent_members.is_empty();
        if elsewhere || catalog.is_in_flight(&plan.transients) {
            return None;
        }
        for id in &plan.transients {
            catalog.remove(*id);
        }
        Some(unreferred(catalog, &state, plan.blobs, &named))
    };
    node.catalog.ask(turn).await
}

/// Drops from `candidates` what metadata still refers to; blobs that were `named` by the caller go in any case.
fn unreferred(
    catalog: &Catalog,
    state: &State,
    candidates: BTreeSet<ObjectId>,
    named: &BTreeSet<ObjectId>,
) -> Vec<ObjectId> {
    let goes = |id: &ObjectId| {
        named.contains(id) || (!catalog.is_referred_to(*id) && state.blob(*id).is_none())
    };
    candidates.into_iter().filter(goes).collect()
}

/// Asks the cluster, because some of it is persistent, unknown here, or about to be persistent.
async fn delete_everywhere(
    session: &Session,
    ids: Vec<ObjectId>,
    named: BTreeSet<ObjectId>,
    force: bool,
    deep: bool,
    memory_trim: bool,
) -> Result<Vec<ObjectId>, Status> {
    let node = &session.node;
    confirm_unknown(node, &ids).await?;
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
    let state = node.meta.state();
    let forget = move |catalog: &mut Catalog| {
        for id in plan.transients {
            if !catalog.is_in_flight([&id]) {
                catalog.remove(id);
            }
        }
        unreferred(catalog, &state, plan.blobs, &named)
    };
    let free = node.catalog.ask(forget).await?;
    delete_blobs(session, free, memory_trim).await
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
