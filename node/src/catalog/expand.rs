//! `get_data`: turns records back into the tree a client reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::reply::Liveness;
use vineyard_wire::{InstanceId, ObjectId, Signature, Status, Tree, limits};

use super::Catalog;
use super::absorb::{DEPTH_MAX, NODES_MAX};
use crate::failure::lost_with;

/// How blobs whose bytes are gone are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostBlobs {
    /// As this instance's own, so that a client asks here and gets the error that names object and node.
    Here,
    /// As their late owner's, so that a listing is not spoilt by one of them.
    WithOwner,
}

impl Catalog {
    /// The whole trees of `ids`. One that is unknown here, or has a member that is, is left out; what together would be
    /// more than a client could decode is a refusal.
    pub(crate) fn expand(
        &self,
        state: &State,
        ids: &[ObjectId],
        lost: LostBlobs,
    ) -> Result<BTreeMap<ObjectId, Tree>, Status> {
        let mut reader = Reader::new(self, state, lost);
        let mut total = Size::default();
        let mut trees = BTreeMap::new();
        for id in ids {
            let Some(record) = self.record(state, *id) else {
                continue;
            };
            match reader.measure(record, 0) {
                Ok(size) => total = total.beside(size),
                Err(Unreadable::Incomplete) => continue,
                Err(Unreadable::TooLarge | Unreadable::TooDeep) => return Err(too_large(*id)),
            }
            if !total.fits_a_reply() {
                return Err(too_large(*id));
            }
            trees.insert(*id, reader.tree(record));
        }
        Ok(trees)
    }
}

/// What a tree comes to once it is unfolded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    nodes: usize,
    /// Of its JSON text, roughly.
    bytes: usize,
    /// Levels of objects below it.
    height: usize,
}

impl Size {
    /// One tree.
    const TREE_MAX: Self = Self {
        nodes: NODES_MAX,
        bytes: limits::CLIENT_FRAME_BYTES_MAX,
        height: DEPTH_MAX,
    };
    /// All trees of one reply.
    const REPLY_MAX: Self = Self {
        nodes: limits::JSON_OBJECTS_MAX,
        ..Self::TREE_MAX
    };
    /// What the keys that every node has take.
    const NODE_BYTES: usize = 128;

    fn node(bytes: usize) -> Self {
        let bytes = Self::NODE_BYTES + bytes;
        Self {
            nodes: 1,
            bytes,
            height: 0,
        }
    }

    fn above(self, member: Self) -> Self {
        Self {
            height: self.height.max(member.height + 1),
            ..self.beside(member)
        }
    }

    /// Both in one reply.
    pub(super) fn beside(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
            height: self.height.max(other.height),
        }
    }

    fn within(self, max: Self) -> bool {
        self.nodes <= max.nodes && self.bytes <= max.bytes && self.height <= max.height
    }

    pub(super) fn fits_a_reply(self) -> bool {
        self.within(Self::REPLY_MAX)
    }
}

/// Why a tree cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A member is unknown here.
    Incomplete,
    TooLarge,
    TooDeep,
}

