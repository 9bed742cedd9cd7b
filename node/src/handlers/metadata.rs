//! Verbs on metadata: create, get, list, exists, shallow copy, label.
//!
//! What is known here is answered here. "There is no such object" is only said after the quorum confirmed it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::command::Command;
use vineyard_raft::state::State;
use vineyard_store::{Blob, Store};
use vineyard_wire::{Code, InstanceId, ObjectId, Reply, Status, Tree};

use super::agree::{catch_up, confirm, is_here, is_known, settled, submit};
use crate::context::{Counted, NodeContext};
use crate::failure;
use crate::local::catalog::absorb::{Created, local_blobs};
use crate::local::catalog::{BlobNode, Catalog, LostBlobs, Pattern, Texts, unknown_subtree};

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

/// All of `contents` or none. Once begun it must be carried through: between its two turns the objects stand unchecked.
pub(super) async fn create(
    node: &Rc<NodeContext>,
    contents: Vec<Tree>,
) -> Result<Vec<Created>, Status> {
    let mut blobs = Vec::new();
    for content in &contents {
        local_blobs(content, node.instance, &mut blobs);
    }
    let contents: Arc<[Tree]> = contents.into();
    let now_ms = node.env.clock.unix_ms();
    let attempt = || {
        let (contents, state) = (contents.clone(), node.meta.state());
        move |catalog: &mut Catalog| match catalog.names_doomed(&contents) {
            true => None,
            false => Some(catalog.create_all(&state, &contents, now_ms)),
        }
    };
    let mut outcome = settled(node, attempt).await?;
    if matches!(&outcome, Err(status) if status.code == Code::MetaTreeSubtreeNotExists) {
        confirm(node).await?;
        outcome = settled(node, attempt).await?;
    }
    let made = outcome?;
    // The store is asked last: what the catalog refers to is not freed any more, so what is here now stays.
    let checked = node.blobs.ask(move |store| check_sealed(store, &blobs));
    if let Err(status) = checked.await? {
        node.catalog
            .ask(move |catalog| catalog.take_back(&made))
            .await?;
        return Err(status);
    }
    node.changed.notify_waiters();
    Ok(made)
}

