//! The metadata trees this command line makes, and what it reads from others'.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Tree};

/// A sealed blob that becomes a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) id: ObjectId,
    pub(crate) bytes: usize,
}

/// An object of `typename` on `instance` whose members are the blobs `parts`, each under its name.
pub(crate) fn object(typename: &str, instance: InstanceId, parts: &[(String, Part)]) -> Tree {
    let nbytes: usize = parts.iter().map(|(_, part)| part.bytes).sum();
    let mut tree = Tree::new();
    tree.insert(key::TYPENAME.to_owned(), typename.into());
    tree.insert(key::INSTANCE_ID.to_owned(), instance.0.into());
    tree.insert(key::NBYTES.to_owned(), nbytes.into());
    tree.insert(key::TRANSIENT.to_owned(), true.into());
    tree.insert(key::GLOBAL.to_owned(), false.into());
    for (name, part) in parts {
        let blob = json!({
            key::ID: part.id.to_string(),
            key::TYPENAME: BLOB_TYPENAME,
            key::INSTANCE_ID: instance.0,
            key::LENGTH: part.bytes,
            key::NBYTES: part.bytes,
            key::TRANSIENT: true,
        });
        tree.insert(name.clone(), blob);
    }
    tree
}

/// The ids that are a part of another object of the list.
pub(crate) fn parts(found: &BTreeMap<ObjectId, Tree>) -> BTreeSet<ObjectId> {
    fn collect(tree: &Tree, into: &mut BTreeSet<ObjectId>) {
        for member in tree.values().filter_map(Value::as_object) {
            into.extend(text(member, key::ID).parse::<ObjectId>().ok());
            collect(member, into);
        }
    }
    let mut parts = BTreeSet::new();
    found.values().for_each(|tree| collect(tree, &mut parts));
    parts
}

pub(crate) fn text<'a>(tree: &'a Tree, name: &str) -> &'a str {
    tree.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(tree: &Tree, name: &str) -> Option<u64> {
    tree.get(name).and_then(Value::as_u64)
}

/// The blobs of an object, and of all objects below it.
pub(crate) fn blobs(tree: &Tree) -> Vec<BlobPart> {
    fn collect(tree: &Tree, into: &mut Vec<BlobPart>) {
        for member in tree.values() {
            match (blob(member), member.as_object()) {
                (Some(blob), _) => into.push(blob),
                (None, Some(below)) => collect(below, into),
                (None, None) => {}
            }
        }
    }
    let mut blobs = Vec::new();
    collect(tree, &mut blobs);
    blobs
}

/// A blob member of a tree, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobPart {
    pub(crate) id: ObjectId,
    pub(crate) instance: InstanceId,
}

/// `member` as a blob; `None` if it is something else.
pub(crate) fn blob(member: &Value) -> Option<BlobPart> {
    bare_blob(member.as_object()?)
}

/// `node` as a blob; `None` if it is something else.
pub(crate) fn bare_blob(node: &Tree) -> Option<BlobPart> {
    let node = Some(node).filter(|node| text(node, key::TYPENAME) == BLOB_TYPENAME)?;
    let id = text(node, key::ID).parse().ok()?;
    Some(BlobPart {
        id,
        instance: InstanceId(number(node, key::INSTANCE_ID)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blobs_of_a_made_object_are_found_again() {
        let part = Part {
            id: ObjectId(1 << 63 | 5),
            bytes: 7,
        };
        let tree = object("demo::Bytes", InstanceId(3), &[("buffer_".into(), part)]);
        assert_eq!(number(&tree, key::NBYTES), Some(7));
        let found: Vec<BlobPart> = tree.values().filter_map(blob).collect();
        assert_eq!(
            found,
            [BlobPart {
                id: part.id,
                instance: InstanceId(3)
            }]
        );
    }
}
