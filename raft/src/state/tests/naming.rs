use vineyard_env::{Fault, Faults};

use super::*;
use crate::command::Refusal;

fn two() -> Replica {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[]), record(2, &[])]));
    replica
}

#[test]
fn a_name_points_to_one_object_and_the_last_put_wins() {
    let mut replica = two();
    replica.done(put_name("x", o(1), Condition::Always));
    let events = replica.done(put_name("x", o(2), Condition::Always));
    assert_eq!(
        events,
        [Event::NameSet {
            name: "x".to_owned(),
            id: o(2)
        }]
    );
    assert_eq!(replica.state.name("x"), Some(o(2)));
    assert_eq!(replica.state.names_of(o(1)).count(), 0);
}

#[test]
fn an_object_shows_the_name_it_was_given_last() {
    let mut replica = two();
    replica.done(put_name("b", o(1), Condition::Always));
    replica.done(put_name("a", o(1), Condition::Always));
    assert_eq!(replica.state.latest_name_of(o(1)), Some("a"));
    assert_eq!(replica.state.names_of(o(1)).collect::<Vec<_>>(), ["a", "b"]);
    replica.done(Command::DropName {
        name: "a".to_owned(),
    });
    assert_eq!(replica.state.latest_name_of(o(1)), Some("b"));
}

#[test]
fn a_missing_object_cannot_be_named() {
    let mut replica = two();
    let (outcome, events) = replica.run(put_name("x", o(9), Condition::Always));
    assert_eq!(
        (outcome, events),
        (Err(Refusal::NoObject { id: o(9) }), vec![])
    );
}

#[test]
fn if_absent_sets_a_free_name_only() {
    let mut replica = two();
    replica.done(put_name("x", o(1), Condition::IfAbsent));
    let taken = Refusal::NameTaken {
        name: "x".to_owned(),
        id: o(1),
    };
    assert_eq!(
        replica.run(put_name("x", o(2), Condition::IfAbsent)).0,
        Err(taken)
    );
    replica.delete(&[o(1)], false, false);
    replica.done(put_name("x", o(2), Condition::IfAbsent));
}

#[test]
fn if_equals_sets_a_name_that_points_there_only() {
    let mut replica = two();
    let elsewhere = Refusal::NameElsewhere {
        name: "x".to_owned(),
        expected: o(1),
    };
    let swap = put_name("x", o(2), Condition::IfEquals(o(1)));
    assert_eq!(replica.run(swap.clone()).0, Err(elsewhere.clone()));
    replica.done(put_name("x", o(1), Condition::Always));
    replica.done(swap.clone());
    assert_eq!(replica.run(swap).0, Err(elsewhere));
}

#[test]
fn dropping_a_name_twice_is_refused() {
    let mut replica = two();
    replica.done(put_name("x", o(1), Condition::Always));
    let drop = Command::DropName {
        name: "x".to_owned(),
    };
    assert_eq!(
        replica.done(drop.clone()),
        [Event::NameDropped {
            name: "x".to_owned()
        }]
    );
    assert_eq!(
        replica.run(drop).0,
        Err(Refusal::NoName {
            name: "x".to_owned()
        })
    );
}

/// A state whose process ignores conditions.
struct IgnoresConditions;

impl Faults for IgnoresConditions {
    fn has(&self, fault: Fault) -> bool {
        fault == Fault::PutNameIgnoresCondition
    }

    fn received(&self, body: Vec<u8>) -> Vec<u8> {
        body
    }
}

#[test]
fn an_injected_fault_lasts_as_long_as_the_process_has_it() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[]), record(2, &[])]));
    replica.done(put_name("x", o(1), Condition::IfAbsent));
    let entry = Entry {
        version: VERSION,
        request: None,
        at_unix_ms: replica.now_unix_ms,
        command: put_name("x", o(2), Condition::IfAbsent),
    };
    let index = replica.state.applied() + 1;
    let (outcome, _) = replica.state.apply(index, &entry, &IgnoresConditions);
    outcome.expect("the condition is ignored");
    let taken = Refusal::NameTaken {
        name: "x".to_owned(),
        id: o(2),
    };
    assert_eq!(
        replica.run(put_name("x", o(1), Condition::IfAbsent)).0,
        Err(taken)
    );
}
