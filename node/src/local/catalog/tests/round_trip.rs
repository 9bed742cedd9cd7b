//! Random trees: what was created is what is read, transient or persistent.

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use vineyard_raft::state::objects::is_reserved;
use vineyard_wire::ObjectId;

use super::world::{A, World, b, blob, node, o, thing};

/// A node without ids: its attributes and members.
#[derive(Clone, Debug)]
struct Sketch {
    attributes: Vec<(String, Value)>,
    blobs: Vec<(String, u64)>,
    members: Vec<(String, Sketch)>,
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

fn attribute() -> impl Strategy<Value = Value> {
    prop_oneof![4 => scalar(), 1 => proptest::collection::vec(scalar(), 0..4).prop_map(Value::from)]
}

fn name(prefix: &'static str) -> impl Strategy<Value = String> {
    // The prefixes keep attributes, blobs and members of one node apart.
    ".{0,8}".prop_map(move |rest| format!("{prefix}{rest}"))
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let attributes = || btree_map(name("a"), attribute(), 0..5);
    let blobs = || btree_map(name("b"), 1..20u64, 0..3);
    let leaf = (attributes(), blobs()).prop_map(|(attributes, blobs)| Sketch {
        attributes: attributes.into_iter().collect(),
        blobs: blobs.into_iter().collect(),
        members: Vec::new(),
    });
    leaf.prop_recursive(5, 40, 4, move |below| {
        (attributes(), blobs(), btree_map(name("m"), below, 0..4)).prop_map(
            |(attributes, blobs, members)| Sketch {
                attributes: attributes.into_iter().collect(),
                blobs: blobs.into_iter().collect(),
                members: members.into_iter().collect(),
            },
        )
    })
}

/// Fills `tree`, the node of a sketch, with fresh ids for the members.
fn draw(sketch: &Sketch, tree: &mut Map<String, Value>, next: &mut u64) {
    tree.extend(sketch.attributes.iter().cloned());
    tree.extend(
        sketch
            .blobs
            .iter()
            .map(|(name, id)| (name.clone(), blob(b(*id), A))),
    );
    for (name, member) in &sketch.members {
        *next += 1;
        let mut below = node(o(*next), A);
        draw(member, &mut below, next);
        tree.insert(name.clone(), json!(below));
    }
}

/// Asserts that `read` has the attributes and members of `sent`, and nothing more.
fn assert_same(sent: &Map<String, Value>, read: &Map<String, Value>) {
    let plain = |tree: &Map<String, Value>| -> Vec<String> {
        tree.keys()
            .filter(|name| !is_reserved(name))
            .cloned()
            .collect()
    };
    assert_eq!(plain(sent), plain(read));
    for (name, value) in sent {
        match (value, &read[name]) {
            (Value::Object(sent), Value::Object(read)) if sent["typename"] == "vineyard::Blob" => {
                assert_eq!(sent["id"], read["id"]);
                assert_eq!(sent["instance_id"], read["instance_id"]);
            }
            (Value::Object(sent), Value::Object(read)) => {
                assert_eq!(sent["id"], read["id"]);
                assert_same(sent, read);
            }
            (sent, read) => assert_eq!(sent.to_string(), read.to_string(), "{name}"),
        }
    }
}

proptest! {
    #[test]
    fn what_was_created_is_what_is_read(sketch in sketch()) {
        let mut tree = thing(A);
        draw(&sketch, &mut tree, &mut (1 << 40));
        let mut world = World::new();
        let id = world.create(&tree);
        assert_same(&tree, &world.tree(id));
        let transient = world.tree(id);
        world.persist(id);
        assert_eq!(world.catalog.len(), 0);
        let persistent = world.tree(id);
        assert_same(&tree, &persistent);
        prop_assert_eq!(&transient["signature"], &persistent["signature"]);

        // What a client read can be created again: the members are known now.
        let mut again = persistent;
        again.remove("signature");
        let twin: ObjectId = world.create(&again);
        assert_same(&tree, &world.tree(twin));
    }

    #[test]
    fn deleting_a_tree_deeply_leaves_nothing(sketch in sketch()) {
        let mut tree = thing(A);
        draw(&sketch, &mut tree, &mut (1 << 40));
        let mut world = World::new();
        let id = world.create(&tree);
        let plan = world.delete_plan(&[id], false, true);
        prop_assert_eq!(plan.transients.len(), world.catalog.len());
        for id in plan.transients {
            world.catalog.remove(id);
        }
        prop_assert!(plan.blobs.iter().all(|blob| !world.catalog.is_referred_to(*blob)));
    }
}
