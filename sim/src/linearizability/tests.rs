//! The checker itself is checked: histories broken by hand, and stateright's tester as a second opinion.

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use vineyard_wire::ObjectId;

use super::{Verdict, check};
use crate::chance::Chance;
use crate::history::{Ask, Call, Told};

const A: ObjectId = ObjectId(1);
const B: ObjectId = ObjectId(2);
const C: ObjectId = ObjectId(3);

/// A call from one moment to another; a `returned` of 0 stands for "never".
fn call(invoked: u64, returned: u64, ask: Ask, told: Told) -> Call {
    let returned = if returned == 0 { u64::MAX } else { returned };
    Call {
        client: 0,
        ask,
        told,
        invoked,
        returned,
    }
}

fn found(id: ObjectId) -> Told {
    Told::Found(Some(id))
}

const NOTHING: Told = Told::Found(None);

fn accepts(calls: &[Call]) -> bool {
    check(None, calls) == Verdict::Linearizable
}

#[test]
fn an_honest_history_is_accepted() {
    assert!(accepts(&[]));
    assert!(accepts(&[
        call(1, 2, Ask::Read, NOTHING),
        call(3, 6, Ask::Put(A), Told::Done),
        call(4, 5, Ask::Read, NOTHING),
        call(7, 8, Ask::Read, found(A)),
        call(9, 10, Ask::PutIfAbsent(B), Told::Refused),
        call(11, 12, Ask::PutIfEquals(A, B), Told::Done),
        call(13, 14, Ask::Drop, Told::Done),
        call(15, 16, Ask::Read, NOTHING),
    ]));
}

#[test]
fn an_unknown_write_may_take_effect_late_or_never() {
    let unknown = call(1, 0, Ask::Put(A), Told::Unknown);
    assert!(accepts(&[unknown.clone(), call(2, 3, Ask::Read, NOTHING)]));
    assert!(accepts(&[
        unknown.clone(),
        call(2, 3, Ask::Put(B), Told::Done),
        call(4, 5, Ask::Read, found(B)),
        call(6, 7, Ask::Read, found(A)),
    ]));
    // But not twice.
    assert!(!accepts(&[
        unknown,
        call(2, 3, Ask::Read, found(A)),
        call(4, 5, Ask::Put(B), Told::Done),
        call(6, 7, Ask::Read, found(A)),
    ]));
}

