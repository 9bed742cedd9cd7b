//! Metadata trees that are shared until somebody changes them.
//!
//! Promise: a member is had without copying what is below it, and a change is seen by no other tree. It must never know
//! Python, nor what any key means beyond `id` and `typename`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{ObjectId, Tree};

/// One node of a metadata tree: an object or a blob.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// No JSON object.
    Plain(Value),
    Member(Arc<Node>),
}

impl Node {
    pub(crate) fn plain(&self, key: &str) -> Option<&Value> {
        match self.entries.get(key) {
            Some(Entry::Plain(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn member(&self, key: &str) -> Option<&Arc<Node>> {
        match self.entries.get(key) {
            Some(Entry::Member(node)) => Some(node),
            _ => None,
        }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.entries
            .insert(key.to_owned(), Entry::Plain(value.into()));
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.plain(key).and_then(Value::as_str)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.plain(key).and_then(Value::as_u64)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.plain(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn id(&self) -> Option<ObjectId> {
        self.text(key::ID)?.parse().ok()
    }

    pub(crate) fn is_blob(&self) -> bool {
        self.text(key::TYPENAME) == Some(BLOB_TYPENAME)
    }

    /// A member of which nothing is known but its id.
    pub(crate) fn link(id: ObjectId) -> Self {
        let mut node = Self::default();
        node.set(key::ID, id.to_string());
        node
    }

    /// Whether a member at any depth is a bare link.
    pub(crate) fn has_links(&self) -> bool {
        self.members().any(|node| {
            let bare = !node.is_blob() && node.text(key::TYPENAME).is_none();
            bare || node.has_links()
        })
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Member(node) => Some(node),
            Entry::Plain(_) => None,
        })
    }

    /// The blobs of this tree that are on `instance`; all of them without one.
    pub(crate) fn blobs(&self, instance: Option<u64>) -> BTreeSet<ObjectId> {
        let mut found = BTreeSet::new();
        let mut left = vec![self];
        while let Some(node) = left.pop() {
            if node.is_blob() {
                let here = instance.is_none() || node.number(key::INSTANCE_ID) == instance;
                found.extend(node.id().filter(|_| here));
            } else {
                left.extend(node.members().map(Arc::as_ref));
            }
        }
        found
    }

    /// The same as a tree of the wire.
    pub(crate) fn to_tree(&self) -> Tree {
        let value = |entry: &Entry| match entry {
            Entry::Plain(value) => value.clone(),
            Entry::Member(node) => Value::Object(node.to_tree()),
        };
        let pairs = self.entries.iter();
        pairs
            .map(|(key, entry)| (key.clone(), value(entry)))
            .collect()
    }

    /// Four spaces a level, keys in order.
    pub(crate) fn pretty(&self) -> String {
        let mut text = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, indent);
        let written = serde::Serialize::serialize(&self.to_tree(), &mut writer);
        written.expect("a tree is written to memory");
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

impl From<Tree> for Node {
    fn from(tree: Tree) -> Self {
        let entry = |value| match value {
            Value::Object(tree) => Entry::Member(Arc::new(Self::from(tree))),
            plain => Entry::Plain(plain),
        };
        let pairs = tree.into_iter();
        Self {
            entries: pairs.map(|(key, value)| (key, entry(value))).collect(),
        }
    }
}
