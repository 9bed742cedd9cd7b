//! `del_data`: what is deleted, what stays, what the cluster is asked.

use std::collections::BTreeSet;

use serde_json::json;
use vineyard_raft::command::Command;
use vineyard_wire::ObjectId;

use super::world::{A, World, b, blob, o, record, thing};
use super::{family, just, with};
use crate::local::catalog::DeletePlan;

fn set(ids: &[ObjectId]) -> BTreeSet<ObjectId> {
    ids.iter().copied().collect()
}

fn transients(ids: &[ObjectId]) -> DeletePlan {
    DeletePlan {
        transients: set(ids),
        ..DeletePlan::default()
    }
}

#[test]
fn a_child_is_kept_for_its_parent_without_an_error() {
    let (world, child, _) = family();
    for deep in [false, true] {
        assert_eq!(
            world.delete_plan(&[child], false, deep),
            DeletePlan::default()
        );
    }
}

#[test]
fn force_takes_every_parent_upwards_but_not_their_other_members() {
    let (mut world, child, parent) = family();
    let other = world.create(&thing(A));
    let top = world.create(&with(json!({
        "parent": just(parent), "other": just(other), "buffer_": blob(b(1), A),
    })));
    let plan = world.delete_plan(&[child], true, true);
    let expected = transients(&[child, parent, top]);
    assert_eq!(
        plan,
        DeletePlan {
            blobs: set(&[b(1)]),
            ..expected
        }
    );
}

#[test]
fn a_shallow_delete_frees_blobs_and_leaves_members() {
    let (mut world, child, _) = family();
    let top = world.create(&with(
        json!({ "other": just(child), "buffer_": blob(b(1), A) }),
    ));
    let plan = world.delete_plan(&[top], false, false);
    assert_eq!(
        plan,
        DeletePlan {
            blobs: set(&[b(1)]),
            ..transients(&[top])
        }
    );
}

#[test]
fn a_deep_delete_takes_members_nothing_else_refers_to() {
    let (mut world, child, parent) = family();
    let lone = world.create(&with(json!({ "buffer_": blob(b(2), A) })));
    let top = world.create(&with(
        json!({ "a": just(lone), "b": just(child), "c": just(lone) }),
    ));
    let plan = world.delete_plan(&[top], false, true);
    assert_eq!(
        plan,
        DeletePlan {
            blobs: set(&[b(2)]),
            ..transients(&[top, lone])
        }
    );
    assert_eq!(
        world
            .delete_plan(&[top, parent], false, true)
            .transients
            .len(),
        4
    );
}

#[test]
fn parents_in_the_same_request_count_in_any_order() {
    let (mut world, child, parent) = family();
    let top = world.create(&with(json!({ "parent": just(parent) })));
    for ids in [
        [child, parent, top],
        [top, parent, child],
        [parent, top, child],
    ] {
        for deep in [false, true] {
            let plan = world.delete_plan(&ids, false, deep);
            assert_eq!(plan, transients(&[child, parent, top]), "{ids:?}");
        }
    }
    let plan = world.delete_plan(&[child, top], false, false);
    assert_eq!(plan, transients(&[top]), "the parent between them stays");
}

#[test]
fn duplicates_and_unknown_ids_are_no_error() {
    let (world, child, parent) = family();
    let ids = [parent, o(404), parent, child, b(404), o(404)];
    let plan = world.delete_plan(&ids, false, false);
    assert_eq!(
        plan,
        DeletePlan {
            blobs: set(&[b(404)]),
            ..transients(&[child, parent])
        }
    );
}

#[test]
fn a_blob_two_objects_share_is_a_candidate_and_still_referred_to() {
    let mut world = World::new();
    let tree = with(json!({ "buffer_": blob(b(1), A) }));
    let (first, second) = (world.create(&tree), world.create(&tree));
    assert_eq!(world.delete_plan(&[first], false, true).blobs, set(&[b(1)]));
    world.catalog.remove(first);
    assert!(world.catalog.is_referred_to(b(1)));
    world.catalog.remove(second);
    assert!(!world.catalog.is_referred_to(b(1)));
}

#[test]
fn the_cluster_is_asked_for_what_it_keeps() {
    let (mut world, child, parent) = family();
    world.persist(parent);
    let plan = world.delete_plan(&[child, parent], false, false);
    assert_eq!(
        plan,
        DeletePlan {
            persistent: set(&[child, parent]),
            ..DeletePlan::default()
        }
    );
}