/// Metadata never points at bytes that were not sealed.
pub(crate) fn check_sealed(store: &Store, blobs: &[ObjectId]) -> Result<(), Status> {
    for id in blobs {
        match store.info(*id) {
            None => return Err(Status::not_exists(format!("no such blob: {id}"))),
            Some(blob) if !blob.sealed => {
                let message = format!("the blob {id} is not sealed");
                return Err(Status::new(Code::ObjectNotSealed, message));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Clients ignore how it went, so a lost quorum only delays them.
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
    let found = read(node, &ids, Payloads::Without).await?;
    if found.has(&ids) || ids.as_ref() == [ObjectId::INVALID] {
        return Ok(found.reply());
    }
    confirm(node).await?;
    if !wait {
        return Ok(read(node, &ids, Payloads::Without).await?.reply());
    }
    let _counted = Counted::waiting(node)?;
    loop {
        let changed = node.changed.notified();
        let found = read(node, &ids, Payloads::Without).await?;
        if found.has(&ids) {
            return Ok(found.reply());
        }
        changed.await;
    }
}

/// All of `ids`, for a reply with the payloads of what is here, or as many as there are; what is missing is missing in
/// the cluster.
pub(super) async fn texts(node: &Rc<NodeContext>, ids: Vec<ObjectId>) -> Result<Texts, Status> {
    let ids: Arc<[ObjectId]> = ids.into();
    let found = read(node, &ids, Payloads::With).await?;
    if found.has(&ids) {
        return Ok(found);
    }
    confirm(node).await?;
    read(node, &ids, Payloads::With).await
}

/// Whether a reply has the payloads of the blobs that are here.
#[derive(Clone, Copy)]
enum Payloads {
    With,
    Without,
}

/// Those of `ids` that can be read now.
async fn read(
    node: &Rc<NodeContext>,
    ids: &Arc<[ObjectId]>,
    payloads: Payloads,
) -> Result<Texts, Status> {
    let blobs: BTreeSet<_> = ids.iter().copied().filter(|id| id.is_blob()).collect();
    let (ids, state) = (ids.clone(), node.meta.state());
    let expand = move |catalog: &mut Catalog| match payloads {
        Payloads::With => catalog.expand_with_payloads(&state, &ids),
        Payloads::Without => catalog.expand(&state, &ids, LostBlobs::Here),
    };
    let mut texts = node.catalog.ask(expand).await??;
    if !blobs.is_empty() {
        for blob in read_blobs(node, blobs).await? {
            texts.add_blob(blob)?;
        }
    }
    Ok(texts)
}

/// Sealed blobs of this node, and blobs that persistent objects have elsewhere.
async fn read_blobs(
    node: &Rc<NodeContext>,
    blobs: BTreeSet<ObjectId>,
) -> Result<Vec<BlobNode>, Status> {
    let (me, state) = (node.instance, node.meta.state());
    let read = move |store: &mut Store| {
        let found = blobs.into_iter().filter_map(|id| {
            if let Some(blob) = store.info(id) {
                return blob.sealed.then_some(bare(me, &blob));
            }
            let row = state.blob(id)?;
            let instance = row.locations.first().copied().unwrap_or(me);
            let size = row.size;
            Some(BlobNode { id, instance, size })
        });
        found.collect()
    };
    node.blobs.ask(read).await
}

fn bare(instance: InstanceId, blob: &Blob) -> BlobNode {
    let (id, size) = (blob.id, blob.size);
    BlobNode { id, instance, size }
}

pub(super) async fn list_data(
    node: &Rc<NodeContext>,
    pattern: &str,
    regex: bool,
    limit: u64,
) -> Result<Reply, Status> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let objects = Pattern::new(pattern, regex);
    // Blobs are matched by wildcards even when the pattern is a regular expression.
    let with_blobs = Pattern::new(pattern, false).matches(vineyard_wire::meta::BLOB_TYPENAME);
    let state = node.meta.state();
    let list = move |catalog: &mut Catalog| catalog.list(&state, &objects, limit);
    let mut found = node.catalog.ask(list).await??;
    if with_blobs && found.trees.len() < limit {
        let (me, room) = (node.instance, limit - found.trees.len());
        let list = move |store: &mut Store| {
            let sealed = store.list_sealed().into_iter().take(room);
            sealed.map(|blob| bare(me, &blob)).collect::<Vec<_>>()
        };
        for blob in node.blobs.ask(list).await? {
            found.add_blob(blob)?;
        }
    }
    Ok(found.reply())
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
        let (extra, state) = (extra.clone(), node.meta.state());
        move |catalog: &mut Catalog| match catalog.has_doomed_member(&state, id) {
            true => None,
            false => Some(copy(catalog, &state, id, &extra)),
        }
    };
    let (target_id, persistent) = settled(node, copy_here).await??;
    if persistent {
        let persisted = super::persist::persist_all(node, vec![target_id]).await;
        if let Err(status) = persisted {
            node.catalog
                .ask(move |catalog| catalog.remove(target_id))
                .await?;
            return Err(status);
        }
    }
    Ok(Reply::ShallowCopy { target_id })
}

/// The copy's id, and whether what it was copied from is persistent.
fn copy(
    catalog: &mut Catalog,
    state: &State,
    id: ObjectId,
    extra: &Tree,
) -> Result<(ObjectId, bool), Status> {
    let copy = catalog.shallow_copy(state, id, extra)?;
    let target_id = copy.id;
    catalog.insert(copy);
    Ok((target_id, state.contains(id)))
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
        let (labels, state) = (labels.clone(), node.meta.state());
        move |catalog: &mut Catalog| match catalog.is_in_flight([&id]) {
            true => None,
            false if state.contains(id) => Some(false),
            false => Some(catalog.label(id, labels).is_some()),
        }
    };
    if settled(node, label_here).await? {
        return Ok(Reply::Label);
    }
    submit(node, Command::Label { id, labels }).await?;
    Ok(Reply::Label)
}
