//! The catalog's semantics, one file per verb, and one with random trees.

mod complete;
mod copies;
mod create;
mod delete;
mod expand;
mod list;
mod persist;
mod quota;
mod round_trip;
pub(crate) mod world;

use serde_json::json;
use vineyard_wire::{Code, ObjectId, Status, Tree};

use self::world::{A, World, thing};

/// The code of a refusal.
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
