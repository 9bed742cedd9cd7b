use super::*;
use crate::command::Refusal;

fn publish(records: &[Record], name: &str, id: ObjectId, condition: Condition) -> Command {
    Command::Publish {
        records: records.to_vec(),
        blobs: Vec::new(),
        name: name.to_owned(),
        id,
        condition,
    }
}

/// Asserts that `command` is refused as `refusal` and changes nothing but the index.
fn refused(replica: &mut Replica, command: Command, refusal: Refusal) {
    let mut before = replica.state.clone();
    assert_eq!(replica.run(command), (Err(refusal), vec![]));
    before.advance(replica.state.applied());
    assert_eq!(before.digest(), replica.state.digest());
}

#[test]
fn one_entry_persists_an_object_and_names_it() {
    let mut replica = Replica::of_three();
    let blobs = vec![row(b(1), 8, &[i(0)])];
    let command = Command::Publish {
        records: vec![record(1, &[b(1)])],
        blobs,
        name: "n".to_owned(),
        id: o(1),
        condition: Condition::IfAbsent,
    };
    let named = Event::NameSet {
        name: "n".to_owned(),
        id: o(1),
    };
    assert_eq!(
        replica.done(command),
        [Event::Persisted(vec![o(1)]), named],
        "the events of both"
    );
    assert_eq!(replica.state.name("n"), Some(o(1)));
    assert_eq!(replica.state.latest_name_of(o(1)), Some("n"));
    assert!(replica.state.blob(b(1)).is_some());
}

#[test]
fn a_name_that_is_taken_leaves_the_objects_transient() {
    let mut replica = Replica::of_three();
    replica.done(publish(&[record(1, &[])], "n", o(1), Condition::Always));
    let taken = Refusal::NameTaken {
        name: "n".to_owned(),
        id: o(1),
    };
    let second = publish(&[record(2, &[])], "n", o(2), Condition::IfAbsent);
    refused(&mut replica, second, taken);
    let elsewhere = Refusal::NameElsewhere {
        name: "n".to_owned(),
        expected: o(9),
    };
    let second = publish(&[record(2, &[])], "n", o(2), Condition::IfEquals(o(9)));
    refused(&mut replica, second, elsewhere);
    replica.done(publish(
        &[record(2, &[])],
        "n",
        o(2),
        Condition::IfEquals(o(1)),
    ));
    assert_eq!(replica.state.name("n"), Some(o(2)));
    assert_eq!(replica.ids(), [o(1), o(2)]);
}

#[test]
fn records_that_are_refused_leave_the_name_free() {
    let mut replica = Replica::of_three();
    let no_member = Refusal::NoMember {
        id: o(1),
        member: o(2),
    };
    let command = publish(&[record(1, &[o(2)])], "n", o(1), Condition::Always);
    refused(&mut replica, command, no_member);
    assert_eq!(replica.state.name("n"), None);
}

#[test]
fn the_name_points_to_what_is_persistent_or_becomes_so() {
    let mut replica = Replica::of_three();
    let absent = Refusal::NoObject { id: o(2) };
    let command = publish(&[record(1, &[])], "n", o(2), Condition::Always);
    refused(&mut replica, command, absent);
    replica.done(persist(&[record(2, &[])]));
    let events = replica.done(publish(&[record(2, &[])], "n", o(2), Condition::Always));
    let named = Event::NameSet {
        name: "n".to_owned(),
        id: o(2),
    };
    assert_eq!(events, [named], "it was persistent already");
}

#[test]
fn a_publish_that_is_tried_again_gets_its_first_answer() {
    let mut replica = Replica::of_three();
    let command = publish(&[record(1, &[])], "n", o(1), Condition::IfAbsent);
    let request = Some(key(i(0), 1, 1));
    assert_eq!(replica.entry(request, command.clone()).0, Ok(Applied::Done));
    assert_eq!(
        replica.entry(request, command),
        (Ok(Applied::Done), vec![]),
        "not that its own name is taken"
    );
}
