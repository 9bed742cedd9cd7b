//! `shallow_copy`: everything as it was, under a new id, with a few attributes set over it.

use serde_json::json;
use vineyard_wire::{Code, Status};

use super::world::{A, World, b, blob, o, object};
use super::{code, family, just, with};
use crate::local::pending::Pending;
use vineyard_wire::{ObjectId, Tree};

impl World {
    fn copy(&mut self, id: ObjectId, extra: serde_json::Value) -> Result<Tree, Status> {
        let copy =
            self.catalog
                .shallow_copy(&Pending::default(), &self.state, id, &object(extra))?;
        let id = copy.id;
        self.catalog.insert(copy);
        Ok(self.tree(id))
    }
}

#[test]
fn a_copy_has_a_new_id_and_the_rest_of_its_source() {
    let (mut world, child, _) = family();
    let source = world.create(&with(json!({
        "child": just(child), "buffer_": blob(b(1), A), "x": 1, "__labels": "{\"k\":\"v\"}",
    })));
    let mut copy = world.copy(source, json!({})).unwrap();
    let id = copy.insert("id".into(), json!(source.to_string()));
    assert_ne!(id, Some(json!(source.to_string())));
    assert_eq!(copy, world.tree(source));
}

#[test]
fn extra_attributes_are_set_over_the_sources() {
    let (mut world, _, parent) = family();
    let extra = json!({ "x": 1, "y": "z", "n": null, "t": true, "child": 7, "typename": "Other" });
    let copy = world.copy(parent, extra.clone()).unwrap();
    for (name, value) in extra.as_object().unwrap() {
        assert_eq!(copy[name], *value, "{name}");
    }
    assert!(world.tree(parent)["child"].is_object());
}

#[test]
fn reserved_keys_may_be_overwritten_by_what_fits_them() {
    let (mut world, _, parent) = family();
    let extra = json!({
        "signature": 99, "instance_id": 5, "__timestamp": 3, "global": true,
        "__labels": "{\"k\":\"v\"}", "id": "o1", "transient": false, "__name": "mine",
    });
    let copy = world.copy(parent, extra).unwrap();
    assert_eq!(copy["signature"], 99);
    assert_eq!(copy["instance_id"], 5);
    assert_eq!(copy["__timestamp"], 3);
    assert_eq!(copy["global"], true);
    assert_eq!(copy["__labels"], "{\"k\":\"v\"}");
    assert_ne!(copy["id"], "o1");
    assert_eq!(copy["transient"], true);
    assert!(!copy.contains_key("__name"));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (mut world, _, parent) = family();
    for (extra, expected) in [
        (json!({ "x": {} }), Code::AssertionFailed),
        (json!({ "x": [1] }), Code::AssertionFailed),
        (json!({ "typename": 5 }), Code::Invalid),
        (json!({ "typename": "vineyard::Blob" }), Code::Invalid),
        (json!({ "signature": "s" }), Code::Invalid),
        (json!({ "instance_id": -1 }), Code::Invalid),
        (json!({ "__labels": "no" }), Code::Invalid),
        (json!({ "global": 1 }), Code::Invalid),
    ] {
        assert_eq!(code(world.copy(parent, extra.clone())), expected, "{extra}");
    }
    assert_eq!(world.catalog.len(), 2);
}

#[test]
fn a_copy_of_a_persistent_object_can_be_persisted() {
    let (mut world, _, parent) = family();
    world.persist(parent);
    let copy = world.catalog.shallow_copy(
        &Pending::default(),
        &world.state,
        parent,
        &object(json!({ "x": 1 })),
    );
    let copy = copy.unwrap();
    let id = copy.id;
    world.catalog.insert(copy);
    world.persist(id);
    assert_eq!(world.tree(id)["x"], 1);
    assert_eq!(world.tree(id)["signature"], world.tree(parent)["signature"]);
}

#[test]
fn an_unknown_source_is_a_missing_subtree() {
    assert_eq!(
        code(World::new().copy(o(404), json!({}))),
        Code::MetaTreeSubtreeNotExists
    );
}
