use super::*;

/// 3 contains 2 and blob 3, 2 contains 1 and blob 2, 1 contains blob 1.
fn chain() -> Replica {
    let mut replica = Replica::of_three();
    let records = [
        record(1, &[b(1)]),
        record(2, &[o(1), b(2)]),
        record(3, &[o(2), b(3)]),
    ];
    replica.done(persist(&records));
    replica
}

#[test]
fn an_object_goes_with_its_blobs_only_unless_the_delete_is_deep() {
    let mut replica = chain();
    assert_eq!(
        replica.delete(&[o(3)], false, false),
        (vec![o(3)], vec![b(3)])
    );
    assert_eq!(
        replica.delete(&[o(2)], false, true),
        (vec![o(1), o(2)], vec![b(1), b(2)])
    );
    assert_eq!(replica.ids(), []);
}

#[test]
fn an_object_a_persistent_one_refers_to_is_silently_kept() {
    let mut replica = chain();
    assert_eq!(replica.delete(&[o(1)], false, true), (vec![], vec![]));
    assert_eq!(replica.ids(), [o(1), o(2), o(3)]);
}

#[test]
fn a_member_goes_if_its_parent_is_in_the_same_request_in_any_order() {
    for ids in [[o(1), o(2), o(3)], [o(3), o(2), o(1)], [o(2), o(3), o(1)]] {
        let mut replica = chain();
        let (objects, blobs) = replica.delete(&ids, false, false);
        assert_eq!(objects, [o(1), o(2), o(3)]);
        assert_eq!(blobs, [b(1), b(2), b(3)]);
    }
}

#[test]
fn force_takes_the_parents_but_not_their_other_members() {
    let mut replica = chain();
    replica.done(persist(&[record(7, &[b(7)]), record(8, &[o(2), o(7)])]));
    assert_eq!(replica.delete(&[o(2)], true, false).0, [o(2), o(3), o(8)]);
    assert_eq!(replica.ids(), [o(1), o(7)]);
}

#[test]
fn a_forced_deep_delete_takes_parents_and_members() {
    let mut replica = chain();
    let (objects, blobs) = replica.delete(&[o(2)], true, true);
    assert_eq!(objects, [o(1), o(2), o(3)]);
    assert_eq!(blobs, [b(1), b(2), b(3)]);
}

#[test]
fn a_forced_delete_of_a_blob_takes_what_refers_to_it() {
    let mut replica = chain();
    assert_eq!(replica.delete(&[b(2)], false, false), (vec![], vec![]));
    assert_eq!(
        replica.delete(&[b(2)], true, false),
        (vec![o(2), o(3)], vec![b(2), b(3)])
    );
}

#[test]
fn a_shared_blob_or_member_goes_with_its_last_referrer() {
    let mut replica = Replica::of_three();
    let records = [
        record(1, &[b(1)]),
        record(2, &[o(1), b(1)]),
        record(3, &[o(1), b(1), b(1)]),
    ];
    replica.done(persist(&records));
    assert_eq!(replica.state.parents(b(1)).count(), 3);
    assert_eq!(replica.delete(&[o(2)], false, true), (vec![o(2)], vec![]));
    assert_eq!(
        replica.delete(&[o(3)], false, true),
        (vec![o(1), o(3)], vec![b(1)])
    );
}

#[test]
fn unknown_ids_and_duplicates_are_fine() {
    let mut replica = chain();
    let ids = [
        o(99),
        o(3),
        b(77),
        o(3),
        ObjectId::EMPTY_BLOB,
        ObjectId::INVALID,
    ];
    assert_eq!(replica.delete(&ids, false, false), (vec![o(3)], vec![b(3)]));
    assert_eq!(replica.delete(&ids, true, true), (vec![], vec![]));
}

