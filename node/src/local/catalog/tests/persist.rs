//! `persist`: what one log entry must contain.

use std::collections::BTreeSet;

use serde_json::json;
use vineyard_wire::{Code, ObjectId};

use super::world::{A, B, World, b, blob, o, record, thing};
use super::{code, family, just, with};

#[test]
fn a_persist_carries_what_is_transient_below_it_once() {
    let (mut world, child, left) = family();
    let right = world.create(&with(
        json!({ "child": just(child), "buffer_": blob(b(1), A) }),
    ));
    let top = world.create(&with(
        json!({ "l": just(left), "r": just(right), "b": blob(b(1), A) }),
    ));
    let plan = world
        .catalog
        .persist_plan(&world.state, &[top, top, left])
        .unwrap();
    let ids: Vec<_> = plan.records.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(
        BTreeSet::from_iter(ids),
        BTreeSet::from([child, left, right, top])
    );
    assert_eq!(
        plan.blobs.into_iter().collect::<Vec<_>>(),
        [(b(1), BTreeSet::from([A]))]
    );
}

#[test]
fn what_is_persistent_is_not_carried_again() {
    let (mut world, child, parent) = family();
    world.persist(child);
    let plan = world.catalog.persist_plan(&world.state, &[parent]).unwrap();
    assert_eq!(
        plan.records
            .iter()
            .map(|record| record.id)
            .collect::<Vec<_>>(),
        [parent]
    );
    world.persist(parent);
    let plan = world.catalog.persist_plan(&world.state, &[parent]).unwrap();
    assert!(plan.records.is_empty() && plan.blobs.is_empty());
}

#[test]
fn an_unknown_object_or_member_is_named() {
    let (mut world, child, parent) = family();
    assert_eq!(
        code(world.catalog.persist_plan(&world.state, &[o(404)])),
        Code::MetaTreeSubtreeNotExists
    );
    world.catalog.remove(child);
    let status = world
        .catalog
        .persist_plan(&world.state, &[parent])
        .expect_err("dangling");
    assert_eq!(status.code, Code::MetaTreeSubtreeNotExists);
    assert!(status.message.contains(&child.to_string()), "{status}");
}

#[test]
fn the_empty_blob_needs_no_row() {
    let mut world = World::new();
    let id = world.create(&with(json!({ "buffer_": blob(ObjectId::EMPTY_BLOB, A) })));
    assert!(
        world
            .catalog
            .persist_plan(&world.state, &[id])
            .unwrap()
            .blobs
            .is_empty()
    );
    world.persist(id);
    assert_eq!(
        world.tree(id)["buffer_"]["id"],
        ObjectId::EMPTY_BLOB.to_string()
    );
}

#[test]
fn a_global_object_is_persisted_over_members_of_other_nodes() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    let here = world.create(&thing(A));
    let spread = with(json!({ "global": true, "a": just(here), "b": just(o(500)) }));
    let id = world.create(&spread);
    world.persist(id);
    assert!(world.state.contains(id) && world.state.contains(here));
    assert_eq!(world.catalog.len(), 0);
}
