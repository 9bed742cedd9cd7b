//! `persist` and `migrate`: making objects known to the cluster, and bringing them here.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::state::objects::{BlobRow, Lost};
use vineyard_store::Store;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::agree::{confirm, is_here, is_known, settled};
use super::to_its_end;
use crate::actors::migrator;
use crate::actors::proposal::{PendingProposal, decided};
use crate::context::NodeContext;
use crate::failure;
use crate::local::catalog::{Catalog, PersistPlan, unknown_subtree};

pub(super) async fn persist(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    persist_all(node, vec![id]).await?;
    Ok(Reply::Persist)
}

pub(super) async fn persist_many(
    node: &Rc<NodeContext>,
    ids: Vec<ObjectId>,
) -> Result<Reply, Status> {
    persist_all(node, ids).await?;
    Ok(Reply::PersistMany)
}

/// One log entry for all of `ids` and everything transient below them: all or nothing. A persist that has begun goes on
/// when its asker leaves.
pub(super) async fn persist_all(node: &Rc<NodeContext>, ids: Vec<ObjectId>) -> Result<(), Status> {
    for id in &ids {
        if id.is_blob() {
            let message = "!IsBlob(id): The blobs cannot be persisted";
            return Err(Status::new(Code::AssertionFailed, message));
        }
        if !is_known(node, *id).await? {
            return Err(unknown_subtree(*id));
        }
    }
    let ids: Arc<[ObjectId]> = ids.into();
    to_its_end("the persist", carry_out(node.clone(), ids)).await
}

/// Submits what is transient of `ids` and below. While the cluster may still decide, it stays as it is, also after the
/// deadline.
async fn carry_out(node: Rc<NodeContext>, ids: Arc<[ObjectId]>) -> Result<(), Status> {
    let begin = || {
        let (ids, state) = (ids.clone(), node.meta.state());
        move |catalog: &mut Catalog| catalog.begin_persist(&state, &ids).transpose()
    };
    let plan = settled(&node, begin).await??;
    if plan.records.is_empty() {
        return Ok(());
    }
    let persisted: Vec<_> = plan.records.iter().map(|record| record.id).collect();
    let blobs = match blob_rows(&node, &plan).await {
        Ok(blobs) => blobs,
        Err(status) => {
            end(&node, persisted).await?;
            return Err(status);
        }
    };
    let ids = blobs.iter().map(|row| row.id);
    node.persisted_blobs.borrow_mut().extend(ids);
    let persist = PendingProposal::begin(&node, plan.records, blobs);
    let submitted = persist.submit().await;
    match decided(submitted.clone()) {
        Some(_) => end(&node, persisted).await?,
        None => drop(tokio::task::spawn_local(settle(node, persist, persisted))),
    }
    submitted.map(drop).map_err(failure::from_raft)
}

async fn settle(node: Rc<NodeContext>, persist: PendingProposal, persisted: Vec<ObjectId>) {
    if persist.keep_asking().await.is_some()
        && let Err(status) = end(&node, persisted).await
    {
        tracing::debug!(%status, "the node stopped before a persist was settled");
    }
}

/// The persist of these objects has ended, one way or the other.
async fn end(node: &NodeContext, persisted: Vec<ObjectId>) -> Result<(), Status> {
    let state = node.meta.state();
    let end = move |catalog: &mut Catalog| catalog.end_persist(&state, &persisted);
    node.catalog.ask(end).await?;
    node.changed.notify_waiters();
    Ok(())
}

/// What the cluster will know of the plan's blobs. A local blob must be here and sealed.
async fn blob_rows(node: &Rc<NodeContext>, plan: &PersistPlan) -> Result<Vec<BlobRow>, Status> {
    let (me, state) = (node.instance, node.meta.state());
    let blobs = plan.blobs.clone();
    let rows = move |store: &mut Store| {
        let mut rows = Vec::with_capacity(blobs.len());
        for (id, holders) in blobs {
            if !holders.contains(&me) {
                // Another instance's blob: it made the row when it persisted its own part.
                let row = state.blob(id).cloned();
                rows.push(row.ok_or_else(|| {
                    Status::not_exists(format!("the cluster does not know the blob {id}"))
                })?);
                continue;
            }
            let blob = store
                .info(id)
                .ok_or_else(|| Status::not_exists(format!("no such blob: {id}")))?;
            // A delete by name that the cluster took note of after its asker had been told that it was late.
            if let Some(instance) = state.blob(id).and_then(|row| row.lost.instance()) {
                return Err(failure::lost(&state, id, instance));
            }
            if !blob.sealed {
                let message = format!("the blob {id} is not sealed");
                return Err(Status::new(Code::ObjectNotSealed, message));
            }
            let locations = BTreeSet::from([me]);
            let size = blob.size;
            rows.push(BlobRow {
                id,
                size,
                checksum: None,
                locations,
                lost: Lost::No,
            });
        }
        Ok(rows)
    };
    node.blobs.ask(rows).await?
}

pub(super) async fn if_persist(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    if id.is_blob() {
        return Ok(Reply::IfPersist { persist: false });
    }
    if !is_known(node, id).await? {
        return Err(unknown_subtree(id));
    }
    Ok(Reply::IfPersist {
        persist: node.meta.state().contains(id),
    })
}

pub(super) async fn migrate_object(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    let object_id = bring_here(node, id).await?;
    Ok(Reply::MigrateObject { object_id })
}

/// The id under which `id` is on this node: its own, or that of a copy that is made if there is none.
pub(super) async fn bring_here(node: &Rc<NodeContext>, id: ObjectId) -> Result<ObjectId, Status> {
    if is_here(node, id).await? {
        return Ok(id);
    }
    confirm(node).await?;
    migrator::migrate(node, id).await
}