#[test]
fn names_go_with_their_objects_in_the_same_entry() {
    let mut replica = chain();
    replica.done(put_name("x", o(1), Condition::Always));
    replica.done(put_name("y", o(3), Condition::Always));
    replica.done(put_name("z", o(3), Condition::Always));
    let (_, events) = replica.run(delete(&[o(3)], false, false));
    let dropped = |name: &str| Event::NameDropped {
        name: name.to_owned(),
    };
    let gone = Event::ObjectsDeleted(vec![o(3)]);
    let released = Event::BlobsReleased(vec![b(3)]);
    assert_eq!(events, [dropped("y"), dropped("z"), gone, released]);
    assert_eq!(replica.state.names().collect::<Vec<_>>(), [("x", o(1))]);
}

/// 10 is global over 1 and 2; 5 is what 1 became when it was migrated to instance 1.
fn migrated() -> Replica {
    let mut replica = Replica::of_three();
    let copy = Record {
        signature: Signature(1001),
        instance: i(1),
        ..record(5, &[b(5)])
    };
    replica.done(persist(&[
        record(1, &[b(1)]),
        record(2, &[]),
        global(10, &[o(1), o(2)]),
        copy,
    ]));
    replica
}

#[test]
fn a_member_of_a_global_object_may_go_if_an_equivalent_takes_its_place() {
    let mut replica = migrated();
    let (outcome, events) = replica.run(delete(&[o(1)], false, false));
    let (objects, blobs) = (vec![o(1)], vec![b(1)]);
    assert_eq!(outcome, Ok(Applied::Deleted { objects, blobs }));
    assert_eq!(events[0], Event::ObjectChanged(o(10)));
    assert_eq!(sorted(replica.state.parents(o(5))), [o(10)]);
    assert_eq!(
        replica.delete(&[o(5)], false, false),
        (vec![], vec![]),
        "it is the last one now"
    );
    assert_eq!(replica.delete(&[o(10)], false, true).0, [o(2), o(5), o(10)]);
}

#[test]
fn an_equivalent_does_not_go_in_the_stead_of_a_member_deleted_with_its_parent() {
    let mut replica = migrated();
    assert_eq!(
        replica.delete(&[o(1), o(10)], false, true).0,
        [o(1), o(2), o(10)]
    );
    assert_eq!(replica.ids(), [o(5)]);
}

#[test]
fn two_equivalents_cannot_both_go() {
    let mut replica = migrated();
    assert_eq!(replica.delete(&[o(1), o(5)], false, false).0, [o(5)]);
    assert_eq!(sorted(replica.state.parents(o(1))), [o(10)]);
}

#[test]
fn an_equivalent_whose_bytes_died_or_that_a_local_parent_cannot_use_does_not_count() {
    let mut replica = migrated();
    replica.register(InstanceId::new(NodeId(1), 1));
    assert_eq!(replica.delete(&[o(1)], false, false).0, []);
    let mut replica = migrated();
    replica.done(persist(&[record(11, &[o(1)])]));
    assert_eq!(replica.delete(&[o(1)], false, false).0, []);
}

#[test]
fn an_equivalent_that_contains_the_parent_does_not_count() {
    let mut replica = Replica::of_three();
    let forged = Record {
        signature: Signature(1001),
        ..record(5, &[o(10)])
    };
    replica.done(persist(&[record(1, &[]), global(10, &[o(1)]), forged]));
    assert_eq!(replica.delete(&[o(1)], false, false).0, []);
}

#[test]
fn a_long_chain_is_deleted_without_recursion() {
    let mut replica = Replica::of_three();
    let records: Vec<_> = (1..20_000)
        .map(|id| {
            if id == 1 {
                record(1, &[])
            } else {
                record(id, &[o(id - 1)])
            }
        })
        .collect();
    replica.done(persist(&records));
    assert_eq!(replica.delete(&[o(19_999)], false, true).0.len(), 19_999);
}

#[test]
fn after_everything_is_deleted_no_table_has_a_row() {
    let mut replica = chain();
    let empty = Replica::of_three().state;
    replica.done(put_name("x", o(2), Condition::Always));
    replica.delete(&[o(1)], true, true);
    let applied = replica.state.applied();
    let mut expected = empty.clone();
    expected.advance(applied);
    assert_eq!(replica.state.digest(), expected.digest());
}
