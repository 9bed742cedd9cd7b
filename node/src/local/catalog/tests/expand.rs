//! `get_data`: what a client reads back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::{Code, ObjectId, Signature};

use super::world::{A, B, C, World, b, blob, global, id_of, o, record, row, thing};
use super::{code, family, just, with};
use crate::local::catalog::LostBlobs;
use vineyard_raft::command::Command;

#[test]
fn numbers_keep_their_kind_and_every_digit() {
    let mut world = World::new();
    let given = json!({
        "int": 42, "float": 42.0, "max": u64::MAX, "min": i64::MIN, "third": 0.1 + 0.2,
        "tiny": 5e-324, "huge": f64::MAX, "negative_zero": -0.0,
    });
    let id = world.create(&with(given.clone()));
    let tree = world.tree(id);
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(tree[name].to_string(), value.to_string(), "{name}");
    }
    assert!(tree["int"].is_u64() && tree["float"].is_f64());
}

#[test]
fn arrays_nulls_and_texts_are_plain_attributes() {
    let mut world = World::new();
    let given = json!({ "list": [1, [2, {"x": 3}], null], "none": null, "text": "a\u{0}\"\\é" });
    let tree = {
        let id = world.create(&with(given.clone()));
        world.persist(id);
        world.tree(id)
    };
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(tree[name], *value, "{name}");
    }
}

#[test]
fn a_blob_inside_an_object_shows_no_size() {
    let mut world = World::new();
    let id = world.create(&with(json!({ "buffer_": blob(b(7), A) })));
    let expected = json!({
        "id": b(7).to_string(), "typename": "vineyard::Blob", "instance_id": 0,
        "length": 0, "nbytes": 0, "transient": true,
    });
    assert_eq!(world.tree(id)["buffer_"], expected);
}

#[test]
fn persisting_shows_in_the_tree_and_its_members() {
    let (mut world, child, parent) = family();
    world.persist(parent);
    assert_eq!(world.tree(parent)["transient"], false);
    assert_eq!(world.tree(parent)["child"]["transient"], false);
    assert_eq!(world.tree(child)["transient"], false);
}

#[test]
fn an_object_whose_member_is_gone_is_absent() {
    let (mut world, child, parent) = family();
    world.catalog.remove(child);
    assert_eq!(world.expand(parent), Ok(None));
    assert_eq!(world.expand(o(404)), Ok(None));
}

/// A global object 900 over object 500 of B.
fn spread() -> World {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.persisted(global(900, &[o(500)]));
    world
}

#[test]
fn a_global_object_shows_the_copy_that_was_moved_here() {
    let mut world = spread();
    assert_eq!(id_of(&world.tree(o(900))["m0"]), o(500));
    let copy = Record {
        signature: Signature(1500),
        ..record(600, A, &[b(6)])
    };
    world.persisted(copy);
    assert_eq!(id_of(&world.tree(o(900))["m0"]), o(600));
    assert_eq!(world.tree(o(900))["m0"]["m0"]["instance_id"], 0);
}

#[test]
fn a_copy_on_a_third_node_stands_in_only_for_a_member_out_of_reach() {
    let mut world = spread();
    world.persisted(Record {
        signature: Signature(1500),
        ..record(400, C, &[b(6)])
    });
    assert_eq!(id_of(&world.tree(o(900))["m0"]), o(500));
    world.silence(B);
    assert_eq!(id_of(&world.tree(o(900))["m0"]), o(400));
}

#[test]
fn a_shallow_copy_of_a_member_is_not_taken_for_it() {
    let mut world = spread();
    let other = Record {
        signature: Signature(1500),
        attributes: BTreeMap::from([("nbytes".to_owned(), "9".to_owned())]),
        ..record(100, B, &[b(5)])
    };
    world.persisted(other.clone());
    world.persisted(Record {
        id: o(101),
        instance: A,
        ..other
    });
    assert_eq!(id_of(&world.tree(o(900))["m0"]), o(500));
}

#[test]
fn a_local_objects_member_is_itself_whatever_shares_its_signature() {
    let mut world = World::new();
    world.persisted(record(500, B, &[]));
    world.persisted(record(501, B, &[o(500)]));
    world.persisted(Record {
        signature: Signature(1500),
        ..record(600, A, &[])
    });
    assert_eq!(id_of(&world.tree(o(501))["m0"]), o(500));
}

