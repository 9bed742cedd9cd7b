//! `get_data`: turns records back into the tree a client reads.

use serde_json::Value;
use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Signature, Status, Tree, limits};

use super::Catalog;
use super::absorb::DEPTH_MAX;

/// How blobs whose bytes are gone are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostBlobs {
    /// As this instance's own, so that a client asks here and gets the error that names object and node.
    Here,
    /// As their late owner's, so that a listing is not spoilt by one of them.
    WithOwner,
}

impl Catalog {
    /// The whole tree of `id`; `None` when it or one of its members is unknown here.
    pub(crate) fn expand(
        &self,
        state: &State,
        id: ObjectId,
        lost: LostBlobs,
    ) -> Result<Option<Tree>, Status> {
        let mut walk = Walk { catalog: self, state, lost, nodes_left: limits::ITEMS_MAX };
        walk.object(id, 0)
    }
}

struct Walk<'a> {
    catalog: &'a Catalog,
    state: &'a State,
    lost: LostBlobs,
    /// A small graph can unfold into a huge tree; this bounds it.
    nodes_left: usize,
}

impl Walk<'_> {
    fn object(&mut self, id: ObjectId, depth: usize) -> Result<Option<Tree>, Status> {
        let catalog = self.catalog;
        match catalog.record(self.state, id).cloned() {
            Some(record) => self.record(&record, depth),
            None => Ok(None),
        }
    }

    fn record(&mut self, record: &Record, depth: usize) -> Result<Option<Tree>, Status> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| too_big(record.id))?;
        if depth > DEPTH_MAX {
            return Err(too_big(record.id));
        }
        let mut tree = self.attributes(record);
        for (name, link) in &record.members {
            let node = match *link {
                Link::Blob { id, instance } => Some(self.blob(id, instance)),
                Link::Object { id, signature } => {
                    let target = self.resolve(record.global, id, signature);
                    self.object(target, depth + 1)?
                }
            };
            match node {
                Some(node) => tree.insert(name.clone(), Value::Object(node)),
                None => return Ok(None),
            };
        }
        Ok(Some(tree))
    }

    /// A global object's member is read through its signature, so that a copy that was moved here is preferred.
    fn resolve(&self, parent_global: bool, id: ObjectId, signature: Signature) -> ObjectId {
        if !parent_global {
            return id;
        }
        self.state.by_signature(signature, self.catalog.me).unwrap_or(id)
    }

    fn blob(&self, id: ObjectId, instance: InstanceId) -> Tree {
        let row = self.state.blob(id);
        let instance = match row {
            _ if instance == self.catalog.me => instance,
            Some(row) if row.locations.contains(&self.catalog.me) => self.catalog.me,
            Some(row) if row.lost_with.is_some() && self.lost == LostBlobs::Here => self.catalog.me,
            _ => instance,
        };
        blob_tree(id, instance, 0)
    }

    fn attributes(&self, record: &Record) -> Tree {
        let mut tree = Tree::new();
        for (name, raw) in &record.attributes {
            let value = serde_json::from_str(raw).unwrap_or(Value::Null);
            tree.insert(name.clone(), value);
        }
        let transient = self.catalog.is_transient(record.id);
        tree.insert(key::ID.into(), record.id.to_string().into());
        tree.insert(key::SIGNATURE.into(), record.signature.0.into());
        tree.insert(key::INSTANCE_ID.into(), record.instance.0.into());
        tree.insert(key::TYPENAME.into(), record.typename.clone().into());
        tree.insert(key::TRANSIENT.into(), transient.into());
        tree.insert(key::GLOBAL.into(), record.global.into());
        tree.insert(key::TIMESTAMP.into(), record.timestamp_ms.into());
        tree.entry(key::NBYTES).or_insert_with(|| 0.into());
        if !record.labels.is_empty() {
            let labels = serde_json::to_string(&record.labels).expect("a map of strings is JSON");
            tree.insert(key::LABELS.into(), labels.into());
        }
        if let Some(name) = self.state.latest_name_of(record.id) {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            tree.insert(key::NAME.into(), escaped.into());
        }
        tree
    }
}

fn too_big(id: ObjectId) -> Status {
    Status::invalid(format!(
        "the metadata of {id} is deeper than {DEPTH_MAX} levels or larger than {} nodes",
        limits::ITEMS_MAX
    ))
}

/// A blob's node. Inside an object its sizes read 0, as the protocol has it; the payload carries them.
pub(crate) fn blob_tree(id: ObjectId, instance: InstanceId, size: u64) -> Tree {
    let mut tree = Tree::new();
    tree.insert(key::ID.into(), id.to_string().into());
    tree.insert(key::TYPENAME.into(), BLOB_TYPENAME.into());
    tree.insert(key::INSTANCE_ID.into(), instance.0.into());
    tree.insert(key::LENGTH.into(), size.into());
    tree.insert(key::NBYTES.into(), size.into());
    tree.insert(key::TRANSIENT.into(), true.into());
    tree
}
