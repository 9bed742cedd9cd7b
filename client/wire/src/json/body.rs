//! Writes one message body: a JSON object whose first key is `type`.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::id::ObjectId;
use crate::meta::TreeText;

const SURE: &str = "ids, texts and trees are always JSON, and memory takes every write";

/// What an id and the signs around it take, bytes.
const TREE_ROOM_BYTES: usize = 24;

pub(super) struct Body(Vec<u8>);

impl Body {
    pub(super) fn new(type_: &str) -> Self {
        // Most messages fit, so that most are written with one allocation.
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(type_.as_bytes());
        out.push(b'"');
        Self(out)
    }

    /// `key` must need no escaping.
    pub(super) fn field(mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.value(value);
        self
    }

    /// Trees by their ids. Their text is not parsed again.
    pub(super) fn trees(mut self, key: &str, trees: &BTreeMap<ObjectId, TreeText>) -> Self {
        let room = |tree: &TreeText| tree.as_str().len() + TREE_ROOM_BYTES;
        self.0.reserve(trees.values().map(room).sum());
        write!(self.0, ",\"{key}\":{{").expect(SURE);
        for (index, (id, tree)) in trees.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(self.0, "{comma}\"{id}\":").expect(SURE);
            self.0.extend_from_slice(tree.as_str().as_bytes());
        }
        self.0.push(b'}');
        self
    }

    /// An array, and its length as `num`.
    pub(super) fn list(self, key: &str, items: &[impl Serialize]) -> Self {
        self.field(key, items).field("num", &items.len())
    }

    /// The fields of `value`, a struct with at least one field, beside `type`.
    pub(super) fn fields(mut self, value: &impl Serialize) -> Self {
        let start = self.0.len();
        self.value(value);
        assert_eq!(self.0.pop(), Some(b'}'), "a struct is a JSON object");
        self.0[start] = b',';
        self
    }

    /// `num` and the keys `"0"` to `"num-1"`.
    pub(super) fn numbered(mut self, items: &[impl Serialize]) -> Self {
        for (index, item) in items.iter().enumerate() {
            write!(self.0, ",\"{index}\":").expect(SURE);
            self.value(item);
        }
        self.field("num", &items.len())
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.0, value).expect(SURE);
    }
}
