//! Plans of migrations, made from the replicated state alone.

use vineyard_raft::command::Command;
use vineyard_wire::Code;

use super::*;
use crate::local::catalog::tests::world::{A, B, C, World, b, global, o, record, row};

fn plan_for(world: &World, id: ObjectId) -> Plan {
    plan(&world.state, id, A).expect("a plan")
}

fn copy_of(world: &World, id: ObjectId) -> (Vec<ObjectId>, Vec<Wanted>) {
    match plan_for(world, id) {
        Plan::One(copy) => (
            copy.records.iter().map(|record| record.id).collect(),
            copy.blobs,
        ),
        other => panic!("not a copy: {other:?}"),
    }
}

/// The copy of `source` that a migration leaves on A.
fn migrated(source: &Record, id: u64) -> Record {
    let members = source.members.keys().map(|name| {
        (
            name.clone(),
            Link::Blob {
                id: b(id),
                instance: A,
            },
        )
    });
    Record {
        id: o(id),
        instance: A,
        members: members.collect(),
        ..source.clone()
    }
}

#[test]
fn an_object_of_this_node_is_here() {
    let mut world = World::new();
    world.persisted(record(500, A, &[b(5)]));
    assert_eq!(plan_for(&world, o(500)), Plan::Here(o(500)));
}

#[test]
fn an_unknown_object_is_a_missing_subtree() {
    let status = plan(&World::new().state, o(404), A).expect_err("unknown");
    assert_eq!(status.code, Code::MetaTreeSubtreeNotExists);
}

#[test]
fn an_object_that_was_copied_before_is_its_copy() {
    let mut world = World::new();
    let source = record(500, B, &[b(5)]);
    world.persisted(source.clone());
    world.persisted(migrated(&source, 600));
    assert_eq!(plan_for(&world, o(500)), Plan::Here(o(600)));
}

#[test]
fn the_copy_of_a_shallow_copys_source_is_not_its_own() {
    let mut world = World::new();
    let source = record(500, B, &[b(5)]);
    let mut shallow = Record {
        id: o(501),
        ..source.clone()
    };
    shallow
        .attributes
        .insert("extra".to_owned(), "1".to_owned());
    world.persisted(source.clone());
    world.persisted(shallow.clone());
    world.persisted(migrated(&source, 600));
    assert_eq!(copy_of(&world, o(501)).0, [o(501)]);
    world.persisted(migrated(&shallow, 601));
    assert_eq!(plan_for(&world, o(501)), Plan::Here(o(601)));
    assert_eq!(plan_for(&world, o(500)), Plan::Here(o(600)));
}

#[test]
fn members_come_before_what_refers_to_them_and_shared_ones_once() {
    let mut world = World::new();
    world.persisted(record(1, B, &[b(1)]));
    world.persisted(record(2, B, &[o(1), b(2)]));
    world.persisted(record(3, B, &[o(1), b(1), ObjectId::EMPTY_BLOB]));
    world.persisted(record(4, B, &[o(2), o(3), o(1)]));
    let (records, blobs) = copy_of(&world, o(4));
    assert_eq!(records.len(), 4);
    let place = |id| {
        records
            .iter()
            .position(|record| *record == id)
            .expect("copied")
    };
    for (member, parent) in [(1, 2), (1, 3), (2, 4), (3, 4)] {
        assert!(place(o(member)) < place(o(parent)), "{records:?}");
    }
    let wanted = |blob| Wanted {
        blob,
        size: 8,
        source: B,
    };
    assert_eq!(blobs, [wanted(b(1)), wanted(b(2))]);
}

#[test]
fn a_deep_chain_is_planned_without_recursion() {
    let mut world = World::new();
    let below = |id: u64| (id > 1).then(|| o(id - 1));
    let chain = (1..10_000).map(|id| record(id, B, below(id).as_slice()));
    let records = chain.collect();
    world.run(Command::Persist {
        records,
        blobs: vec![],
    });
    assert_eq!(copy_of(&world, o(9_999)).0.len(), 9_999);
}

