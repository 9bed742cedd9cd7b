//! `persist` and `migrate`: putting metadata of objects into the replicated state, and copying objects to this node.

use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::{Command, Condition};
use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::agree::{confirm, is_here, is_known, unblocked};
use super::metadata::is_unknown;
use super::to_its_end;
use crate::boot::registration;
use crate::context::NodeContext;
use crate::context::proposal::{Naming, PendingProposal, known_outcome};
use crate::failure;
use crate::local::catalog::unknown_subtree;
use crate::local::{Local, Persisting};

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
/// when the session ends.
pub(super) async fn persist_all(node: &Rc<NodeContext>, ids: Vec<ObjectId>) -> Result<(), Status> {
    if ids.iter().any(|id| id.is_blob()) {
        let message = "!IsBlob(id): The blobs cannot be persisted";
        return Err(Status::new(Code::AssertionFailed, message));
    }
    let work = carry_out(node.clone(), ids.into(), None);
    let done = to_its_end("the persist", async { Ok(work.await) }).await?;
    done.map_err(|unpublished| unpublished.status)
}

/// Why an object is not persistent, or has not its name.
pub(super) struct Unpublished {
    pub(super) status: Status,
    /// The object is persistent, and the cluster has refused the name for good.
    pub(super) has_no_name: bool,
}

impl From<Status> for Unpublished {
    fn from(status: Status) -> Self {
        Self {
            status,
            has_no_name: false,
        }
    }
}

/// Persists and names what `put_object` has made; its persist may have begun in the same turn.
pub(super) async fn publish(
    node: &Rc<NodeContext>,
    id: ObjectId,
    begun: Option<Persisting>,
    name: Option<String>,
) -> Result<(), Unpublished> {
    let node = node.clone();
    let naming = name.map(|name| Naming { name, id });
    let work = async move {
        match begun {
            Some(persisting) => propose(node, persisting, naming).await,
            None => carry_out(node, vec![id].into(), naming).await,
        }
    };
    to_its_end("the persist", async { Ok(work.await) }).await?
}

async fn carry_out(
    node: Rc<NodeContext>,
    ids: Arc<[ObjectId]>,
    naming: Option<Naming>,
) -> Result<(), Unpublished> {
    let begin = || {
        let ids = ids.clone();
        move |local: &mut Local, state: &State| local.begin_persist(state, &ids)
    };
    let mut begun = unblocked(&node, begin).await?;
    if is_unknown(&begun) {
        confirm(&node).await?;
        begun = unblocked(&node, begin).await?;
    }
    propose(node, begun?, naming).await
}

/// Submits a persist that has begun, with the name in the same entry. While its outcome is unknown, its objects and
/// blobs stay unchanged, also after the deadline.
async fn propose(
    node: Rc<NodeContext>,
    persisting: Persisting,
    naming: Option<Naming>,
) -> Result<(), Unpublished> {
    // While some member does not know `Publish`, the persist and the name are two entries.
    let is_known = node.meta.feature_level() >= features::PUBLISH && !persisting.is_empty();
    let (naming, later) = match is_known {
        true => (naming, None),
        false => (None, naming),
    };
    if !persisting.is_empty() {
        let Persisting { proposal, carried } = persisting;
        let proposal = PendingProposal::begin(&node, proposal, naming);
        let persisted = proposal.see_through(carried).await;
        persisted.map_err(failure::from_raft)?;
    }
    if let Some(Naming { name, id }) = later {
        let condition = Condition::Always;
        let command = Command::PutName {
            name,
            id,
            condition,
        };
        let submitted = registration::submit(&node, command).await;
        let has_no_name = matches!(known_outcome(submitted.clone()), Some(Err(_)));
        submitted.map_err(|error| Unpublished {
            status: failure::from_raft(error),
            has_no_name,
        })?;
    }
    Ok(())
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

/// The id under which the object is on this node: `id`, or the id of a copy, which is made if there is none.
pub(super) async fn bring_here(node: &Rc<NodeContext>, id: ObjectId) -> Result<ObjectId, Status> {
    if is_here(node, id).await? {
        return Ok(id);
    }
    confirm(node).await?;
    node.migrator.migrate(node, id).await
}
