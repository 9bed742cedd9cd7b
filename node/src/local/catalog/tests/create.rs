//! `create_data`: what is accepted, what is refused with which code, what is stored.

use serde_json::json;
use vineyard_raft::state::objects::Record;
use vineyard_wire::{Code, InstanceId, ObjectId, Signature};

use super::world::{A, B, NOW_MS, World, b, blob, global, id_of, node, o, object, record, thing};
use super::{code, family, just, with};
use crate::local::catalog::absorb::{DEPTH_MAX, NODES_MAX, local_blobs};

#[test]
fn what_a_tree_lacks_decides_the_code() {
    for (tree, expected) in [
        (json!({ "instance_id": 0 }), Code::MetaTreeInvalid),
        (
            json!({ "instance_id": 0, "typename": 7 }),
            Code::MetaTreeInvalid,
        ),
        (
            json!({ "instance_id": 0, "typename": "vineyard::Blob" }),
            Code::AssertionFailed,
        ),
        (json!({ "typename": "T" }), Code::AssertionFailed),
        (
            json!({ "typename": "T", "instance_id": "0" }),
            Code::MetaTreeInvalid,
        ),
        (
            json!({ "typename": "T", "instance_id": -1 }),
            Code::MetaTreeInvalid,
        ),
        (
            json!({ "typename": "T", "instance_id": null }),
            Code::MetaTreeInvalid,
        ),
        (
            json!({ "typename": "T", "instance_id": { "id": "o1" } }),
            Code::MetaTreeInvalid,
        ),
    ] {
        assert_eq!(
            code(World::new().try_create(&object(tree.clone()))),
            expected,
            "{tree}"
        );
    }
}

#[test]
fn what_a_member_lacks_decides_the_code() {
    let part = |without: &str| {
        let mut part = node(o(77), A);
        part.remove(without);
        json!(part)
    };
    for (member, expected) in [
        (json!({}), Code::MetaTreeNameNotExists),
        (json!({ "a": 1, "b": 2 }), Code::MetaTreeInvalid),
        (json!({ "id": 12 }), Code::MetaTreeInvalid),
        (json!({ "id": "12" }), Code::MetaTreeInvalid),
        (just(o(77)), Code::MetaTreeSubtreeNotExists),
        (just(b(77)), Code::MetaTreeInvalid),
        (just(ObjectId::EMPTY_BLOB), Code::MetaTreeInvalid),
        (part("typename"), Code::MetaTreeInvalid),
        (part("signature"), Code::MetaTreeInvalid),
        (
            json!({ "id": b(1).to_string(), "instance_id": "0" }),
            Code::MetaTreeInvalid,
        ),
    ] {
        let mut world = World::new();
        let outcome = world.try_create(&with(json!({ "member": member })));
        assert_eq!(code(outcome), expected, "{member}");
        assert_eq!(world.catalog.len(), 0);
    }
}

#[test]
fn a_placeholder_links_to_a_transient_or_a_persistent_object() {
    let (mut world, child, parent) = family();
    assert_eq!(id_of(&world.tree(parent)["child"]), child);
    let far = world.persisted(record(500, A, &[]));
    let parent = world.create(&with(json!({ "child": just(far) })));
    assert_eq!(id_of(&world.tree(parent)["child"]), far);
}

#[test]
fn a_refused_member_leaves_nothing_behind() {
    let mut world = World::new();
    let tree = with(json!({ "a": node(o(77), A), "b": just(o(78)) }));
    assert_eq!(
        code(world.try_create(&tree)),
        Code::MetaTreeSubtreeNotExists
    );
    assert!(!world.catalog.contains(&world.state, o(77)));
    assert!(!world.catalog.is_referred_to(o(77)));
}

#[test]
fn an_unknown_member_is_stored_from_the_copy_under_its_id() {
    let mut world = World::new();
    let mut part = node(o(77), A);
    part.insert("deeper".into(), json!(node(o(78), A)));
    part.insert("colour".into(), json!("red"));
    let parent = world.create(&with(json!({ "part": part, "seen_again": just(o(77)) })));
    let tree = world.tree(parent);
    assert_eq!(tree["part"]["colour"], "red");
    assert_eq!(tree["part"]["signature"], 1077);
    assert_eq!(id_of(&tree["part"]["deeper"]), o(78));
    assert_eq!(tree["seen_again"], tree["part"]);
    assert!(world.catalog.contains(&world.state, o(78)));
}

