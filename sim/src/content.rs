//! Objects of the workload: made from chance, known again by a hash.
//!
//! Each has attributes that are easy to damage (large integers, floats, text that looks like neither) and up to three
//! blobs, sometimes empty, sometimes large enough to travel over several connections.

use serde_json::{Value, json};
use vineyard_client::{Draft, Member, Object};
use vineyard_wire::Tree;

use crate::chance::Chance;
use crate::trace::digest;

/// The type of every plain object of the workload.
pub const TYPENAME: &str = "sim::Object";
/// The type of every global object of the workload.
pub const GLOBAL_TYPENAME: &str = "sim::Global";

const ATTRIBUTES: [&str; 4] = ["integer", "float", "text", "list"];
const BLOBS: [&str; 3] = ["first_", "second_", "third_"];

/// A new object, unlike every other.
pub fn draw(chance: &mut Chance) -> Draft {
    let integer = u64::MAX - chance.below(1 << 20);
    let float = chance.below(1 << 50) as f64 / 1024.0;
    let mut draft = Draft::new(TYPENAME)
        .attribute("integer", integer)
        .attribute("float", float)
        .attribute(
            "text",
            format!("{}\u{e9}\"\\{}", chance.next_u64(), chance.below(10)),
        )
        .attribute(
            "list",
            vec![
                Value::from(chance.next_u64()),
                Value::from(1.0),
                Value::from(1),
            ],
        );
    for name in BLOBS.iter().take(1 + chance.index(3)) {
        draft = draft.blob(*name, bytes(chance));
    }
    draft
}

fn bytes(chance: &mut Chance) -> Vec<u8> {
    let len = match chance.below(20) {
        0 => 0,
        1..=12 => chance.between(1, 512),
        13..=18 => chance.between(4 << 10, 24 << 10),
        _ => chance.between(64 << 10, 256 << 10),
    };
    let mut bytes = Vec::with_capacity(len as usize + 8);
    while bytes.len() < len as usize {
        bytes.extend_from_slice(&chance.next_u64().to_le_bytes());
    }
    bytes.truncate(len as usize);
    bytes
}

/// A draft as `put_object` takes it.
pub fn tree_of(draft: Draft) -> (Tree, Vec<Vec<u8>>) {
    let (mut tree, mut blobs) = (draft.attributes, Vec::new());
    tree.insert("typename".to_owned(), draft.typename.into());
    for (name, member) in draft.members {
        if let Member::Blob(bytes) = member {
            let place = json!({"typename": "vineyard::Blob", "inline": blobs.len()});
            tree.insert(name, place);
            blobs.push(bytes);
        }
    }
    (tree, blobs)
}

/// The content of a draft: what `of_object` finds when it is read.
pub fn of_draft(draft: &Draft) -> u64 {
    let blobs = BLOBS.map(|name| match draft.members.get(name) {
        Some(vineyard_client::Member::Blob(bytes)) => Some(digest(bytes)),
        _ => None,
    });
    mix(&draft.attributes, blobs)
}

/// What only one object says of itself: known from its metadata, without its bytes.
pub fn mark(attributes: &Tree) -> u64 {
    digest(text_of(attributes).as_bytes())
}

/// The content of an object that was read.
pub fn of_object(object: &Object) -> u64 {
    let blobs = BLOBS.map(|name| {
        let named = object.meta.get(name).is_some_and(Value::is_object);
        named.then(|| object.blob(name).map_or(0, |blob| digest(blob)))
    });
    mix(&object.meta, blobs)
}

fn mix(attributes: &Tree, blobs: [Option<u64>; 3]) -> u64 {
    digest(format!("{}{blobs:?}", text_of(attributes)).as_bytes())
}

fn text_of(attributes: &Tree) -> String {
    let mut text = String::new();
    for name in ATTRIBUTES {
        // The text of a JSON value tells 1 from 1.0 and keeps every digit.
        text += &format!("{name}={:?};", attributes.get(name).map(Value::to_string));
    }
    text
}