/// The cluster does not know of transient objects, so what they need is left out of what it is asked.
#[test]
fn members_of_persistent_objects_that_a_transient_one_needs_are_spared() {
    let (mut world, child, parent) = family();
    let other = world.create(&thing(A));
    let top = world.create(&with(
        json!({ "parent": just(parent), "other": just(other) }),
    ));
    world.persist(top);
    let plan = DeletePlan {
        persistent: set(&[top]),
        ..DeletePlan::default()
    };
    assert_eq!(world.delete_plan(&[top], false, true), plan);
    let all = set(&[top, parent, child, other]);
    assert_eq!(plan.reach(&world.state, false, true), all);
    assert_eq!(plan.reach(&world.state, false, false), set(&[top]));
    let needs = world.create(&with(json!({ "parent": just(parent) })));
    assert_eq!(world.delete_plan(&[top], false, false), plan);
    let spares = DeletePlan {
        // Below what stays: the cluster knows that it is referred to.
        persistent_members: set(&[child, other]),
        members_apart: true,
        ..plan.clone()
    };
    for force in [false, true] {
        assert_eq!(world.delete_plan(&[top], force, true), spares);
    }
    assert_eq!(
        spares.reach(&world.state, true, true),
        set(&[top, child, other])
    );
    // A transient object that is deleted too needs no members.
    let both = DeletePlan {
        transients: set(&[needs]),
        persistent_members: set(&[parent]),
        ..plan
    };
    assert_eq!(world.delete_plan(&[top, needs], false, true), both);
    // Objects above a forced delete are deleted too.
    let above = DeletePlan {
        persistent: set(&[child]),
        transients: set(&[needs]),
        ..DeletePlan::default()
    };
    assert_eq!(world.delete_plan(&[child], true, false), above);
    assert_eq!(
        above.reach(&world.state, true, false),
        set(&[top, parent, child])
    );
}

#[test]
fn a_persistent_member_goes_with_a_deep_delete_unless_a_transient_still_needs_it() {
    let (mut world, child, parent) = family();
    world.persist(child);
    let plan = world.delete_plan(&[parent], false, true);
    let members = DeletePlan {
        persistent_members: set(&[child]),
        ..transients(&[parent])
    };
    assert_eq!(plan, members);
    assert_eq!(
        world.delete_plan(&[parent], false, false),
        transients(&[parent])
    );
    let both = DeletePlan {
        persistent: set(&[child]),
        ..transients(&[parent])
    };
    assert_eq!(world.delete_plan(&[child, parent], false, false), both);

    world.create(&with(json!({ "child": just(child) })));
    assert_eq!(
        world.delete_plan(&[parent], false, true),
        transients(&[parent])
    );
    assert_eq!(
        world.delete_plan(&[child], false, true),
        DeletePlan::default()
    );
}

#[test]
fn force_reaches_transient_parents_through_persistent_ones() {
    let mut world = World::new();
    world.persisted(record(500, A, &[]));
    world.persisted(record(501, A, &[o(500)]));
    let top = world.create(&with(json!({ "middle": just(o(501)) })));
    let plan = world.delete_plan(&[o(500)], true, false);
    assert_eq!(
        plan,
        DeletePlan {
            persistent: set(&[o(500)]),
            ..transients(&[top])
        }
    );
    world.run(Command::Delete {
        ids: vec![o(500)],
        force: true,
        deep: false,
    });
    assert!(!world.state.contains(o(501)));
}

#[test]
fn what_was_just_persisted_goes_from_both_places() {
    let (mut world, child, parent) = family();
    world.persist_but_remember(parent);
    let plan = world.delete_plan(&[child, parent], false, true);
    let expected = DeletePlan {
        persistent: set(&[child, parent]),
        ..transients(&[child, parent])
    };
    assert_eq!(plan, expected);
}

#[test]
fn a_long_chain_and_a_shared_member_are_planned_in_a_moment() {
    let mut world = World::new();
    let shared = world.create(&thing(A));
    let mut chain = vec![shared];
    for _ in 0..20_000 {
        let below = *chain.last().unwrap();
        chain.push(world.create(&with(
            json!({ "below": just(below), "shared": just(shared) }),
        )));
    }
    assert_eq!(
        world.delete_plan(&chain, false, true).transients.len(),
        chain.len()
    );
    let bottom = world.delete_plan(&[shared], true, true);
    assert_eq!(bottom.transients.len(), chain.len());
}

#[test]
fn deleting_leaves_no_edges() {
    let (mut world, child, parent) = family();
    for id in world.delete_plan(&[child, parent], false, true).transients {
        world.catalog.remove(id);
    }
    assert_eq!(world.catalog.len(), 0);
    assert!(!world.catalog.is_referred_to(child));
}