#[test]
fn a_known_members_attributes_are_not_touched() {
    let (mut world, child, _) = family();
    let mut copy = node(child, B);
    copy.insert("colour".into(), json!("red"));
    copy.insert("sub".into(), just(o(404)));
    let parent = world.create(&with(json!({ "child": copy })));
    let seen = world.tree(parent);
    assert_eq!(seen["child"], json!(world.tree(child)));
    assert!(seen["child"].get("colour").is_none());
}

#[test]
fn a_local_object_refers_only_to_its_own_instance() {
    for member in [json!(node(o(77), B)), blob(b(7), B)] {
        let outcome = World::new().try_create(&with(json!({ "member": member })));
        let status = outcome.expect_err("remote");
        assert_eq!(status.code, Code::GlobalObjectInvalid);
        assert!(
            status
                .message
                .contains("Local object cannot refer remote objects"),
            "{status}"
        );
    }
    let mut world = World::new();
    world.persisted(record(500, B, &[]));
    let tree = with(json!({ "member": just(o(500)) }));
    assert_eq!(code(world.try_create(&tree)), Code::GlobalObjectInvalid);
}

#[test]
fn a_global_object_has_no_global_member_but_a_local_one_may() {
    let mut world = World::new();
    let inner = world.create(&with(json!({ "global": true })));
    let status = world
        .try_create(&with(json!({ "global": true, "member": just(inner) })))
        .expect_err("nested");
    assert_eq!(status.code, Code::GlobalObjectInvalid);
    assert!(status.message.contains("nested structure"), "{status}");
    world.create(&with(json!({ "member": just(inner) })));
}

#[test]
fn a_global_object_with_a_member_elsewhere_lives_nowhere_in_particular() {
    let mut world = World::new();
    world.persisted(record(500, B, &[]));
    let here = world.create(&thing(A));
    let all_here = with(json!({ "global": true, "a": just(here) }));
    assert_eq!(world.try_create(&all_here).unwrap().instance, A);
    let spread = with(json!({ "global": true, "a": just(here), "b": just(o(500)) }));
    let created = world.try_create(&spread).unwrap();
    assert_eq!(created.instance, InstanceId::UNSPECIFIED);
    assert_eq!(world.tree(created.id)["instance_id"], u64::MAX);
}

#[test]
fn the_empty_blob_makes_nothing_remote() {
    let mut world = World::new();
    let id = world.create(&with(json!({ "buffer_": blob(ObjectId::EMPTY_BLOB, B) })));
    assert_eq!(id_of(&world.tree(id)["buffer_"]), ObjectId::EMPTY_BLOB);
}

#[test]
fn a_given_signature_is_kept_and_a_missing_one_is_made() {
    let mut world = World::new();
    let kept = world.try_create(&with(json!({ "signature": 99 }))).unwrap();
    assert_eq!(kept.signature, Signature(99));
    assert_eq!(world.tree(kept.id)["signature"], 99);
    let made = world.try_create(&thing(A)).unwrap();
    assert_ne!(made.signature, kept.signature);
    assert_eq!(world.tree(made.id)["signature"], made.signature.0);
}

#[test]
fn what_only_the_node_may_say_is_ignored() {
    let mut world = World::new();
    let said = json!({
        "id": o(77).to_string(), "__timestamp": 3, "__name": "mine", "transient": false,
    });
    let id = world.create(&with(said));
    assert_ne!(id, o(77));
    let tree = world.tree(id);
    assert_eq!(tree["id"], id.to_string());
    assert_eq!(tree["__timestamp"], NOW_MS);
    assert_eq!(tree["transient"], true);
    assert!(!tree.contains_key("__name"));
}

#[test]
fn a_reserved_key_cannot_be_a_member() {
    for name in [
        "id",
        "signature",
        "global",
        "transient",
        "__timestamp",
        "__name",
        "__labels",
    ] {
        let mut world = World::new();
        let child = world.create(&thing(A));
        let tree = with(json!({ name: just(child) }));
        assert_eq!(
            code(world.try_create(&tree)),
            Code::MetaTreeInvalid,
            "{name}"
        );
    }
}

