//! The catalog's semantics, one file per verb, and one that throws random trees at it.

mod complete;
mod copies;
mod create;
mod delete;
mod expand;
mod list;
mod persist;
mod round_trip;
pub(crate) mod world;

use serde_json::json;
use vineyard_wire::{Code, ObjectId, Status, Tree};

use self::world::{A, World, thing};

/// What `code` a refusal has, with its text for when it is another.
fn code<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Code {
    outcome.expect_err("a refusal").code
}

/// A placeholder for a known object.
fn just(id: ObjectId) -> serde_json::Value {
    json!({ "id": id.to_string() })
}

/// `thing()` with more fields.
fn with(fields: serde_json::Value) -> Tree {
    let mut tree = thing(A);
    tree.extend(fields.as_object().expect("fields are an object").clone());
    tree
}

/// A world with a parent over a child: `(world, child, parent)`.
fn family() -> (World, ObjectId, ObjectId) {
    let mut world = World::new();
    let child = world.create(&thing(A));
    let parent = world.create(&with(json!({ "child": just(child) })));
    (world, child, parent)
}
