//! Bytes that a client deleted: the row stays, says so, and is not found again.

use super::*;
use crate::command::Refusal;

/// Object 1 refers to a blob that `holders` have.
fn with_blob(holders: &[InstanceId]) -> Replica {
    let mut replica = Replica::of_three();
    replica.done(Command::Persist {
        records: vec![record(1, &[b(1)])],
        blobs: vec![row(b(1), 8, holders)],
    });
    replica
}

fn rows_of(replica: &Replica) -> (Lost, Vec<InstanceId>) {
    let row = replica.state.blob(b(1)).expect("its object is there");
    (row.lost, row.locations.iter().copied().collect())
}

#[test]
fn a_deleted_blob_says_that_it_was_deleted_and_where() {
    let mut replica = with_blob(&[i(1)]);
    let lost = Event::BlobsLost {
        instance: i(1),
        blobs: vec![b(1)],
    };
    assert_eq!(replica.done(drop_locations(i(1), &[b(1)])), [lost]);
    assert_eq!(rows_of(&replica), (Lost::Deleted(i(1)), vec![]));
    assert_eq!(replica.state.held_by(i(1)).count(), 0);
    assert_eq!(
        replica.done(drop_locations(i(1), &[b(1)])),
        [],
        "said twice"
    );
    // The end of the process that held it is no news of it.
    replica.register(InstanceId::new(NodeId(1), 1));
    assert_eq!(rows_of(&replica), (Lost::Deleted(i(1)), vec![]));
    assert_eq!(
        replica.delete(&[o(1)], false, false),
        (vec![o(1)], vec![b(1)])
    );
}

#[test]
fn a_blob_that_others_hold_only_loses_a_location() {
    let mut replica = with_blob(&[i(0), i(1)]);
    assert_eq!(replica.done(drop_locations(i(1), &[b(1)])), []);
    assert_eq!(rows_of(&replica), (Lost::No, vec![i(0)]));
}

#[test]
fn what_is_not_there_is_ignored() {
    let mut replica = with_blob(&[i(1)]);
    let elsewhere = [b(1), b(9), ObjectId::EMPTY_BLOB, o(1), o(9)];
    assert_eq!(replica.done(drop_locations(i(2), &elsewhere)), []);
    assert_eq!(rows_of(&replica), (Lost::No, vec![i(1)]));
}

#[test]
fn a_persist_that_was_under_way_brings_no_deleted_bytes_back() {
    let mut replica = with_blob(&[i(1)]);
    replica.done(drop_locations(i(1), &[b(1)]));
    let late = |at| Command::Persist {
        records: vec![],
        blobs: vec![row(b(1), 8, &[at])],
    };
    replica.done(late(i(1)));
    assert_eq!(rows_of(&replica), (Lost::Deleted(i(1)), vec![]));
    replica.done(late(i(2)));
    assert_eq!(rows_of(&replica), (Lost::No, vec![i(2)]), "a copy is one");
}

#[test]
fn a_replaced_instance_drops_nothing_and_a_retry_drops_once() {
    let mut replica = with_blob(&[i(0), i(1)]);
    let command = drop_locations(i(0), &[b(1)]);
    let request = Some(key(i(0), 1, 1));
    assert_eq!(replica.entry(request, command.clone()).0, Ok(Applied::Done));
    assert_eq!(replica.entry(request, command), (Ok(Applied::Done), vec![]));
    replica.register(InstanceId::new(NodeId(1), 1));
    let stale = Err(Refusal::Stale { instance: i(1) });
    assert_eq!(replica.run(drop_locations(i(1), &[b(1)])).0, stale);
}