#[test]
fn a_tree_has_at_most_a_hundred_levels() {
    let nested = |levels: u64| {
        let mut tree = node(o(7000), A);
        for level in 1..levels {
            let mut above = node(o(7000 + level), A);
            above.insert("below".into(), json!(tree));
            tree = above;
        }
        tree
    };
    let deepest = nested(DEPTH_MAX as u64);
    let mut world = World::new();
    let id = world.create(&deepest);
    world.tree(id);
    let too_deep = nested(DEPTH_MAX as u64 + 1);
    assert_eq!(code(World::new().try_create(&too_deep)), Code::Invalid);
}

#[test]
fn no_member_contains_itself() {
    let mut inner = node(o(77), A);
    inner.insert("sub".into(), json!(node(o(77), A)));
    let mut world = World::new();
    let outcome = world.try_create(&with(json!({ "member": inner })));
    assert_eq!(code(outcome), Code::MetaTreeInvalid);
    assert_eq!(world.catalog.len(), 0);
}

#[test]
fn an_id_a_client_invented_is_never_given_again() {
    let mut world = World::new();
    let first = world.create(&thing(A));
    let next: Vec<_> = (1..=8).map(|step| o(first.0 + step)).collect();
    let invented = next.iter().map(|id| (id.to_string(), json!(node(*id, A))));
    let mut tree = thing(A);
    tree.extend(invented);
    // One of them is the root's own id: it would contain itself.
    assert_eq!(code(world.try_create(&tree)), Code::MetaTreeInvalid);
    let far: Vec<_> = (100..108).map(|step| o(first.0 + step)).collect();
    let mut tree = thing(A);
    tree.extend(far.iter().map(|id| (id.to_string(), json!(node(*id, A)))));
    world.create(&tree);
    for _ in 0..200 {
        let made = world.create(&thing(A));
        assert!(!far.contains(&made), "{made} has two contents");
    }
}

#[test]
fn a_wide_tree_is_created_in_a_moment() {
    let mut tree = thing(A);
    tree.extend((0..20_000).map(|n| (format!("m{n}"), json!(node(o(1 << 40 | n), A)))));
    let mut world = World::new();
    world.create(&tree);
    assert_eq!(world.catalog.len(), 20_001);
}

#[test]
fn a_tree_that_could_not_be_read_back_is_refused() {
    let mut tree = thing(A);
    tree.extend((1..NODES_MAX as u64).map(|n| {
        (
            format!("m{n}"),
            json!({ "id": b(n).to_string(), "length": 1 }),
        )
    }));
    let mut world = World::new();
    let id = world.create(&tree);
    world.tree(id);
    tree.insert("one_more".into(), blob(b(1), A));
    assert_eq!(code(world.try_create(&tree)), Code::Invalid);
}

#[test]
fn blobs_said_to_be_here_are_found_at_any_depth() {
    let mut part = node(o(77), A);
    part.insert("deep".into(), blob(b(1), A));
    part.insert("far".into(), blob(b(2), B));
    part.insert(
        "silent".into(),
        json!({ "id": b(3).to_string(), "length": 8 }),
    );
    let tree = with(json!({ "part": part, "empty": blob(ObjectId::EMPTY_BLOB, A) }));
    let mut found = Vec::new();
    local_blobs(&tree, A, &mut found);
    found.sort();
    assert_eq!(found, [b(1), b(3)]);
}

#[test]
fn labels_come_with_the_tree_they_were_read_in() {
    let mut world = World::new();
    let id = world.create(&with(json!({ "__labels": "{\"k\":\"v\"}" })));
    assert_eq!(world.tree(id)["__labels"], "{\"k\":\"v\"}");
    let id = world.create(&with(json!({ "__labels": "not a map" })));
    assert!(!world.tree(id).contains_key("__labels"));
}

#[test]
fn a_global_member_elsewhere_may_be_a_copy_the_node_does_not_know() {
    let mut world = World::new();
    let spread = with(json!({ "global": true, "b": node(o(77), B) }));
    let created = world.try_create(&spread).unwrap();
    assert_eq!(created.instance, InstanceId::UNSPECIFIED);
    let known: &Record = world.catalog.record(&world.state, o(77)).unwrap();
    assert_eq!(known.instance, B);
    assert_ne!(known.members, global(1, &[b(1)]).members);
}