#[test]
fn lost_bytes_are_an_error_that_names_blob_object_and_node() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.reboot(B);
    let status = plan(&world.state, o(500), A).expect_err("lost");
    assert_eq!(status.code, Code::ObjectNotExists);
    assert!(status.message.contains(&b(5).to_string()), "{status}");
    assert!(status.message.contains(&o(500).to_string()), "{status}");
    assert!(status.message.contains("n1 (instance i1)"), "{status}");
}

#[test]
fn what_died_with_an_earlier_boot_of_this_node_is_lost_before_the_cluster_knows_the_new_boot() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    let reborn = InstanceId::new(B.node(), B.boot() + 1);
    let status = plan(&world.state, o(500), reborn).expect_err("lost");
    assert!(status.message.contains("n1 (instance i1)"), "{status}");
    let elsewhere = plan(&world.state, o(500), A);
    assert!(elsewhere.is_ok(), "only its own past is certain to a node");
}

#[test]
fn a_holder_that_can_be_reached_is_preferred() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    let source = |world: &World| copy_of(world, o(500)).1[0].source;
    assert_eq!(source(&world), B);
    let blobs = vec![row(b(5), 8, [B, C].into())];
    world.run(Command::Persist {
        records: vec![],
        blobs,
    });
    world.silence(B);
    assert_eq!(source(&world), C);
    world.silence(C);
    assert_eq!(
        source(&world),
        B,
        "nobody answers; the error will name a holder"
    );
    let blobs = vec![row(b(5), 8, [A].into())];
    world.run(Command::Persist {
        records: vec![],
        blobs,
    });
    assert_eq!(source(&world), A);
}

#[test]
fn a_bare_blob_is_wanted_from_a_holder_even_if_none_can_be_reached() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.silence(B);
    let wanted = want(&world.state, b(5), InstanceId::UNSPECIFIED, A).unwrap();
    assert_eq!(
        wanted,
        Some(Wanted {
            blob: b(5),
            size: 8,
            source: B
        })
    );
    assert_eq!(want(&world.state, ObjectId::EMPTY_BLOB, B, A), Ok(None));
    let status = want(&world.state, b(404), B, A).expect_err("unknown");
    assert_eq!(status.code, Code::ObjectNotExists);
}

#[test]
fn a_global_objects_members_move_if_they_are_elsewhere() {
    let mut world = World::new();
    world.persisted(record(500, B, &[b(5)]));
    world.persisted(record(501, A, &[b(6)]));
    let moved = record(502, C, &[b(7)]);
    world.persisted(moved.clone());
    world.persisted(migrated(&moved, 600));
    world.persisted(global(900, &[o(500), o(501), o(502)]));
    assert_eq!(plan_for(&world, o(900)), Plan::Members(vec![o(500)]));
}

#[test]
fn an_equivalent_stands_in_for_a_member_that_cannot_be_reached() {
    let mut world = World::new();
    let source = record(500, B, &[b(5)]);
    world.persisted(source.clone());
    world.persisted(Record {
        id: o(400),
        ..record(500, C, &[b(6)])
    });
    world.persisted(global(900, &[o(500)]));
    assert_eq!(plan_for(&world, o(900)), Plan::Members(vec![o(500)]));
    world.silence(B);
    assert_eq!(plan_for(&world, o(900)), Plan::Members(vec![o(400)]));
}

fn wanted(blob: u64, size: u64) -> Wanted {
    Wanted {
        blob: ObjectId(blob),
        size,
        source: InstanceId(0),
    }
}

#[test]
fn small_blobs_share_an_ask_and_a_large_one_is_spread() {
    let asks = asks(&[wanted(1, 3), wanted(2, 4), wanted(3, 25)], 10);
    let lens: Vec<Vec<_>> = asks
        .iter()
        .map(|ask| {
            ask.iter()
                .map(|range| (range.blob.0, range.offset, range.len))
                .collect()
        })
        .collect();
    assert_eq!(
        lens,
        vec![
            vec![(1, 0, 3), (2, 0, 4), (3, 0, 3)],
            vec![(3, 3, 10)],
            vec![(3, 13, 10)],
            vec![(3, 23, 2)],
        ]
    );
}

#[test]
fn nothing_to_fetch_asks_nothing() {
    assert!(asks(&[], 10).is_empty());
    assert!(asks(&[wanted(1, 0)], 10).is_empty());
}
