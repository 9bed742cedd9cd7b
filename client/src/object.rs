//! Whole objects: a metadata tree together with the bytes of its blobs.

use std::collections::BTreeMap;

use serde_json::Value;
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Tree, TreeText};

use crate::Blob;

/// An object to put: a type name, attributes, and members that are made along with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What readers choose a resolver by, like `vineyard::Tensor<int64>`.
    pub typename: String,
    /// Plain attributes: no value is a JSON object.
    pub attributes: Tree,
    /// Its parts by name.
    pub members: BTreeMap<String, Member>,
}

/// A member of a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Member {
    /// An object of its own, made first.
    Object(Draft),
    /// A blob of these bytes.
    Blob(Vec<u8>),
    /// An object that exists.
    Link(ObjectId),
}

impl Draft {
    /// A draft without attributes and members.
    pub fn new(typename: impl Into<String>) -> Self {
        Self {
            typename: typename.into(),
            attributes: Tree::new(),
            members: BTreeMap::new(),
        }
    }

    /// Sets a plain attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Adds a blob of `bytes` as a member.
    pub fn blob(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.insert(name.into(), Member::Blob(bytes.into()));
        self
    }

    /// Adds an object that is made along with this one.
    pub fn member(mut self, name: impl Into<String>, draft: Draft) -> Self {
        self.members.insert(name.into(), Member::Object(draft));
        self
    }

    /// Adds an object that exists as a member.
    pub fn link(mut self, name: impl Into<String>, id: ObjectId) -> Self {
        self.members.insert(name.into(), Member::Link(id));
        self
    }

    /// Makes it a global object: its members are persisted objects of any instances.
    pub fn global(self) -> Self {
        self.attribute(key::GLOBAL, true)
    }
}

/// An object that was got: its tree, and the bytes of every blob in it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object that was found.
    pub id: ObjectId,
    /// Its metadata, with that of all members.
    pub meta: Tree,
    /// By id; each is there.
    pub blobs: BTreeMap<ObjectId, Blob>,
}

impl Object {
    /// What the object says of its type; empty if nothing.
    pub fn typename(&self) -> &str {
        self.meta
            .get(key::TYPENAME)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The plain attribute `name` of the root.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.meta.get(name).filter(|value| !value.is_object())
    }

    /// The tree of the member `name`, object or blob.
    pub fn member(&self, name: &str) -> Option<&Tree> {
        self.meta.get(name).and_then(Value::as_object)
    }

    /// The bytes of the root's blob `name`.
    pub fn blob(&self, name: &str) -> Option<&Blob> {
        self.blob_of(&self.meta, name)
    }

    /// The bytes of the blob `name` of `tree`, a member at any depth.
    pub fn blob_of(&self, tree: &Tree, name: &str) -> Option<&Blob> {
        let node = tree.get(name).and_then(Value::as_object)?;
        self.blobs.get(&id_of(node)?)
    }
}

/// An object that was got, with the bytes that are on the client's node. Its tree is as it came.
#[derive(Clone, Debug)]
pub struct RawObject {
    /// The object that was found.
    pub id: ObjectId,
    /// Its metadata.
    pub tree: TreeText,
    /// By id; what is on other instances is missing.
    pub blobs: BTreeMap<ObjectId, Blob>,
}

/// What a tree says of its own id.
pub(crate) fn id_of(tree: &Tree) -> Option<ObjectId> {
    tree.get(key::ID)?.as_str()?.parse().ok()
}

/// A blob as a node of a tree.
pub(crate) fn blob_node(id: ObjectId, bytes: usize, instance: InstanceId) -> Value {
    serde_json::json!({
        key::ID: id.to_string(),
        key::TYPENAME: BLOB_TYPENAME,
        key::INSTANCE_ID: instance.0,
        key::LENGTH: bytes,
        key::NBYTES: bytes,
        key::TRANSIENT: true,
    })
}

/// Every blob in `tree`, and the instance it is on.
pub(crate) fn blobs_in(tree: &Tree) -> BTreeMap<ObjectId, InstanceId> {
    let mut found = BTreeMap::new();
    let mut left = vec![tree];
    while let Some(node) = left.pop() {
        if node.get(key::TYPENAME).and_then(Value::as_str) == Some(BLOB_TYPENAME) {
            let instance = node.get(key::INSTANCE_ID).and_then(Value::as_u64);
            found.extend(id_of(node).zip(instance.map(InstanceId)));
        } else {
            left.extend(node.values().filter_map(Value::as_object));
        }
    }
    found
}
