//! Writes a record as the text of a tree.
//!
//! Promise: the text is that of a tree with sorted keys, and is no longer than was measured before. No tree of values
//! is built: making and dropping millions of values would block the whole node.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Tree, TreeText};

use super::Reader;

/// The value of one key.
enum Entry<'a> {
    /// As it was written when the object was made.
    Json(&'a str),
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    Blob(BlobNode),
    Object(&'a Record),
}

impl Reader<'_> {
    /// The text of a record's tree; `bytes` is its measured size.
    pub(super) fn text(&self, record: &Record, bytes: usize) -> TreeText {
        let mut text = Vec::with_capacity(bytes);
        self.write(record, &mut text);
        TreeText::written(String::from_utf8(text).expect("JSON is UTF-8"))
    }

    fn write(&self, record: &Record, out: &mut Vec<u8>) {
        let mut between = b'{';
        for (name, entry) in self.entries(record) {
            out.push(between);
            between = b',';
            write_json(name, out);
            out.push(b':');
            match entry {
                Entry::Json(text) => out.extend_from_slice(text.as_bytes()),
                Entry::Text(text) => write_json(&text, out),
                Entry::Number(number) => write_json(&number, out),
                Entry::Flag(flag) => write_json(&flag, out),
                Entry::Blob(blob) => write_json(&blob, out),
                Entry::Object(member) => self.write(member, out),
            }
        }
        out.push(b'}');
    }

    /// Fields that are computed when a record is written.
    pub(super) fn shown(&self, record: &Record) -> Vec<(&'static str, String)> {
        let mut shown = Vec::new();
        if !record.labels.is_empty() {
            let labels = serde_json::to_string(&record.labels).expect("a map of strings is JSON");
            shown.push((key::LABELS, labels));
        }
        if let Some(name) = self.state.latest_name_of(record.id) {
            shown.push((key::NAME, name.replace('~', "~0").replace('/', "~1")));
        }
        shown
    }

    fn entries<'r>(&'r self, record: &'r Record) -> BTreeMap<&'r str, Entry<'r>> {
        let attributes = record.attributes.iter();
        let mut entries: BTreeMap<_, _> = attributes
            .map(|(name, raw)| (name.as_str(), Entry::Json(raw.as_str())))
            .collect();
        let transient = !self.state.contains(record.id);
        entries.extend([
            (key::ID, Entry::Text(record.id.to_string().into())),
            (key::SIGNATURE, Entry::Number(record.signature.0)),
            (key::INSTANCE_ID, Entry::Number(record.instance.0)),
            (key::TYPENAME, Entry::Text(record.typename.as_str().into())),
            (key::TRANSIENT, Entry::Flag(transient)),
            (key::GLOBAL, Entry::Flag(record.global)),
            (key::TIMESTAMP, Entry::Number(record.timestamp_ms)),
        ]);
        entries.entry(key::NBYTES).or_insert(Entry::Number(0));
        let shown = self.shown(record).into_iter();
        entries.extend(shown.map(|(name, text)| (name, Entry::Text(text.into()))));
        let members = record.members.iter();
        entries.extend(members.map(|(name, link)| (name.as_str(), self.linked(record, *link))));
        entries
    }

    fn linked(&self, record: &Record, link: Link) -> Entry<'_> {
        match link {
            Link::Blob { id, instance } => Entry::Blob(BlobNode {
                id,
                instance: self.place(id, instance),
                size: 0,
            }),
            Link::Object { id, signature } => {
                let member = self.member(record, id, signature);
                Entry::Object(member.expect("what was measured is complete"))
            }
        }
    }
}

fn write_json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("texts, numbers and flags are JSON, and memory takes every write");
}

/// A blob. Inside an object its size reads 0, as the protocol has it; the payload carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobNode {
    pub(crate) id: ObjectId,
    pub(crate) instance: InstanceId,
    pub(crate) size: u64,
}

impl Serialize for BlobNode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Keys {
            id: String,
            instance_id: u64,
            length: u64,
            nbytes: u64,
            transient: bool,
            typename: &'static str,
        }
        let keys = Keys {
            id: self.id.to_string(),
            instance_id: self.instance.0,
            length: self.size,
            nbytes: self.size,
            transient: true,
            typename: BLOB_TYPENAME,
        };
        keys.serialize(serializer)
    }
}

/// The same as a tree.
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