/// Reads trees. A small graph can unfold into a huge tree, so each is measured, every object once, before it is built.
pub(super) struct Reader<'a> {
    catalog: &'a Catalog,
    state: &'a State,
    lost: LostBlobs,
    sizes: BTreeMap<ObjectId, Result<Size, Unreadable>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(catalog: &'a Catalog, state: &'a State, lost: LostBlobs) -> Self {
        Self {
            catalog,
            state,
            lost,
            sizes: BTreeMap::new(),
        }
    }

    /// What the record's tree comes to, if it can be shown. `depth` is how many levels are above it.
    pub(super) fn measure(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        if let Some(known) = self.sizes.get(&record.id) {
            return *known;
        }
        if depth > DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        let measured = self.measure_members(record, depth);
        // Too deep is a matter of where one began.
        if measured != Err(Unreadable::TooDeep) {
            self.sizes.insert(record.id, measured);
        }
        measured
    }

    fn measure_members(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        let mut size = Size::node(own_bytes(record));
        for (name, link) in &record.members {
            size.bytes += name.len();
            size = match *link {
                Link::Blob { .. } => size.beside(Size::node(0)),
                Link::Object { id, signature } => {
                    let member = self.member(record, id, signature);
                    size.above(self.measure(member.ok_or(Unreadable::Incomplete)?, depth + 1)?)
                }
            };
            if !size.within(Size::TREE_MAX) {
                return Err(Unreadable::TooLarge);
            }
        }
        Ok(size)
    }

    /// The tree of a record that was measured.
    pub(super) fn tree(&self, record: &Record) -> Tree {
        let mut tree = self.attributes(record);
        for (name, link) in &record.members {
            let node = match *link {
                Link::Blob { id, instance } => self.blob(id, instance),
                Link::Object { id, signature } => {
                    let member = self.member(record, id, signature);
                    self.tree(member.expect("what was measured is complete"))
                }
            };
            tree.insert(name.clone(), Value::Object(node));
        }
        tree
    }

    fn member(&self, parent: &Record, id: ObjectId, signature: Signature) -> Option<&'a Record> {
        let target = self.resolve(parent.global, id, signature);
        self.catalog.record(self.state, target).map(Arc::as_ref)
    }

    /// A global object's member is read through its signature: a copy that was moved here is preferred, and another
    /// one stands in for a member whose instance cannot be reached.
    fn resolve(&self, parent_global: bool, id: ObjectId, signature: Signature) -> ObjectId {
        if !parent_global {
            return id;
        }
        let Some(linked) = self.catalog.record(self.state, id) else {
            return self
                .state
                .by_signature(signature, self.catalog.me)
                .unwrap_or(id);
        };
        if let Some(copy) = copy_here(self.state, linked, self.catalog.me) {
            return copy;
        }
        match is_up(self.state, linked.instance) {
            true => id,
            false => self
                .state
                .by_signature(signature, self.catalog.me)
                .unwrap_or(id),
        }
    }

    fn blob(&self, id: ObjectId, instance: InstanceId) -> Tree {
        let me = self.catalog.me;
        let instance = match self.state.blob(id) {
            _ if instance == me => me,
            Some(row) if row.locations.contains(&me) => me,
            Some(row) if lost_with(row, me).is_some() && self.lost == LostBlobs::Here => me,
            Some(row) if row.locations.contains(&instance) => instance,
            Some(row) => row.locations.first().copied().unwrap_or(instance),
            None => instance,
        };
        blob_tree(id, instance, 0)
    }

    fn attributes(&self, record: &Record) -> Tree {
        let mut tree = Tree::new();
        for (name, raw) in &record.attributes {
            let value = serde_json::from_str(raw).unwrap_or(Value::Null);
            tree.insert(name.clone(), value);
        }
        let transient = !self.state.contains(record.id);
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

/// `record` itself if it lives on `me`, or a persistent object there that has its signature and says the same. The
/// signature alone would not do: a shallow copy shares it and may differ.
pub(crate) fn copy_here(state: &State, record: &Record, me: InstanceId) -> Option<ObjectId> {
    if record.instance == me {
        return Some(record.id);
    }
    let says_the_same = |other: &Record| {
        other.typename == record.typename
            && other.attributes == record.attributes
            && other.members.keys().eq(record.members.keys())
    };
    let here = state
        .of_signature(record.signature)
        .filter(|(at, _)| *at == me);
    let mut found = here.filter_map(|(_, id)| state.object(id));
    found
        .find(|other| says_the_same(other))
        .map(|other| other.id)
}

/// Whether the cluster believes that `instance` can be reached.
pub(crate) fn is_up(state: &State, instance: InstanceId) -> bool {
    state
        .instance(instance)
        .is_some_and(|instance| instance.liveness == Liveness::Up)
}

/// What a record's own text takes, roughly.
fn own_bytes(record: &Record) -> usize {
    let texts = record.attributes.iter().chain(&record.labels);
    record.typename.len()
        + texts
            .map(|(name, text)| name.len() + text.len())
            .sum::<usize>()
}

fn too_large(id: ObjectId) -> Status {
    let Size {
        nodes,
        bytes,
        height,
    } = Size::TREE_MAX;
    Status::invalid(format!(
        "the metadata of {id} is deeper than {height} levels or larger than {nodes} nodes or {bytes} bytes"
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
