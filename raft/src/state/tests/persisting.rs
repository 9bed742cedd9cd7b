use super::*;
use crate::command::Refusal;

#[test]
fn a_persist_makes_all_its_records_and_tells_which_are_new() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[])]));
    let events = replica.done(persist(&[
        record(3, &[o(2), o(1)]),
        record(2, &[]),
        record(1, &[]),
    ]));
    assert_eq!(events, [Event::Persisted(vec![o(2), o(3)])]);
    assert_eq!(replica.ids(), [o(1), o(2), o(3)]);
    assert_eq!(sorted(replica.state.parents(o(1))), [o(3)]);
    assert_eq!(replica.done(persist(&[record(1, &[])])), []);
}

#[test]
fn a_persist_with_a_missing_member_changes_nothing() {
    let mut replica = Replica::of_three();
    let (outcome, events) = replica.run(persist(&[record(1, &[]), record(2, &[o(9)])]));
    assert_eq!(
        outcome,
        Err(Refusal::NoMember {
            id: o(2),
            member: o(9)
        })
    );
    assert_eq!(events, []);
    assert_eq!(replica.ids(), []);
}

#[test]
fn an_object_cannot_contain_itself_by_any_detour() {
    let mut replica = Replica::of_three();
    let circle = [
        record(1, &[o(2)]),
        record(2, &[o(3)]),
        record(3, &[o(1)]),
        record(4, &[o(1)]),
    ];
    assert_eq!(
        replica.run(persist(&circle)).0,
        Err(Refusal::Cycle { id: o(1) })
    );
    assert_eq!(
        replica.run(persist(&[record(5, &[o(5)])])).0,
        Err(Refusal::Cycle { id: o(5) })
    );
    assert_eq!(replica.ids(), []);
}

#[test]
fn a_blob_has_no_record_and_reserved_keys_are_no_attributes() {
    let mut replica = Replica::of_three();
    let blob = Record {
        id: b(1),
        ..record(1, &[])
    };
    assert_eq!(
        replica.run(persist(&[blob])).0,
        Err(Refusal::NotAnObject { id: b(1) })
    );
    let mut odd = record(1, &[]);
    odd.attributes.insert("__name".to_owned(), "1".to_owned());
    let refusal = Refusal::ReservedKey {
        id: o(1),
        key: "__name".to_owned(),
    };
    assert_eq!(replica.run(persist(&[odd])).0, Err(refusal));
}

#[test]
fn blob_rows_are_merged() {
    let mut replica = Replica::of_three();
    let blobs = vec![row(b(1), 8, &[i(0)])];
    replica.done(Command::Persist {
        records: vec![record(1, &[b(1)])],
        blobs,
    });
    let mut copy = row(b(1), 8, &[i(1)]);
    copy.checksum = Some(77);
    replica.done(Command::Persist {
        records: vec![],
        blobs: vec![copy],
    });
    let known = replica.state.blob(b(1)).expect("persisted");
    assert_eq!(known.locations, [i(0), i(1)].into());
    assert_eq!(known.checksum, Some(77));
    assert_eq!(sorted(replica.state.held_by(i(1))), [b(1)]);
}

#[test]
fn one_blob_never_has_two_sizes_or_checksums() {
    let mut replica = Replica::of_three();
    let mut first = row(b(1), 8, &[i(0)]);
    first.checksum = Some(5);
    replica.done(Command::Persist {
        records: vec![record(1, &[b(1)])],
        blobs: vec![first],
    });
    let wrong = vec![row(b(1), 9, &[i(1)])];
    let (outcome, _) = replica.run(Command::Persist {
        records: vec![record(2, &[])],
        blobs: wrong,
    });
    assert_eq!(
        outcome,
        Err(Refusal::BlobSize {
            id: b(1),
            known: 8,
            given: 9
        })
    );
    let mut wrong = row(b(1), 8, &[i(1)]);
    wrong.checksum = Some(6);
    let blobs = vec![wrong];
    let (outcome, _) = replica.run(Command::Persist {
        records: vec![record(2, &[])],
        blobs,
    });
    assert_eq!(
        outcome,
        Err(Refusal::BlobChecksum {
            id: b(1),
            known: 5,
            given: 6
        })
    );
    let blobs = vec![row(b(2), 1, &[i(0)]), row(b(2), 2, &[i(0)])];
    let (outcome, _) = replica.run(Command::Persist {
        records: vec![record(2, &[b(2)])],
        blobs,
    });
    assert_eq!(
        outcome,
        Err(Refusal::BlobSize {
            id: b(2),
            known: 1,
            given: 2
        })
    );
    assert_eq!(replica.ids(), [o(1)]);
}

#[test]
fn rows_of_blobs_nothing_refers_to_and_the_empty_blob_are_not_kept() {
    let mut replica = Replica::of_three();
    let blobs = vec![row(b(5), 8, &[i(0)]), row(ObjectId::EMPTY_BLOB, 0, &[i(0)])];
    let records = vec![record(1, &[ObjectId::EMPTY_BLOB])];
    replica.done(Command::Persist { records, blobs });
    assert_eq!(replica.state.blobs().count(), 0);
    assert_eq!(replica.delete(&[o(1)], false, true), (vec![o(1)], vec![]));
}

