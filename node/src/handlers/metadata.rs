//! Verbs on metadata: create, get, list, exists, shallow copy, label.
//!
//! What is known here is answered here. "There is no such object" is only said after the quorum confirmed it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::Command;
use vineyard_raft::state::State;
use vineyard_wire::{Code, ObjectId, Reply, Status, Tree};

use super::agree::{catch_up, confirm, is_here, is_known, submit, unblocked};
use crate::context::{Counted, NodeContext, call};
use crate::failure;
use crate::local::Local;
use crate::local::catalog::absorb::Created;
use crate::local::catalog::{Texts, unknown_subtree};

pub(super) async fn create_data(node: &Rc<NodeContext>, content: Tree) -> Result<Reply, Status> {
    let mut made = create(node, vec![content]).await?;
    let created = made.pop().expect("one tree makes one object");
    Ok(Reply::CreateData {
        id: created.id,
        signature: created.signature,
        instance_id: created.instance,
    })
}

pub(super) async fn create_datas(
    node: &Rc<NodeContext>,
    contents: Vec<Tree>,
) -> Result<Reply, Status> {
    let made = create(node, contents).await?;
    Ok(Reply::CreateDatas {
        ids: made.iter().map(|created| created.id).collect(),
        signatures: made.iter().map(|created| created.signature).collect(),
        instance_ids: made.iter().map(|created| created.instance).collect(),
    })
}

/// All of `contents` or none.
pub(super) async fn create(
    node: &Rc<NodeContext>,
    contents: Vec<Tree>,
) -> Result<Vec<Created>, Status> {
    let contents: Arc<[Tree]> = contents.into();
    let now_ms = node.env.clock.unix_ms();
    let attempt = || {
        let contents = contents.clone();
        move |local: &mut Local, state: &State| local.create(state, &contents, now_ms)
    };
    let made = unblocked(node, attempt).await?;
    if !is_unknown(&made) {
        return made;
    }
    confirm(node).await?;
    unblocked(node, attempt).await?
}

/// Whether the refusal is for an object that is unknown here. Another node may have persisted it a moment ago.
pub(super) fn is_unknown<T>(outcome: &Result<T, Status>) -> bool {
    matches!(outcome, Err(status) if status.code == Code::MetaTreeSubtreeNotExists)
}

/// Clients ignore the outcome, so a lost quorum only delays them.
pub(super) async fn sync_meta(node: &Rc<NodeContext>) -> Result<Reply, Status> {
    catch_up(node).await;
    let content = BTreeMap::new();
    Ok(Reply::GetData { content })
}

/// With `wait`, answers only when every id is known.
pub(super) async fn get_data(
    node: &Rc<NodeContext>,
    ids: Vec<ObjectId>,
    wait: bool,
) -> Result<Reply, Status> {
    let ids: Arc<[ObjectId]> = ids.into();
    let found = read(node, &ids).await?;
    if found.has(&ids) || ids.as_ref() == [ObjectId::INVALID] {
        return Ok(found.reply());
    }
    confirm(node).await?;
    if !wait {
        return Ok(read(node, &ids).await?.reply());
    }
    let _counted = Counted::waiting(node)?;
    loop {
        let ids = ids.clone();
        let read = move |local: &mut Local, state: &State| local.read_or_wait(state, &ids);
        match node.local.ask(read).await? {
            Ok(found) => return Ok(found?.reply()),
            Err(waiter) => call::as_asked(waiter.woken()).await,
        }
    }
}

/// Those of `ids` that can be read now.
async fn read(node: &Rc<NodeContext>, ids: &Arc<[ObjectId]>) -> Result<Texts, Status> {
    let ids = ids.clone();
    let read = move |local: &mut Local, state: &State| local.read(state, &ids);
    node.local.ask(read).await?
}

pub(super) async fn list_data(
    node: &Rc<NodeContext>,
    pattern: &str,
    regex: bool,
    limit: u64,
) -> Result<Reply, Status> {
    super::names::check_pattern(pattern)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let pattern = pattern.to_owned();
    let list = move |local: &mut Local, state: &State| local.list(state, &pattern, regex, limit);
    Ok(node.local.ask(list).await??.reply())
}

pub(super) async fn exists(node: &Rc<NodeContext>, id: ObjectId) -> Result<Reply, Status> {
    if is_here(node, id).await? {
        return Ok(Reply::Exists { exists: true });
    }
    confirm(node).await?;
    let state = node.meta.state();
    let exists = match id.is_blob() {
        true => state
            .blob(id)
            .is_some_and(|row| failure::lost_with(row, node.instance).is_none()),
        false => state.contains(id),
    };
    Ok(Reply::Exists { exists })
}

pub(super) async fn shallow_copy(
    node: &Rc<NodeContext>,
    id: ObjectId,
    extra: Tree,
) -> Result<Reply, Status> {
    if id.is_blob() {
        let message = "The blobs cannot be shallow copied";
        return Err(Status::new(Code::AssertionFailed, message));
    }
    if !is_known(node, id).await? {
        return Err(unknown_subtree(id));
    }
    let extra = Arc::new(extra);
    let copy_here = || {
        let extra = extra.clone();
        move |local: &mut Local, state: &State| local.shallow_copy(state, id, &extra)
    };
    let (target_id, persistent) = unblocked(node, copy_here).await??;
    if persistent {
        let persisted = super::persist::persist_all(node, vec![target_id]).await;
        if let Err(status) = persisted {
            node.local
                .ask(move |local, state| local.remove_copy(state, target_id))
                .await?;
            return Err(status);
        }
    }
    Ok(Reply::ShallowCopy { target_id })
}

pub(super) async fn label(
    node: &Rc<NodeContext>,
    id: ObjectId,
    keys: Vec<String>,
    values: Vec<String>,
) -> Result<Reply, Status> {
    if keys.len() != values.len() {
        let (keys, values) = (keys.len(), values.len());
        return Err(Status::invalid(format!(
            "{keys} label keys with {values} values"
        )));
    }
    let labels: BTreeMap<_, _> = keys.into_iter().zip(values).collect();
    let label_here = || {
        let labels = labels.clone();
        move |local: &mut Local, state: &State| local.label(state, id, labels)
    };
    if unblocked(node, label_here).await?? {
        return Ok(Reply::Label);
    }
    submit(node, Command::Label { id, labels }).await?;
    Ok(Reply::Label)
}
