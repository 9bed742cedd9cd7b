//! `list_data`: order, limit, patterns, and what is left out.

use serde_json::json;
use vineyard_wire::ObjectId;

use super::world::{A, B, World, b, o, record, thing};
use super::{family, just, with};
use crate::local::catalog::Pattern;

impl World {
    fn list(&self, pattern: &str, regex: bool, limit: usize) -> Vec<ObjectId> {
        let pattern = Pattern::new(pattern, regex);
        let found = self
            .catalog
            .list(&self.state, &pattern, limit)
            .expect("fits a reply");
        found.trees.into_keys().collect()
    }
}

/// Transient and persistent objects in turn; returns their ids in ascending order.
fn mixed(world: &mut World) -> Vec<ObjectId> {
    let mut ids = vec![world.persisted(record(0, B, &[]))];
    for n in 0..6 {
        let id = world.create(&thing(A));
        if n % 2 == 0 {
            world.persist(id);
        }
        ids.push(id);
    }
    ids.push(world.persisted(record(u64::MAX >> 1, B, &[])));
    ids
}

#[test]
fn transient_and_persistent_objects_come_in_the_order_of_their_ids() {
    let mut world = World::new();
    let ids = mixed(&mut world);
    assert_eq!(world.list("*", false, usize::MAX), ids);
    for limit in 0..=ids.len() {
        assert_eq!(world.list("*", false, limit), ids[..limit]);
    }
}

#[test]
fn an_object_that_was_just_persisted_is_listed_once() {
    let (mut world, child, parent) = family();
    world.persist_but_remember(child);
    assert_eq!(world.list("*", false, 10), [child, parent]);
    let pattern = Pattern::new("*", false);
    let found = world.catalog.list(&world.state, &pattern, 10).unwrap();
    assert_eq!(found.trees[&child].read().unwrap()["transient"], false);
}

#[test]
fn patterns_are_wildcards_or_expressions_over_the_type_name() {
    let mut world = World::new();
    let mut named = |typename: &str| world.create(&with(json!({ "typename": typename })));
    let tensor = named("vineyard::Tensor<int64>");
    let tuple = named("vineyard::Tuple");
    for (pattern, regex, expected) in [
        ("*", false, vec![tensor, tuple]),
        ("vineyard::T*", false, vec![tensor, tuple]),
        ("vineyard::Tensor<*>", false, vec![tensor]),
        ("*::Tuple", false, vec![tuple]),
        ("Tuple", false, vec![]),
        ("vineyard::T[eu]*", false, vec![tensor, tuple]),
        (".*Tuple", true, vec![tuple]),
        ("Tuple", true, vec![]),
        ("vineyard::(Tensor<.*>|Tuple)", true, vec![tensor, tuple]),
        ("(", true, vec![]),
    ] {
        assert_eq!(world.list(pattern, regex, 10), expected, "{pattern}");
    }
}

#[test]
fn what_cannot_be_read_whole_is_left_out_and_does_not_count() {
    let (mut world, child, parent) = family();
    world.catalog.remove(child);
    let mut top = world.create(&thing(A));
    let leaf = top;
    for _ in 0..40 {
        top = world.create(&with(json!({ "left": just(top), "right": just(top) })));
    }
    let listed = world.list("*", false, 2);
    assert_eq!(listed[0], leaf);
    assert!(!listed.contains(&parent));
    let all = world.list("*", false, 12);
    assert!(!all.contains(&top));
}

#[test]
fn many_objects_that_cannot_be_read_cost_a_listing_little() {
    let mut world = World::new();
    let mut top = world.create(&thing(A));
    for _ in 0..40 {
        top = world.create(&with(json!({ "left": just(top), "right": just(top) })));
    }
    for _ in 0..2_000 {
        world.create(&with(
            json!({ "typename": "vineyard::Huge", "top": just(top) }),
        ));
    }
    let small = world.create(&with(json!({ "typename": "vineyard::Huge" })));
    assert_eq!(world.list("*Huge", false, usize::MAX), [small]);
}

#[test]
fn more_than_a_reply_can_hold_is_refused_with_a_way_out() {
    let mut world = World::new();
    let mut big = thing(A);
    big.insert("text".into(), json!("x".repeat(60 << 20)));
    for _ in 0..5 {
        world.create(&big);
    }
    let pattern = Pattern::new("*", false);
    let status = world
        .catalog
        .list(&world.state, &pattern, 5)
        .expect_err("300 MB");
    assert!(status.message.contains("first 4 "), "{status}");
    assert_eq!(world.list("*", false, 4).len(), 4);
}

#[test]
fn lost_bytes_do_not_spoil_a_listing() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.reboot(B);
    let pattern = Pattern::new("*", false);
    let found = world.catalog.list(&world.state, &pattern, 10).unwrap();
    let tree = found.trees[&o(500)].read().unwrap();
    assert_eq!(tree["m0"]["instance_id"], B.0);
}
