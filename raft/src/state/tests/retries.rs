use super::*;
use crate::command::Refusal;

#[test]
fn a_retry_gets_the_first_outcome_and_does_nothing() {
    let mut replica = Replica::of_three();
    replica.done(persist(&[record(1, &[])]));
    let command = delete(&[o(1)], false, false);
    let first = replica.entry(Some(key(i(0), 0, 0)), command.clone());
    let second = replica.entry(Some(key(i(0), 0, 0)), command);
    assert_eq!(first.0, second.0);
    assert_eq!(second.1, []);
}

#[test]
fn a_retried_refusal_stays_refused() {
    let mut replica = Replica::of_three();
    let command = put_name("x", o(1), Condition::Always);
    let request = Some(key(i(0), 5, 0));
    let refusal = Err(Refusal::NoObject { id: o(1) });
    assert_eq!(replica.entry(request, command.clone()).0, refusal);
    replica.done(persist(&[record(1, &[])]));
    assert_eq!(replica.entry(request, command).0, refusal);
}

#[test]
fn what_was_answered_is_forgotten_and_refused() {
    let mut replica = Replica::of_three();
    for sequence in 0..10 {
        replica
            .entry(Some(key(i(0), sequence, sequence)), persist(&[]))
            .0
            .expect("persists");
    }
    assert_eq!(replica.state.outcomes_kept(), 1);
    let retry = replica.entry(Some(key(i(0), 8, 8)), persist(&[record(1, &[])]));
    assert_eq!(retry.0, Err(Refusal::Forgotten));
    let retry = replica.entry(Some(key(i(0), 8, 0)), persist(&[record(1, &[])]));
    assert_eq!(retry.0, Err(Refusal::Forgotten));
    assert!(!replica.state.contains(o(1)));
}

#[test]
fn requests_may_arrive_out_of_order() {
    let mut replica = Replica::of_three();
    replica
        .entry(Some(key(i(0), 3, 1)), persist(&[record(3, &[])]))
        .0
        .expect("persists");
    replica
        .entry(Some(key(i(0), 1, 1)), persist(&[record(1, &[])]))
        .0
        .expect("persists");
    replica
        .entry(Some(key(i(1), 1, 0)), persist(&[record(2, &[])]))
        .0
        .expect("persists");
    assert_eq!(replica.ids(), [o(1), o(2), o(3)]);
}

#[test]
fn writes_of_a_replaced_instance_are_refused() {
    let mut replica = Replica::of_three();
    let answered = Some(key(i(1), 0, 0));
    replica
        .entry(answered, persist(&[record(1, &[])]))
        .0
        .expect("persists");
    replica.register(InstanceId::new(NodeId(1), 1));
    let stale = Err(Refusal::Stale { instance: i(1) });
    assert_eq!(replica.entry(answered, persist(&[record(1, &[])])).0, stale);
    assert_eq!(
        replica
            .entry(Some(key(i(1), 9, 0)), persist(&[record(2, &[])]))
            .0,
        stale
    );
    assert_eq!(replica.state.outcomes_kept(), 0);
}

#[test]
fn a_boot_may_be_registered_under_its_own_key_or_the_replaced_ones() {
    for writer in [0, 1] {
        let mut replica = Replica::of_three();
        let boot = |boot| InstanceId::new(NodeId(1), boot);
        let register = |boot| Command::Register {
            instance: instance(boot),
        };
        let request = Some(key(boot(writer), 0, 0));
        assert_eq!(
            replica.entry(request, register(boot(1))).0,
            Ok(Applied::Done)
        );
        assert_eq!(
            replica.entry(request, register(boot(1))).0,
            Ok(Applied::Done)
        );
        let stale = replica.entry(Some(key(boot(0), 7, 0)), register(boot(0))).0;
        assert_eq!(stale, Err(Refusal::Stale { instance: boot(0) }));
    }
}

#[test]
fn an_instance_that_never_says_what_was_answered_cannot_fill_the_memory() {
    let mut state = Replica::of_three().state;
    for sequence in 0..70_000 {
        let request = Some(key(i(0), sequence, 0));
        let entry = Entry {
            version: VERSION,
            request,
            at_unix_ms: 0,
            command: persist(&[]),
        };
        state
            .apply(state.applied() + 1, &entry, &NoFaults)
            .0
            .expect("persists");
    }
    assert_eq!(state.outcomes_kept(), 1 << 16);
}
