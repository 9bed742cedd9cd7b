//! What the node fills into a client's tree, and which trees it refuses.

use serde_json::{Value, json};
use vineyard_wire::{Code, Tree};

use super::world::{A, World, b, thing};
use super::{code, with};
use crate::local::catalog::absorb::NODES_MAX;

/// A tree of `nodes` nodes, of which all but the root are members without an id.
fn wide(nodes: usize) -> Tree {
    let mut tree = thing(A);
    tree.extend((1..nodes).map(|at| (format!("m{at}"), json!({ "typename": "t" }))));
    tree
}

#[test]
fn members_are_named_and_blobs_put_in_place_at_any_depth() {
    let mut world = World::new();
    let inner = json!({ "typename": "t", "bytes": { "typename": "vineyard::Blob", "inline": 0 } });
    let tree = with(json!({ "inner": inner }));
    let full = world.catalog.complete(&world.state, tree, &[(b(7), 3)]);
    let inner = &full.unwrap()["inner"];
    assert!(inner["id"].is_string() && inner["signature"].is_u64());
    assert_eq!(inner["bytes"]["id"], Value::from(b(7).to_string()));
    assert_eq!(inner["bytes"]["length"], 3);
}

#[test]
fn a_tree_that_would_be_refused_for_its_size_is_not_completed() {
    let mut world = World::new();
    let mut complete = |nodes| {
        let full = world.catalog.complete(&world.state, wide(nodes), &[]);
        full.map(|tree| tree.len())
    };
    assert!(complete(NODES_MAX).is_ok());
    assert_eq!(code(complete(NODES_MAX + 1)), Code::Invalid);
}
