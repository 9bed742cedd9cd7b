//! `persist` and `migrate`: making objects known to the cluster, and bringing them here.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::command::Command;
use vineyard_raft::state::objects::BlobRow;
use vineyard_store::Store;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::metadata::{confirm, is_here, is_known, submit};
use crate::catalog::{PersistPlan, unknown_subtree};
use crate::shared::Shared;

pub(super) async fn persist(node: &Rc<Shared>, id: ObjectId) -> Result<Reply, Status> {
    persist_all(node, vec![id]).await?;
    Ok(Reply::Persist)
}

pub(super) async fn persist_many(node: &Rc<Shared>, ids: Vec<ObjectId>) -> Result<Reply, Status> {
    persist_all(node, ids).await?;
    Ok(Reply::PersistMany)
}

/// One log entry for all of `ids` and everything transient below them: all or nothing.
pub(super) async fn persist_all(node: &Rc<Shared>, ids: Vec<ObjectId>) -> Result<(), Status> {
    for id in &ids {
        if id.is_blob() {
            let message = "!IsBlob(id): The blobs cannot be persisted";
            return Err(Status::new(Code::AssertionFailed, message));
        }
        if !is_known(node, *id).await? {
            return Err(unknown_subtree(*id));
        }
    }
    let state = node.meta.state();
    let plan = node
        .catalog
        .ask(move |catalog| catalog.persist_plan(&state, &ids))
        .await??;
    if plan.records.is_empty() {
        return Ok(());
    }
    let persisted: Vec<_> = plan.records.iter().map(|record| record.id).collect();
    let blobs = blob_rows(node, &plan).await?;
    node.persisted_blobs
        .borrow_mut()
        .extend(blobs.iter().map(|row| row.id));
    submit(
        node,
        Command::Persist {
            records: plan.records,
            blobs,
        },
    )
    .await?;
    let forget = move |catalog: &mut crate::catalog::Catalog| {
        for id in persisted {
            catalog.remove(id);
        }
    };
    node.catalog.ask(forget).await
}

/// What the cluster will know of the plan's blobs. A local blob must be here and sealed.
async fn blob_rows(node: &Rc<Shared>, plan: &PersistPlan) -> Result<Vec<BlobRow>, Status> {
    let (me, state) = (node.instance, node.meta.state());
    let blobs = plan.blobs.clone();
    let rows = move |store: &mut Store| {
        let mut rows = Vec::with_capacity(blobs.len());
        for (id, holders) in blobs {
            if !holders.contains(&me) {
                // Another instance's blob: it made the row when it persisted its own part.
                if let Some(row) = state.blob(id) {
                    rows.push(row.clone());
                }
                continue;
            }
            let blob = store
                .info(id)
                .ok_or_else(|| Status::not_exists(format!("no such blob: {id}")))?;
            if !blob.sealed {
                let message = format!("the blob {id} is not sealed");
                return Err(Status::new(Code::ObjectNotSealed, message));
            }
            let locations = BTreeSet::from([me]);
            let size = blob.size as u64;
            rows.push(BlobRow {
                id,
                size,
                checksum: None,
                locations,
                lost_with: None,
            });
        }
        Ok(rows)
    };
    node.blobs.ask(rows).await?
}

pub(super) async fn if_persist(node: &Rc<Shared>, id: ObjectId) -> Result<Reply, Status> {
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

pub(super) async fn migrate_object(node: &Rc<Shared>, id: ObjectId) -> Result<Reply, Status> {
    if is_here(node, id).await? {
        return Ok(Reply::MigrateObject { object_id: id });
    }
    confirm(node).await?;
    let object_id = crate::actors::migrator::migrate(node, id).await?;
    Ok(Reply::MigrateObject { object_id })
}
