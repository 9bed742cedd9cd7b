//! The bound of what transient objects' metadata takes.

use std::collections::BTreeMap;

use serde_json::json;
use vineyard_raft::state::cost;
use vineyard_wire::{Code, ObjectId};

use super::world::{A, World, node, o};
use super::{code, just, with};
use crate::local::pending::Pending;

/// A world in which an object of this text fits, and not two.
fn full() -> (World, ObjectId, String) {
    let mut world = World::new();
    let text = "x".repeat(4000);
    let id = world.create(&with(json!({ "text": text })));
    world.catalog.quota.limit = 5000;
    (world, id, text)
}

/// What the objects that are there count for.
fn count(world: &World) -> u64 {
    world
        .catalog
        .transients
        .values()
        .map(|r| cost::of_record(r))
        .sum()
}

#[test]
fn what_does_not_fit_is_refused_with_figures_and_fits_after_a_delete() {
    let (mut world, id, text) = full();
    let used = world.catalog.quota().used;
    let refused = world
        .try_create(&with(json!({ "text": text })))
        .unwrap_err();
    assert_eq!(refused.code, Code::NotEnoughMemory);
    let figures = format!("{used} of 5000 bytes are used");
    assert!(refused.message.contains(&figures), "{refused}");
    // Members that come with it count as well, and a refused object leaves none of them behind.
    let mut part = node(o(77), A);
    part.insert("text".to_owned(), json!(text));
    let brings = with(json!({ "part": part }));
    assert_eq!(code(world.try_create(&brings)), Code::NotEnoughMemory);
    let copied =
        world
            .catalog
            .shallow_copy(&Pending::default(), &world.state, id, &Default::default());
    assert_eq!(code(copied), Code::NotEnoughMemory);
    let labels = BTreeMap::from([("key".to_owned(), text.clone())]);
    let labelled = world.catalog.label(id, labels.clone());
    assert_eq!(code(labelled), Code::NotEnoughMemory);
    assert_eq!((world.catalog.len(), count(&world)), (1, used));
    assert!(!world.tree(id).contains_key("__labels"));

    world.catalog.remove(id);
    assert_eq!(world.catalog.quota().used, 0);
    let again = world.create(&with(json!({ "text": text })));
    world.catalog.quota.limit = 10_000;
    assert_eq!(world.catalog.label(again, labels), Ok(true));
    assert_eq!(world.catalog.quota().used, count(&world));
}

#[test]
fn what_is_persisted_no_longer_counts() {
    let (mut world, id, text) = full();
    world.persist(id);
    assert_eq!(world.catalog.quota().used, 0);
    let parent = world.create(&with(json!({ "text": text, "child": just(id) })));
    assert_eq!(world.catalog.quota().used, count(&world));
    world.catalog.forget_persistent(&world.state);
    assert!(world.catalog.is_transient(parent));
}