#[test]
fn lost_bytes_are_asked_for_here_and_listed_with_their_owner() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.reboot(B);
    let shown = |lost| {
        let trees = world.catalog.expand(&world.state, &[o(500)], lost);
        let tree = trees.unwrap().trees[&o(500)].read().unwrap();
        tree["m0"]["instance_id"].as_u64().unwrap()
    };
    assert_eq!(shown(LostBlobs::Here), A.0);
    assert_eq!(shown(LostBlobs::WithOwner), B.0);
}

#[test]
fn a_text_comes_with_the_blobs_below_it_that_are_here() {
    let mut world = World::new();
    let empty = blob(ObjectId::EMPTY_BLOB, A);
    let part = world.create(&with(
        json!({ "again_": blob(b(7), A), "deep_": blob(b(8), A) }),
    ));
    let whole = json!({ "buffer_": blob(b(7), A), "empty_": empty, "part_": just(part) });
    let whole = world.create(&with(whole));
    world.persisted(record(500, B, &[b(5)]));
    let texts = world
        .catalog
        .expand_with_payloads(&world.state, &[whole, o(500), o(404)]);
    let texts = texts.unwrap();
    assert_eq!(texts.trees.keys().collect::<Vec<_>>(), [&whole, &o(500)]);
    assert_eq!(texts.here, Some([b(7), b(8)].into()));
    texts.assert_measured();
}

#[test]
fn a_blob_is_shown_where_its_bytes_are() {
    let mut world = World::new();
    let shown = |world: &World| world.tree(o(500))["m0"]["instance_id"].as_u64().unwrap();
    world.persisted(record(500, B, &[b(5)]));
    let also_on_c = row(b(5), 8, [B, C].into());
    world.run(Command::Persist {
        records: vec![],
        blobs: vec![also_on_c],
    });
    assert_eq!(shown(&world), B.0);
    world.reboot(B);
    assert_eq!(shown(&world), C.0);
    world.run(Command::Persist {
        records: vec![],
        blobs: vec![row(b(5), 8, [A].into())],
    });
    assert_eq!(shown(&world), A.0);
}

#[test]
fn a_small_graph_does_not_unfold_into_a_huge_tree() {
    let mut world = World::new();
    let blobs = (0..64).map(|n| (format!("b{n}"), blob(b(n + 1), A)));
    let mut leaf = thing(A);
    leaf.extend(blobs);
    let mut top = world.create(&leaf);
    for _ in 0..40 {
        top = world.create(&with(json!({ "left": just(top), "right": just(top) })));
    }
    assert_eq!(code(world.expand(top)), Code::Invalid);
}

#[test]
fn a_long_text_is_not_unfolded_without_end() {
    let mut world = World::new();
    let mut top = world.create(&with(json!({ "text": "x".repeat(16 << 20) })));
    for _ in 0..6 {
        top = world.create(&with(json!({ "left": just(top), "right": just(top) })));
    }
    assert_eq!(code(world.expand(top)), Code::Invalid);
}

/// Eight times the persistent object 500, which has `attributes`.
fn eight_times(attributes: &[(&str, String)]) -> (World, ObjectId) {
    let mut world = World::new();
    let attributes = attributes.iter();
    let attributes = attributes.map(|(name, text)| ((*name).to_owned(), text.clone()));
    world.persisted(Record {
        attributes: attributes.collect(),
        ..record(500, A, &[])
    });
    let top = world.persisted(record(501, A, &[o(500); 8]));
    (world, top)
}

#[test]
fn attributes_are_passed_on_as_they_were_written() {
    let text = "[1,  2.50, {\"x\" : 1e2}]";
    let (world, top) = eight_times(&[("x", text.to_owned())]);
    let texts = world.catalog.expand(&world.state, &[top], LostBlobs::Here);
    let texts = texts.unwrap();
    let shown = texts.trees[&top].as_str().matches(text).count();
    assert_eq!(shown, 8);
    texts.assert_measured();
}

#[test]
fn what_a_decoder_would_not_take_is_refused() {
    for (item, count) in [("1", 3 << 20), ("{}", 300_000)] {
        let list = format!("[{item}{}]", format!(",{item}").repeat(count));
        let (world, top) = eight_times(&[("list", list)]);
        assert!(world.expand(o(500)).is_ok());
        assert_eq!(code(world.expand(top)), Code::Invalid, "{item}");
    }
}