#[test]
fn a_signature_finds_the_preferred_instance_then_one_that_is_up() {
    let mut replica = Replica::of_three();
    let on = |id, at| Record {
        signature: Signature(5),
        instance: i(at),
        ..record(id, &[])
    };
    replica.done(persist(&[on(1, 0), on(2, 1), on(3, 2), on(4, 2)]));
    assert_eq!(replica.state.by_signature(Signature(5), i(2)), Some(o(3)));
    assert_eq!(replica.state.by_signature(Signature(5), i(9)), Some(o(1)));
    replica.done(Command::Watch {
        instance: i(0),
        reachable: false,
    });
    assert_eq!(replica.state.by_signature(Signature(5), i(9)), Some(o(2)));
    assert_eq!(replica.state.by_signature(Signature(5), i(0)), Some(o(1)));
    replica.delete(&[o(3)], false, false);
    assert_eq!(replica.state.by_signature(Signature(5), i(2)), Some(o(4)));
    assert_eq!(replica.state.by_signature(Signature(6), i(2)), None);
}

#[test]
fn a_global_object_is_not_found_by_its_signature() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[]), global(2, &[o(1)])]));
    assert_eq!(
        replica.state.by_signature(Signature(1001), i(0)),
        Some(o(1))
    );
    assert_eq!(replica.state.by_signature(Signature(1002), i(0)), None);
}

#[test]
fn attributes_are_replaced_and_labels_merged() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[])]));
    let pairs = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let set = |key, value| Command::SetAttributes {
        id: o(1),
        attributes: pairs(key, value),
    };
    let label = |id, key, value| Command::Label {
        id,
        labels: pairs(key, value),
    };
    assert_eq!(
        replica.done(set("nbytes", "9")),
        [Event::ObjectChanged(o(1))]
    );
    replica.done(label(o(1), "a", "1"));
    replica.done(label(o(1), "b", "2"));
    replica.done(label(o(1), "a", "3"));
    let found = replica.state.object(o(1)).expect("persisted");
    assert_eq!(found.attributes, pairs("nbytes", "9"));
    assert_eq!(
        found
            .labels
            .iter()
            .map(|(k, v)| format!("{k}{v}"))
            .collect::<String>(),
        "a3b2"
    );
    assert_eq!(
        replica.run(label(o(2), "a", "1")).0,
        Err(Refusal::NoObject { id: o(2) })
    );
    let refusal = Refusal::ReservedKey {
        id: o(1),
        key: "signature".to_owned(),
    };
    assert_eq!(replica.run(set("signature", "1")).0, Err(refusal));
}

#[test]
fn a_clone_does_not_see_later_writes() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[b(1)])]));
    let before = replica.clone();
    replica.delete(&[o(1)], false, false);
    assert!(before.state.contains(o(1)));
    assert!(!replica.state.contains(o(1)));
}

/// What each edit of a persistent object is refused for, if given again under its id.
#[test]
fn one_id_never_has_two_contents() {
    type Edit = fn(&mut Record);
    let edits: [(&str, Edit); 8] = [
        ("typename", |record| record.typename.push('!')),
        ("signature", |record| record.signature = Signature(1)),
        ("scope", |record| record.global = !record.global),
        ("set of members", |record| drop(record.members.pop_last())),
        ("set of members", |record| {
            let (_, link) = record.members.pop_last().expect("it has members");
            record.members.insert("other".to_owned(), link);
        }),
        ("set of members", |record| {
            let id = b(2);
            let instance = i(0);
            record
                .members
                .insert("m1".to_owned(), Link::Blob { id, instance });
        }),
        ("set of attributes", |record| {
            record
                .attributes
                .insert("nbytes".to_owned(), "9".to_owned());
        }),
        ("set of attributes", |record| record.attributes.clear()),
    ];
    let mut replica = Replica::of_three();
    let whole = [record(1, &[]), record(2, &[o(1), b(1)])];
    replica.done(persist(&whole));
    let digest = |replica: &Replica| {
        let mut state = replica.state.clone();
        state.advance(1_000);
        state.digest()
    };
    let before = digest(&replica);
    for (part, edit) in edits {
        let mut other = whole[1].clone();
        edit(&mut other);
        let refused = Err(Refusal::OtherContent {
            id: o(2),
            part: part.to_owned(),
        });
        assert_eq!(replica.run(persist(&[other.clone()])).0, refused);
        let twice = [record(3, &[]), other];
        assert_eq!(replica.run(persist(&twice)).0, refused, "all or nothing");
        let mut first = Replica::of_three();
        let both = [record(1, &[]), whole[1].clone(), twice[1].clone()];
        assert_eq!(first.run(persist(&both)).0, refused, "in one request");
    }
    assert_eq!(before, digest(&replica));
}

#[test]
fn the_very_same_persist_succeeds_again_whatever_happened_since() {
    let mut replica = Replica::of_three();
    let part = |id, at| Record {
        signature: Signature(5),
        instance: at,
        ..record(id, &[b(id)])
    };
    let link = Link::Object {
        id: o(1),
        signature: Signature(5),
    };
    let whole = Record {
        members: BTreeMap::from([("part".to_owned(), link)]),
        ..global(3, &[])
    };
    let command = persist(&[part(1, i(0)), part(2, i(1)), whole]);
    replica.done(command.clone());
    let pairs = BTreeMap::from([("nbytes".to_owned(), "9".to_owned())]);
    let (id, labels) = (o(3), pairs.clone());
    replica.done(Command::Label { id, labels });
    replica.done(Command::SetAttributes {
        id: o(2),
        attributes: pairs,
    });
    assert_eq!(replica.done(command.clone()), []);
    // The global object reads its part through the signature: it refers to the other copy now.
    replica.delete(&[o(1)], false, false);
    let relinked = replica.state.object(o(3)).expect("persistent");
    assert_eq!(relinked.members["part"].id(), o(2));
    assert_eq!(replica.done(command), [Event::Persisted(vec![o(1)])]);
    // What was set is forgotten with the object.
    replica.delete(&[o(2), o(3)], true, true);
    assert!(replica.state.edited.is_empty());
}
