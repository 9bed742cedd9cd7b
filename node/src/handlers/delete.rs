//! Verbs that delete. A deleted blob is invisible at once; its bytes stay until the last reference is released.
//!
//! A delete that has begun goes on when its session ends, so that what was marked is always deleted or unmarked.

use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::{Applied, Command};
use vineyard_raft::state::State;
use vineyard_store::Error;
use vineyard_wire::request::DelData;
use vineyard_wire::{ObjectId, Reply, Status};

use super::agree::{confirm, submit, unblocked};
use super::to_its_end;
use crate::context::NodeContext;
use crate::local::catalog::DeletePlan;
use crate::local::{Deleted, Deletion, Local, PendingDelete};
use crate::session::Session;

/// Most objects or blobs in one log entry.
const DELETE_ITEMS_MAX: usize = 50_000;

pub(super) async fn del_data(session: &Session, request: DelData) -> Result<Reply, Status> {
    Delete::new(session, request).carry_out().await?;
    Ok(Reply::DelData)
}

pub(super) async fn del_data_with_feedbacks(
    session: &Session,
    request: DelData,
) -> Result<Reply, Status> {
    let deleted_bids = Delete::new(session, request).carry_out().await?;
    Ok(Reply::DelDataWithFeedbacks { deleted_bids })
}

/// Deletes those objects and blobs of `ids` that nothing else refers to.
pub(super) async fn rollback(session: &Session, ids: Vec<ObjectId>) -> Result<(), Status> {
    let request = DelData {
        ids,
        force: false,
        deep: false,
        memory_trim: false,
        fastpath: false,
    };
    let delete = Delete::of(session, request, |_| false);
    delete.carry_out().await.map(drop)
}

pub(super) async fn drop_buffer(session: &Session, id: ObjectId) -> Result<Reply, Status> {
    let request = DelData {
        ids: vec![id],
        force: false,
        deep: false,
        memory_trim: false,
        fastpath: true,
    };
    let deleted = Delete::new(session, request).carry_out().await?;
    if deleted.is_empty() && id != ObjectId::EMPTY_BLOB {
        return Err(Error::NotFound { act: "drop", id }.into());
    }
    Ok(Reply::DropBuffer)
}

/// Deletes every object that this instance can see, with its names, and every blob of this instance. Objects that are
/// put meanwhile stay.
pub(super) async fn clear(session: &Session) -> Result<Reply, Status> {
    let node = &session.node;
    confirm(node).await?;
    let all = |local: &mut Local, state: &State| {
        let mut ids = local.catalog.transients();
        ids.extend(state.objects().map(|record| record.id));
        (ids, local.store.all_ids())
    };
    let (ids, blobs) = node.local.ask(all).await?;
    let by = session.deleter();
    let request = DelData {
        ids,
        force: true,
        deep: true,
        memory_trim: false,
        fastpath: false,
    };
    let objects = Delete::new(session, request);
    let node = node.clone();
    to_its_end("the clear", async move {
        objects.run().await?;
        let clear = move |local: &mut Local, state: &State| local.clear_blobs(state, blobs, by);
        node.local.ask(clear).await?;
        Ok(Reply::Clear)
    })
    .await
}

/// One delete request.
struct Delete {
    node: Rc<NodeContext>,
    deletion: Arc<Deletion>,
}

impl Delete {
    fn new(session: &Session, request: DelData) -> Self {
        Self::of(session, request, |id| id.is_blob())
    }

    /// `is_named` tells which of the ids are deleted even if something refers to them.
    fn of(session: &Session, request: DelData, is_named: impl Fn(&ObjectId) -> bool) -> Self {
        let DelData {
            mut ids,
            force,
            deep,
            memory_trim: trim,
            fastpath,
        } = request;
        if fastpath {
            ids.retain(|id| id.is_blob());
        }
        Self {
            node: session.node.clone(),
            deletion: Arc::new(Deletion {
                by: session.deleter(),
                named: ids.iter().copied().filter(is_named).collect(),
                ids,
                force,
                deep,
                trim,
            }),
        }
    }

    /// Returns which blobs of this node were deleted.
    async fn carry_out(self) -> Result<Vec<ObjectId>, Status> {
        to_its_end("the delete", self.run()).await
    }

    async fn run(self) -> Result<Vec<ObjectId>, Status> {
        let mut deleted = self.begin(false).await?;
        if matches!(deleted, Deleted::Unknown) {
            confirm(&self.node).await?;
            deleted = self.begin(true).await?;
        }
        match deleted {
            Deleted::Done(blobs) => Ok(blobs),
            Deleted::Unknown => {
                unreachable!("after the cluster was asked, unknown ids are ignored")
            }
            Deleted::Pending(pending) => self.agree(pending).await,
        }
    }

    async fn begin(&self, is_confirmed: bool) -> Result<Deleted, Status> {
        let attempt = || {
            let deletion = self.deletion.clone();
            move |local: &mut Local, state: &State| local.delete(state, &deletion, is_confirmed)
        };
        unblocked(&self.node, attempt).await
    }

    /// The cluster is asked first: if it does not agree in time, nothing has changed and the delete can be retried.
    async fn agree(self, mut pending: PendingDelete) -> Result<Vec<ObjectId>, Status> {
        let agreed = match self.delete_persistent(&mut pending.plan).await {
            Ok(()) => self.drop_locations().await,
            Err(status) => Err(status),
        };
        let (deletion, is_agreed) = (self.deletion.clone(), agreed.is_ok());
        let end = move |local: &mut Local, state: &State| {
            local.end_delete(state, &deletion, pending, is_agreed)
        };
        let deleted = self.node.local.ask(end).await?;
        agreed.map(|()| deleted)
    }

    /// Asks the cluster to delete, and adds the blobs that it released to the plan's.
    async fn delete_persistent(&self, plan: &mut DeletePlan) -> Result<(), Status> {
        let asked = std::mem::take(&mut plan.persistent);
        let members = std::mem::take(&mut plan.persistent_members);
        let deep = !plan.members_apart;
        let Deletion {
            force,
            deep: asked_deep,
            ..
        } = *self.deletion;
        for (ids, force, deep) in [(asked, force, asked_deep && deep), (members, false, deep)] {
            let ids: Vec<_> = ids.into_iter().collect();
            for chunk in ids.chunks(DELETE_ITEMS_MAX) {
                let command = Command::Delete {
                    ids: chunk.to_vec(),
                    force,
                    deep,
                };
                if let Applied::Deleted { blobs, .. } = submit(&self.node, command).await? {
                    plan.blobs.extend(blobs);
                }
            }
        }
        Ok(())
    }

    /// Named blobs are deleted although persistent objects refer to them, so the cluster is told that their bytes are
    /// gone.
    async fn drop_locations(&self) -> Result<(), Status> {
        let instance = self.node.instance;
        let state = self.node.meta.state();
        let is_here = |id: &&ObjectId| {
            let row = state.blob(**id);
            row.is_some_and(|row| row.locations.contains(&instance))
        };
        let here: Vec<_> = self
            .deletion
            .named
            .iter()
            .filter(is_here)
            .copied()
            .collect();
        for chunk in here.chunks(DELETE_ITEMS_MAX) {
            let blobs = chunk.to_vec();
            submit(&self.node, Command::DropLocations { instance, blobs }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