#[test]
fn what_becomes_longer_when_it_is_written_is_counted_as_it_will_be() {
    let mut world = World::new();
    let strange = "\u{1}\"\\\n~/é".repeat(20);
    let id = world.create(&with(json!({
        "typename": strange, (strange.as_str()): "short",
        "__labels": json!({ (strange.as_str()): strange }).to_string(),
    })));
    world.persist(id);
    world.name(&strange, id);
    let tree = world.tree(id);
    assert_eq!(tree["typename"], strange);
    let labels: BTreeMap<String, String> =
        serde_json::from_str(tree["__labels"].as_str().unwrap()).unwrap();
    assert_eq!(labels[strange.as_str()], strange);

    // Six bytes for each character of the type name, seven for each of the labels.
    let long = "\u{1}".repeat(6 << 20);
    let labels = json!({ "k": long }).to_string();
    for fields in [json!({ "typename": long }), json!({ "__labels": labels })] {
        let leaf = world.create(&with(fields));
        let mut top = thing(A);
        top.extend((0..8).map(|n| (format!("m{n}"), just(leaf))));
        let top = world.create(&top);
        assert_eq!(code(world.expand(top)), Code::Invalid);
    }
}

#[test]
fn an_id_that_is_asked_for_again_and_again_is_shown_once() {
    let (world, top) = eight_times(&[("text", format!("\"{}\"", "x".repeat(1 << 20)))]);
    let texts = world
        .catalog
        .expand(&world.state, &[top; 1000], LostBlobs::Here);
    assert_eq!(texts.unwrap().trees.len(), 1);
}

#[test]
fn a_chain_deeper_than_a_tree_may_be_is_refused_and_not_followed() {
    let mut world = World::new();
    let mut top = world.create(&thing(A));
    for _ in 0..10_000 {
        top = world.create(&with(json!({ "below": just(top) })));
    }
    assert_eq!(code(world.expand(top)), Code::Invalid);
}

#[test]
fn the_latest_name_is_shown_escaped() {
    let (mut world, _, parent) = family();
    world.persist(parent);
    world.name("first", parent);
    world.name("a/b~c", parent);
    assert_eq!(world.tree(parent)["__name"], "a~1b~0c");
    world.run(Command::DropName {
        name: "a/b~c".to_owned(),
    });
    assert_eq!(world.tree(parent)["__name"], "first");
}

#[test]
fn labels_are_shown_as_one_text() {
    let (mut world, child, _) = family();
    let label = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    assert!(!world.tree(child).contains_key("__labels"));
    assert_eq!(
        world.catalog.label(child, label(&[("b", "1"), ("a", "2")])),
        Ok(true)
    );
    assert_eq!(world.catalog.label(child, label(&[("b", "3")])), Ok(true));
    assert_eq!(world.tree(child)["__labels"], r#"{"a":"2","b":"3"}"#);
    world.persist(child);
    assert_eq!(world.catalog.label(child, label(&[("c", "4")])), Ok(false));
    world.run(Command::Label {
        id: child,
        labels: label(&[("c", "4")]),
    });
    assert_eq!(
        world.tree(child)["__labels"],
        r#"{"a":"2","b":"3","c":"4"}"#
    );
}

#[test]
fn what_the_cluster_has_is_shown_rather_than_a_transient_copy_of_it() {
    let (mut world, child, parent) = family();
    world.persist_but_remember(parent);
    let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    world.run(Command::Label { id: child, labels });
    let tree = world.tree(parent);
    assert_eq!(tree["transient"], false);
    assert_eq!(tree["child"]["__labels"], r#"{"k":"v"}"#);
}

#[test]
fn every_node_has_an_id_and_every_blob_an_instance() {
    fn check(node: &Value) {
        assert!(
            node["id"].is_string() && node["instance_id"].is_u64(),
            "{node}"
        );
        assert!(
            node["nbytes"].is_u64() && node["typename"].is_string(),
            "{node}"
        );
        node.as_object()
            .unwrap()
            .values()
            .filter(|value| value.is_object())
            .for_each(check);
    }
    let mut world = spread();
    let empty = Link::Blob {
        id: ObjectId::EMPTY_BLOB,
        instance: B,
    };
    let mut bare = record(700, B, &[o(500)]);
    bare.members.insert("empty".to_owned(), empty);
    bare.attributes.clear();
    world.persisted(bare);
    check(&json!(world.tree(o(700))));
    check(&json!(world.tree(o(900))));
}
