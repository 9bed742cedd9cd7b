//! Verbs that delete. Deletion hides at once; bytes that others still read stay until they let go.
//!
//! A delete that has begun goes on when its asker leaves: what the catalog has let go of is freed in any case.

use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_raft::command::{Applied, Command};
use vineyard_store::{Error, HolderId};
use vineyard_wire::request::DelData;
use vineyard_wire::{ObjectId, Reply, Status};

use super::agree::{confirm, settled, submit};
use super::to_its_end;
use crate::actors::follow::{DeleteOnItsWay, free};
use crate::context::NodeContext;
use crate::local::catalog::{Catalog, DeletePlan};
use crate::session::Session;

/// Objects or blobs in one entry of the log.
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

/// Deletes what of `ids` nothing else refers to by now, blobs too: those a client names go in any case.
pub(super) async fn take_back(session: &Session, ids: Vec<ObjectId>) -> Result<(), Status> {
    let request = DelData {
        ids,
        force: false,
        deep: false,
        memory_trim: false,
        fastpath: false,
    };
    let unnamed = Delete {
        named: BTreeSet::new(),
        ..Delete::new(session, request)
    };
    unnamed.carry_out().await.map(drop)
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

/// Every object this instance can see, with its names, and every blob of this instance. What is put meanwhile stays.
pub(super) async fn clear(session: &Session) -> Result<Reply, Status> {
    let node = &session.node;
    confirm(node).await?;
    let blobs = node.blobs.ask(|store| store.all_ids()).await?;
    let mut ids = node.catalog.ask(|catalog| catalog.transients()).await?;
    ids.extend(node.meta.state().objects().map(|record| record.id));
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
        let gone = objects.everywhere().await;
        // Also if it failed: others wait to know what stays.
        node.changed.notify_waiters();
        gone?;
        let state = node.meta.state();
        let unreferred = move |catalog: &mut Catalog| {
            let is_settled = |id: &ObjectId| !catalog.is_in_flight([id]);
            let settled: Vec<_> = blobs.into_iter().filter(is_settled).collect();
            catalog.doom_unreferred(&state, settled)
        };
        let doomed = node.catalog.ask(unreferred).await?;
        free(&node, by, doomed, false).await?;
        node.blobs
            .ask(move |store| store.let_go_of_everything(by))
            .await?;
        node.changed.notify_waiters();
        Ok(Reply::Clear)
    })
    .await
}

/// One delete: what was asked, and in whose name.
struct Delete {
    node: Rc<NodeContext>,
    by: HolderId,
    ids: Vec<ObjectId>,
    /// Those blobs among `ids` that go in any case; the cluster is told if it has them.
    named: BTreeSet<ObjectId>,
    force: bool,
    deep: bool,
    trim: bool,
}

impl Delete {
    fn new(session: &Session, request: DelData) -> Self {
        let DelData {
            mut ids,
            force,
            deep,
            memory_trim,
            fastpath,
        } = request;
        if fastpath {
            ids.retain(|id| id.is_blob());
        }
        Self {
            node: session.node.clone(),
            by: session.deleter(),
            named: ids.iter().copied().filter(|id| id.is_blob()).collect(),
            ids,
            force,
            deep,
            trim: memory_trim,
        }
    }

    /// Says which blobs of this node went.
    async fn carry_out(self) -> Result<Vec<ObjectId>, Status> {
        to_its_end("the delete", self.run()).await
    }

    async fn run(self) -> Result<Vec<ObjectId>, Status> {
        let deleted = match self.forget_transients().await? {
            Some(doomed) => free(&self.node, self.by, doomed, self.trim).await,
            None => self.everywhere().await,
        };
        // Also if it failed: others wait to know what stays.
        self.node.changed.notify_waiters();
        deleted
    }