type Broken = Vec<(&'static str, Vec<Call>)>;

fn put_a() -> Call {
    call(1, 2, Ask::Put(A), Told::Done)
}

fn broken_reads() -> Broken {
    vec![
        (
            "a read of what nobody wrote",
            vec![call(1, 2, Ask::Read, found(A))],
        ),
        (
            "an acknowledged put is lost",
            vec![put_a(), call(3, 4, Ask::Read, NOTHING)],
        ),
        (
            "a stale read",
            vec![
                put_a(),
                call(3, 4, Ask::Put(B), Told::Done),
                call(5, 6, Ask::Read, found(A)),
            ],
        ),
        (
            "two readers see two orders",
            vec![
                call(1, 10, Ask::Put(A), Told::Done),
                call(2, 9, Ask::Put(B), Told::Done),
                call(11, 12, Ask::Read, found(A)),
                call(13, 14, Ask::Read, found(B)),
            ],
        ),
        (
            "a value comes back during a read that follows",
            vec![
                put_a(),
                call(3, 10, Ask::Put(B), Told::Done),
                call(4, 5, Ask::Read, found(B)),
                call(6, 7, Ask::Read, found(A)),
            ],
        ),
    ]
}

fn broken_conditions() -> Broken {
    vec![
        (
            "if-absent succeeds over a name",
            vec![put_a(), call(3, 4, Ask::PutIfAbsent(B), Told::Done)],
        ),
        (
            "if-absent is refused over nothing",
            vec![call(1, 2, Ask::PutIfAbsent(A), Told::Refused)],
        ),
        (
            "two if-absent both win",
            vec![
                call(1, 4, Ask::PutIfAbsent(A), Told::Done),
                call(2, 3, Ask::PutIfAbsent(B), Told::Done),
            ],
        ),
        (
            "if-equals succeeds over another",
            vec![put_a(), call(3, 4, Ask::PutIfEquals(B, C), Told::Done)],
        ),
        (
            "if-equals is refused over its own",
            vec![put_a(), call(3, 4, Ask::PutIfEquals(A, C), Told::Refused)],
        ),
        (
            "two if-equals both win",
            vec![
                put_a(),
                call(3, 6, Ask::PutIfEquals(A, B), Told::Done),
                call(4, 5, Ask::PutIfEquals(A, C), Told::Done),
            ],
        ),
        (
            "a dropped name is read",
            vec![
                put_a(),
                call(3, 4, Ask::Drop, Told::Done),
                call(5, 6, Ask::Read, found(A)),
            ],
        ),
        (
            "a drop misses what is there",
            vec![put_a(), call(3, 4, Ask::Drop, Told::Refused)],
        ),
        (
            "a refused put takes effect",
            vec![
                put_a(),
                call(3, 4, Ask::PutIfAbsent(B), Told::Refused),
                call(5, 6, Ask::Read, found(B)),
            ],
        ),
        (
            "a write is read before it was asked",
            vec![
                call(1, 2, Ask::Read, found(A)),
                call(3, 4, Ask::Put(A), Told::Done),
            ],
        ),
    ]
}

#[test]
fn histories_broken_by_hand_are_rejected() {
    for (name, calls) in broken_reads().into_iter().chain(broken_conditions()) {
        assert!(
            matches!(check(None, &calls), Verdict::Broken { .. }),
            "accepted: {name}"
        );
    }
}

/// The same register, as stateright wants it told.
#[derive(Clone)]
struct Name(Option<ObjectId>);

impl SequentialSpec for Name {
    type Op = Ask;
    type Ret = Told;

    fn invoke(&mut self, ask: &Ask) -> Told {
        match *ask {
            Ask::Read => return Told::Found(self.0),
            Ask::Put(id) => self.0 = Some(id),
            Ask::PutIfAbsent(id) if self.0.is_none() => self.0 = Some(id),
            Ask::PutIfEquals(expected, id) if self.0 == Some(expected) => self.0 = Some(id),
            Ask::Drop if self.0.is_some() => self.0 = None,
            _ => return Told::Refused,
        }
        Told::Done
    }

    fn is_valid_step(&mut self, ask: &Ask, told: &Told) -> bool {
        // A put that was refused, as when there was no memory, changes nothing.
        if matches!(ask, Ask::Put(_)) && *told == Told::Refused {
            return true;
        }
        // A drop of nothing may be answered either way.
        let drop_of_nothing = *ask == Ask::Drop && self.0.is_none();
        self.invoke(ask) == *told || (drop_of_nothing && *told == Told::Done)
    }
}

/// A random history over one name: answers of a real register at a random moment of each call, some of them falsified.
fn random_history(chance: &mut Chance) -> Vec<Call> {
    let ids = [A, B, C];
    let mut register = Name(None);
    let mut open: Vec<(usize, Option<Told>)> = Vec::new();
    let mut calls: Vec<Call> = Vec::new();
    let count = 3 + chance.index(6);
    let falsified = chance.happens(500);
    for moment in 1..200 {
        let may_invoke = calls.len() < count && open.len() < 3;
        if may_invoke && (open.is_empty() || chance.happens(400)) {
            let [one, other] = [ids[chance.index(3)], ids[chance.index(3)]];
            let asks = [
                Ask::Read,
                Ask::Read,
                Ask::Put(one),
                Ask::PutIfAbsent(one),
                Ask::PutIfEquals(other, one),
                Ask::Drop,
            ];
            let ask = asks[chance.index(asks.len())];
            open.push((calls.len(), None));
            calls.push(call(moment, 0, ask, Told::Unknown));
        } else if !open.is_empty() {
            let at = chance.index(open.len());
            let (index, told) = open[at];
            if let Some(told) = told {
                if !chance.happens(150) {
                    calls[index].told = told;
                    calls[index].returned = moment;
                }
                open.remove(at);
            } else {
                let told = register.invoke(&calls[index].ask);
                let lie = falsified && chance.happens(250);
                open[at].1 = Some(if lie {
                    falsify(told, ids[chance.index(3)])
                } else {
                    told
                });
            }
        }
    }
    calls
}

fn falsify(told: Told, id: ObjectId) -> Told {
    match told {
        Told::Found(_) => Told::Found(Some(id)),
        Told::Done => Told::Refused,
        _ => Told::Done,
    }
}

fn stateright_accepts(calls: &[Call]) -> bool {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        moments.push((call.invoked, index, false));
        if call.returned != u64::MAX {
            moments.push((call.returned, index, true));
        }
    }
    moments.sort_unstable();
    let mut tester = LinearizabilityTester::new(Name(None));
    for (_, index, returns) in moments {
        let told = if returns {
            tester.on_return(index, calls[index].told)
        } else {
            tester.on_invoke(index, calls[index].ask)
        };
        told.expect("each call has a thread of its own");
    }
    tester.is_consistent()
}

#[test]
fn stateright_agrees_on_a_thousand_random_histories() {
    let mut chance = Chance::new(2026);
    let mut accepted = 0;
    for number in 0..1000 {
        let calls = random_history(&mut chance);
        let ours = accepts(&calls);
        assert_eq!(
            ours,
            stateright_accepts(&calls),
            "history {number}: {calls:?}"
        );
        accepted += usize::from(ours);
    }
    assert!(
        (300..900).contains(&accepted),
        "{accepted} of 1000: the histories are too alike"
    );
}
