use super::*;
use crate::command::Refusal;

fn acquire(name: &str, owner: InstanceId) -> Command {
    Command::AcquireLock {
        name: name.to_owned(),
        owner,
        lease_ms: 100,
    }
}

fn token(outcome: Outcome) -> u64 {
    match outcome {
        Ok(Applied::Locked { token }) => token,
        other => panic!("not locked: {other:?}"),
    }
}

#[test]
fn a_held_lock_is_refused_to_everyone_even_its_owner() {
    let mut replica = Replica::of_three();
    let first = token(replica.run(acquire("k", i(0))).0);
    let held = Refusal::Locked {
        name: "k".to_owned(),
        token: first,
    };
    assert_eq!(replica.run(acquire("k", i(0))).0, Err(held.clone()));
    assert_eq!(replica.run(acquire("k", i(1))).0, Err(held));
    assert!(token(replica.run(acquire("other", i(1))).0) > first);
}

#[test]
fn a_lease_that_ended_can_be_taken_with_a_greater_token() {
    let mut replica = Replica::of_three();
    let first = token(replica.run(acquire("k", i(0))).0);
    replica.now_unix_ms += 99;
    assert!(replica.run(acquire("k", i(1))).0.is_err());
    replica.now_unix_ms += 1;
    let second = token(replica.run(acquire("k", i(1))).0);
    assert!(second > first);
    let late = Command::ReleaseLock {
        name: "k".to_owned(),
        token: first,
    };
    assert_eq!(
        replica.run(late).0,
        Err(Refusal::NotLocked {
            name: "k".to_owned(),
            token: first
        })
    );
    let freed = replica.done(Command::ReleaseLock {
        name: "k".to_owned(),
        token: second,
    });
    assert_eq!(
        freed,
        [Event::LockFreed {
            name: "k".to_owned()
        }]
    );
    assert_eq!(replica.state.locks().count(), 0);
}

#[test]
fn leases_that_ended_do_not_pile_up() {
    let mut replica = Replica::of_three();
    for n in 0..10 {
        token(replica.run(acquire(&format!("k{n}"), i(0))).0);
    }
    replica.now_unix_ms += 100;
    let (_, events) = replica.run(acquire("last", i(0)));
    assert_eq!(events.len(), 10);
    assert_eq!(
        replica
            .state
            .locks()
            .map(|(name, _)| name)
            .collect::<Vec<_>>(),
        ["last"]
    );
}

#[test]
fn locks_of_a_replaced_instance_are_free() {
    let mut replica = Replica::of_three();
    token(replica.run(acquire("k", i(1))).0);
    let events = replica.register(InstanceId::new(NodeId(1), 1));
    assert!(events.contains(&Event::LockFreed {
        name: "k".to_owned()
    }));
    assert_eq!(
        replica.run(acquire("k", i(1))).0,
        Err(Refusal::Stale { instance: i(1) })
    );
    token(replica.run(acquire("k", i(0))).0);
}

#[test]
fn a_lease_of_any_length_ends() {
    let mut replica = Replica::of_three();
    let command = Command::AcquireLock {
        name: "k".to_owned(),
        owner: i(0),
        lease_ms: u64::MAX,
    };
    token(replica.run(command).0);
    assert_eq!(
        replica.state.lock("k").map(|lock| lock.until_unix_ms),
        Some(u64::MAX)
    );
}