    /// The common case in one turn: all of it is known and only here. Returns the blobs to free.
    async fn forget_transients(&self) -> Result<Option<Vec<ObjectId>>, Status> {
        let (ids, named) = (self.ids.clone(), self.named.clone());
        let (force, deep, state) = (self.force, self.deep, self.node.meta.state());
        let turn = move |catalog: &mut Catalog| {
            let known = |id: &ObjectId| id.is_blob() || catalog.contains(&state, *id);
            if !ids.iter().all(known) || named.iter().any(|id| state.blob(*id).is_some()) {
                return None;
            }
            let plan = catalog.delete_plan(&state, &ids, force, deep);
            let elsewhere = !plan.persistent.is_empty() || !plan.persistent_members.is_empty();
            if elsewhere || catalog.is_in_flight(plan.transients.iter().chain(&named)) {
                return None;
            }
            for id in &plan.transients {
                catalog.remove(*id);
            }
            let unnamed = plan.blobs.difference(&named).copied();
            let mut doomed = catalog.doom_unreferred(&state, unnamed);
            catalog.doom(&named);
            doomed.extend(named);
            Some(doomed)
        };
        self.node.catalog.ask(turn).await
    }

    /// Asks the cluster, because some of it is persistent, unknown here, or about to be persistent.
    async fn everywhere(&self) -> Result<Vec<ObjectId>, Status> {
        let node = &self.node;
        self.confirm_unknown().await?;
        let plan_all = || {
            let (ids, named) = (self.ids.clone(), self.named.clone());
            let (force, deep, state) = (self.force, self.deep, node.meta.state());
            move |catalog: &mut Catalog| {
                let plan = catalog.delete_plan(&state, &ids, force, deep);
                if catalog.is_in_flight(plan.transients.iter().chain(&named)) {
                    return None;
                }
                // From here on nothing new refers to these, and no persist says that they are here.
                let objects = &plan.transients | &plan.reach(&state, force, deep);
                catalog.doom(objects.iter().chain(&named));
                Some((plan, objects))
            }
        };
        let (mut plan, objects) = settled(node, plan_all).await?;
        let _on_its_way = DeleteOnItsWay::begin(node);
        // The cluster first: if it does not agree in time, everything is still there to be deleted again.
        let agreed = match self.delete_persistent(&mut plan).await {
            Ok(()) => self.drop_locations().await,
            Err(status) => Err(status),
        };
        let (named, state) = (self.named.clone(), node.meta.state());
        if let Err(status) = agreed {
            let stays = move |catalog: &mut Catalog| catalog.undoom(objects.iter().chain(&named));
            node.catalog.ask(stays).await?;
            return Err(status);
        }
        let forget = move |catalog: &mut Catalog| {
            for id in &plan.transients {
                catalog.remove(*id);
            }
            catalog.undoom(&objects);
            let unnamed = plan.blobs.difference(&named).copied();
            let mut doomed = catalog.doom_unreferred(&state, unnamed);
            doomed.extend(named);
            doomed
        };
        let doomed = node.catalog.ask(forget).await?;
        free(node, self.by, doomed, self.trim).await
    }

    /// An id that nobody here knows may have become persistent elsewhere a moment ago.
    async fn confirm_unknown(&self) -> Result<(), Status> {
        let (ids, state) = (self.ids.clone(), self.node.meta.state());
        let known = move |catalog: &mut Catalog| {
            let mut objects = ids.iter().filter(|id| !id.is_blob());
            objects.all(|id| catalog.contains(&state, *id))
        };
        match self.node.catalog.ask(known).await? {
            true => Ok(()),
            false => confirm(&self.node).await,
        }
    }

    /// Asks the cluster; blobs it let go of join the plan's.
    async fn delete_persistent(&self, plan: &mut DeletePlan) -> Result<(), Status> {
        let asked = std::mem::take(&mut plan.persistent);
        let members = std::mem::take(&mut plan.persistent_members);
        let deep = !plan.members_apart;
        for (ids, force, deep) in [
            (asked, self.force, self.deep && deep),
            (members, false, deep),
        ] {
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

    /// Named blobs go although persistent objects have them: the cluster must not go on saying that they are here.
    async fn drop_locations(&self) -> Result<(), Status> {
        let instance = self.node.instance;
        let state = self.node.meta.state();
        let is_here = |id: &&ObjectId| {
            let row = state.blob(**id);
            row.is_some_and(|row| row.locations.contains(&instance))
        };
        let here: Vec<_> = self.named.iter().filter(is_here).copied().collect();
        for chunk in here.chunks(DELETE_ITEMS_MAX) {
            let blobs = chunk.to_vec();
            submit(&self.node, Command::DropLocations { instance, blobs }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
