//! How much a reply to `get_object` says, before anything is held for it.
//!
//! Promise: what fits can be decoded by every client; the limits are those of the decoder. The catalog has measured the
//! trees on their own, but each blob that is here is said twice: in its tree and in its payload.

use std::collections::BTreeMap;

use vineyard_wire::limits::{
    CLIENT_FRAME_BYTES_MAX, JSON_OBJECTS_MAX, JSON_SCAN_BYTES_MIN, JSON_VALUES_MAX,
};
use vineyard_wire::{ObjectId, Status, TreeText, json};

type Trees = BTreeMap<ObjectId, TreeText>;

/// The text of a reply, counted as a decoder counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    objects: usize,
    values: usize,
    bytes: usize,
}

impl Extent {
    /// What every reply has around its trees and payloads, at most.
    const FRAME: Self = Self {
        objects: 2,
        values: 64,
        bytes: 1 << 10,
    };
    /// One payload, at most.
    const PAYLOAD: Self = Self {
        objects: 1,
        values: 10,
        bytes: 300,
    };
    /// A tree's id, and what stands around it.
    const KEY_BYTES: usize = 24;

    /// Refuses a reply of `trees` and the payloads of so many blobs that no client could decode.
    pub(super) fn check(trees: &Trees, payloads: usize) -> Result<(), Status> {
        // Decoders do not count shorter frames either.
        if Self::bytes_of(trees, payloads) < JSON_SCAN_BYTES_MIN {
            return Ok(());
        }
        let Self {
            objects,
            values,
            bytes,
        } = Self::of(trees, payloads);
        if objects <= JSON_OBJECTS_MAX
            && values <= JSON_VALUES_MAX
            && bytes <= CLIENT_FRAME_BYTES_MAX
        {
            return Ok(());
        }
        Err(Status::invalid(format!(
            "too large for one reply: {objects} nodes and payloads, {values} values, {bytes} bytes; ask for less at once"
        )))
    }

    fn bytes_of(trees: &Trees, payloads: usize) -> usize {
        let texts = trees
            .values()
            .map(|tree| Self::KEY_BYTES + tree.as_str().len());
        Self::FRAME.bytes + Self::PAYLOAD.bytes * payloads + texts.sum::<usize>()
    }

    fn of(trees: &Trees, payloads: usize) -> Self {
        let mut extent = Self {
            objects: Self::FRAME.objects + Self::PAYLOAD.objects * payloads,
            values: Self::FRAME.values + Self::PAYLOAD.values * payloads,
            bytes: Self::bytes_of(trees, payloads),
        };
        for tree in trees.values() {
            let (objects, values) = json::count(tree.as_str().as_bytes());
            extent.objects += objects;
            extent.values += values + 1;
        }
        extent
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vineyard_wire::reply::{GotObjects, Payload};
    use vineyard_wire::{InstanceId, Reply};

    use super::*;
    use crate::catalog::blob_tree;

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

    /// Objects, values and bytes of a reply, as the decoder counts them in a text without quoted braces and commas.
    fn encoded(trees: &Trees, payloads: usize) -> Extent {
        let reply = json::encode_reply(&Reply::GetObject(GotObjects {
            content: trees.clone(),
            payloads: vec![payload(); payloads],
            ..GotObjects::default()
        }));
        let count = |wanted: u8| reply.iter().filter(|byte| **byte == wanted).count();
        Extent {
            objects: count(b'{'),
            values: count(b','),
            bytes: reply.len(),
        }
    }

    #[test]
    fn a_reply_says_no_more_than_was_counted() {
        let blob = blob_tree(ObjectId(1 << 63 | 5), InstanceId(3), 70_000);
        let tree = json!({
            "typename": "test::\"\\\n", "list": [1, -2.5e-7, null, [{"a": true}, {}]], "blob": blob,
            "deep": {"deep": {"n": u64::MAX, "least": i64::MIN, "zero": 0}}, "": "",
        });
        let tree = TreeText::of(&tree);
        for objects in 0..5 {
            let trees: Trees = (0..objects).map(|n| (ObjectId(n), tree.clone())).collect();
            for payloads in [0, 1, 7] {
                let (counted, said) = (Extent::of(&trees, payloads), encoded(&trees, payloads));
                assert_eq!(counted.objects, said.objects);
                assert!(counted.values >= said.values, "{counted:?} {said:?}");
                assert!(counted.bytes >= said.bytes, "{counted:?} {said:?}");
                let slack = Extent::FRAME.bytes + 100 * (objects as usize + payloads);
                assert!(counted.bytes <= said.bytes + slack, "{counted:?} {said:?}");
            }
        }
    }

    #[test]
    fn payloads_count_beside_the_trees_that_fit_alone() {
        let blob = TreeText::of(&blob_tree(ObjectId(1 << 63 | 5), InstanceId(3), 8));
        let trees: Trees = (0..1000).map(|n| (ObjectId(n), blob.clone())).collect();
        assert_eq!(Extent::check(&trees, 1000), Ok(()));
        for payloads in [CLIENT_FRAME_BYTES_MAX / 300, JSON_OBJECTS_MAX - 500] {
            let refused = Extent::check(&trees, payloads).unwrap_err();
            assert!(refused.message.contains("too large"), "{refused}");
        }
    }
}
