//! What a record shows of itself, as a tree or as the text of one.
//!
//! Promise: both say the same, with sorted keys. The text is written at once, because most of a get of a small object
//! would otherwise be spent on making and dropping trees. Whether there is too much of it was asked before.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Tree, TreeText};

use super::Reader;

/// The value of one key.
enum Entry<'a> {
    /// As the builder wrote it.
    Json(&'a RawValue),
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    Blob(BlobNode),
    Object(&'a Record),
}

impl Reader<'_> {
    /// The tree of a record that was measured.
    pub(in super::super) fn tree(&self, record: &Record) -> Tree {
        let entries = self.entries(record).into_iter();
        entries
            .map(|(name, entry)| (name.to_owned(), self.value(entry)))
            .collect()
    }

    fn value(&self, entry: Entry<'_>) -> Value {
        match entry {
            Entry::Json(raw) => serde_json::from_str(raw.get()).unwrap_or(Value::Null),
            Entry::Text(text) => Value::String(text.into_owned()),
            Entry::Number(number) => number.into(),
            Entry::Flag(flag) => flag.into(),
            Entry::Blob(BlobNode { id, instance }) => blob_tree(id, instance, 0).into(),
            Entry::Object(record) => self.tree(record).into(),
        }
    }

    /// The text of that tree. The blobs below it that are on this instance are added to `here`.
    pub(super) fn text(&self, record: &Record, here: &mut BTreeSet<ObjectId>) -> TreeText {
        let writer = Writer {
            reader: self,
            here: RefCell::new(here),
        };
        TreeText::of(&Written(&writer, record))
    }

    fn entries<'r>(&'r self, record: &'r Record) -> BTreeMap<&'r str, Entry<'r>> {
        let attributes = record.attributes.iter();
        let json = |raw| serde_json::from_str(raw).unwrap_or(RawValue::NULL);
        let mut entries: BTreeMap<_, _> = attributes
            .map(|(name, raw)| (name.as_str(), Entry::Json(json(raw))))
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
        if !record.labels.is_empty() {
            let labels = serde_json::to_string(&record.labels).expect("a map of strings is JSON");
            entries.insert(key::LABELS, Entry::Text(labels.into()));
        }
        if let Some(name) = self.state.latest_name_of(record.id) {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            entries.insert(key::NAME, Entry::Text(escaped.into()));
        }
        let members = record.members.iter();
        entries.extend(members.map(|(name, link)| (name.as_str(), self.linked(record, *link))));
        entries
    }

    fn linked(&self, record: &Record, link: Link) -> Entry<'_> {
        match link {
            Link::Blob { id, instance } => Entry::Blob(BlobNode {
                id,
                instance: self.place(id, instance),
            }),
            Link::Object { id, signature } => {
                let member = self.member(record, id, signature);
                Entry::Object(member.expect("what was measured is complete"))
            }
        }
    }
}

/// Writes trees, and notes what blobs it comes across.
struct Writer<'a> {
    reader: &'a Reader<'a>,
    here: RefCell<&'a mut BTreeSet<ObjectId>>,
}

struct Written<'a>(&'a Writer<'a>, &'a Record);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(writer, record) = self;
        let entries = writer.reader.entries(record).into_iter();
        serializer.collect_map(entries.map(|(name, entry)| (name, WrittenEntry(writer, entry))))
    }
}

struct WrittenEntry<'a>(&'a Writer<'a>, Entry<'a>);

impl Serialize for WrittenEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(writer, entry) = self;
        match entry {
            Entry::Json(raw) => raw.serialize(serializer),
            Entry::Text(text) => serializer.serialize_str(text),
            Entry::Number(number) => serializer.serialize_u64(*number),
            Entry::Flag(flag) => serializer.serialize_bool(*flag),
            Entry::Object(record) => Written(writer, record).serialize(serializer),
            Entry::Blob(blob) => {
                if blob.instance == writer.reader.catalog.me && blob.id != ObjectId::EMPTY_BLOB {
                    writer.here.borrow_mut().insert(blob.id);
                }
                blob.serialize(serializer)
            }
        }
    }
}

/// A blob inside an object. Its sizes read 0, as the protocol has it; the payload carries them.
struct BlobNode {
    id: ObjectId,
    instance: InstanceId,
}

impl Serialize for BlobNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
            length: 0,
            nbytes: 0,
            transient: true,
            typename: BLOB_TYPENAME,
        };
        keys.serialize(serializer)
    }
}

/// A blob's node.
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
