//! The size of trees, measured before they are written.
//!
//! Promise: a reply that fits can be decoded by every client. A text has at most as many bytes, objects and values as
//! were counted, and not much fewer; the limits are those of the decoder.

use std::ops::Add;

use vineyard_raft::state::objects::Record;
use vineyard_wire::limits::{CLIENT_FRAME_BYTES_MAX, JSON_OBJECTS_MAX, JSON_VALUES_MAX};
use vineyard_wire::{Status, json};

use super::super::absorb::{DEPTH_MAX, NODES_MAX};

/// The size of trees once they are unfolded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Size {
    /// Objects and blobs.
    nodes: usize,
    /// Levels of objects below.
    height: usize,
    /// Bytes of the JSON text.
    pub(super) bytes: usize,
    /// JSON values, as the decoder counts them.
    objects: usize,
    values: usize,
}

impl Size {
    /// The size of an empty reply.
    pub(in super::super) const REPLY: Self = Self::text(1 << 10, 2, 64);
    /// The key of a tree in a reply.
    const KEY: Self = Self::text(24, 0, 1);
    /// A blob's payload.
    const PAYLOAD: Self = Self::text(300, 1, 10);
    /// A blob.
    pub(super) const BLOB: Self = Self {
        nodes: 1,
        ..Self::text(192, 1, 6)
    };
    /// The fields of every object: ids, times and flags, with their keys.
    const OBJECT: Self = Self {
        nodes: 1,
        ..Self::text(224, 1, 8)
    };

    const fn text(bytes: usize, objects: usize, values: usize) -> Self {
        Self {
            nodes: 0,
            height: 0,
            bytes,
            objects,
            values,
        }
    }

    /// One more key of an object, with the text of its value.
    pub(super) fn entry(name: &str, value_bytes: usize) -> Self {
        Self::text(quoted(name) + value_bytes + 2, 0, 1)
    }

    /// The size of a record's own fields, and of those that are computed for it.
    pub(super) fn of_record(record: &Record, shown: &[(&str, String)]) -> Self {
        let attributes = record.attributes.iter().map(|(name, text)| {
            // No other attribute contains several values.
            let (objects, values) = match text.starts_with(['[', '{']) {
                true => json::count(text),
                false => (0, 0),
            };
            Self::entry(name, text.len()) + Self::text(0, objects, values)
        });
        let shown = shown
            .iter()
            .map(|(name, text)| Self::entry(name, quoted(text)));
        let typename = Self::text(quoted(&record.typename), 0, 0);
        attributes
            .chain(shown)
            .fold(Self::OBJECT + typename, Self::add)
    }

    /// Adds the size of a tree's entry in a reply.
    pub(in super::super) fn keyed(self) -> Self {
        Self::KEY + self
    }

    /// Adds the payloads of so many blobs.
    pub(super) fn with_payloads(self, count: usize) -> Self {
        let Self {
            bytes,
            objects,
            values,
            ..
        } = Self::PAYLOAD;
        self + Self::text(bytes * count, objects * count, values * count)
    }

    pub(super) fn above(self, member: Self) -> Self {
        Self {
            height: self.height.max(member.height + 1),
            ..self + member
        }
    }

    pub(super) fn fits_a_tree(self) -> bool {
        self.nodes <= NODES_MAX
            && self.height <= DEPTH_MAX
            && (Self::REPLY + self.keyed()).fits_a_reply()
    }

    pub(in super::super) fn fits_a_reply(self) -> bool {
        self.bytes <= CLIENT_FRAME_BYTES_MAX
            && self.objects <= JSON_OBJECTS_MAX
            && self.values <= JSON_VALUES_MAX
    }

    /// Why a tree or reply is too large.
    pub(super) fn refusal(self) -> Status {
        let Self {
            bytes,
            objects,
            values,
            ..
        } = self;
        Status::invalid(format!(
            "too large for one reply: {objects} nodes and payloads, {values} values, {bytes} bytes; ask for less at once"
        ))
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            height: self.height.max(other.height),
            bytes: self.bytes + other.bytes,
            objects: self.objects + other.objects,
            values: self.values + other.values,
        }
    }
}

/// Bytes of `text` as a JSON string.
fn quoted(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    });
    2 + escaped.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vineyard_wire::reply::{GotObjects, Payload};
    use vineyard_wire::{InstanceId, ObjectId, Reply, TreeText};

    use super::super::{BlobNode, Texts};
    use super::*;

    impl Texts {
        /// The counted size is the one that the decoder counts in a reply, or somewhat more.
        pub(crate) fn assert_measured(&self) {
            let blobs = self.here.as_ref().map_or(0, |here| here.len());
            let reply = Reply::GetObject(GotObjects {
                content: self.trees.clone(),
                payloads: vec![payload(); blobs],
                ..GotObjects::default()
            });
            let said = String::from_utf8(json::encode_reply(&reply)).unwrap();
            let counted = self.size.with_payloads(blobs);
            let (objects, values) = json::count(&said);
            assert_eq!(counted.objects, objects, "{said}");
            assert!(counted.values >= values, "{counted:?} {values} {said}");
            assert!(counted.bytes >= said.len(), "{counted:?} {said}");
            let slack = Size::REPLY.bytes + 150 * objects;
            assert!(counted.bytes <= said.len() + slack, "{counted:?} {said}");
        }
    }

    /// The longest number.
    fn payload() -> Payload {
        Payload {
            object_id: ObjectId(u64::MAX),
            store_fd: i32::MIN,
            data_offset: i64::MIN,
            data_size: i64::MIN,
            map_size: i64::MIN,
            pointer: u64::MAX,
            is_sealed: false,
            is_owner: false,
            is_gpu: false,
        }
    }

    #[test]
    fn the_longest_numbers_fit_their_measured_size() {
        let blob = BlobNode {
            id: ObjectId(u64::MAX),
            instance: InstanceId(u64::MAX),
            size: u64::MAX,
        };
        assert!(TreeText::of(&blob).as_str().len() <= Size::BLOB.bytes);
        let payload = serde_json::to_string(&payload()).unwrap();
        assert!(payload.len() < Size::PAYLOAD.bytes);
    }

    #[test]
    fn payloads_count_beside_trees_that_fit_alone() {
        let trees = (0..1000).fold(Size::REPLY, |sum, _| sum + Size::BLOB.keyed());
        assert!(trees.with_payloads(1000).fits_a_reply());
        for payloads in [CLIENT_FRAME_BYTES_MAX / 300, JSON_OBJECTS_MAX - 500] {
            assert!(!trees.with_payloads(payloads).fits_a_reply());
        }
    }

    proptest! {
        #[test]
        fn a_text_is_as_long_as_it_is_written(text in "[\0-\u{7f}é\u{fffd}]{0,40}") {
            prop_assert_eq!(quoted(&text), serde_json::to_string(&text).unwrap().len());
        }
    }
}
