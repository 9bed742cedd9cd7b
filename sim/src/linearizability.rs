//! Is there one order of these calls that explains what every client was told?
//!
//! Promise: exact. `check` accepts a history of one name if and only if the calls can be put in an order that respects
//! real time (a call that returned before another was invoked comes first) and in which each answer is what a single
//! register would have said. Wing and Gong's search with Lowe's memory of states already tried. It knows nothing of
//! nodes, networks or time: only the order of moments counts.

use std::collections::BTreeSet;

use vineyard_wire::ObjectId;

use crate::history::{Ask, Call, Told};

/// A name: what it points to.
pub type Register = Option<ObjectId>;

/// How far a search may go before it gives up; a history of one name stays far below.
const STEPS_MAX: usize = 2_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order explains it; the calls of the longest explained prefix, as indices into the history.
    Broken {
        explained: Vec<usize>,
    },
    /// The search was cut off.
    Undecided,
}

/// What the register would become if `call` took effect now, or `None` if its answer says otherwise.
fn step(register: Register, call: &Call) -> Option<Register> {
    let (after, says) = match call.ask {
        Ask::Read => (register, Told::Found(register)),
        // A put that was certainly refused, as when there was no memory.
        Ask::Put(_) if call.told == Told::Refused => (register, Told::Refused),
        Ask::Put(id) => (Some(id), Told::Done),
        Ask::PutIfAbsent(id) if register.is_none() => (Some(id), Told::Done),
        Ask::PutIfEquals(expected, id) if register == Some(expected) => (Some(id), Told::Done),
        Ask::PutIfAbsent(_) | Ask::PutIfEquals(..) => (register, Told::Refused),
        Ask::Drop if register.is_some() => (None, Told::Done),
        // Dropping a name that is not there may be answered either way; nothing changes.
        Ask::Drop => (
            None,
            if call.told == Told::Refused {
                Told::Refused
            } else {
                Told::Done
            },
        ),
    };
    (call.told == Told::Unknown || call.told == says).then_some(after)
}

/// Checks the calls of one name, which pointed to `first` at the beginning.
pub fn check(first: Register, calls: &[Call]) -> Verdict {
    let useful = |call: &Call| !(call.told == Told::Unknown && call.ask == Ask::Read);
    let calls: Vec<(usize, &Call)> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| useful(call))
        .collect();
    Search::new(first, &calls).run()
}

/// Which calls have taken effect, one bit each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set(Vec<u64>);

impl Set {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn put(&mut self, index: usize, on: bool) {
        let bit = 1 << (index % 64);
        if on {
            self.0[index / 64] |= bit;
        } else {
            self.0[index / 64] &= !bit;
        }
    }
}

struct Search<'a> {
    /// In the order of their invocation.
    calls: Vec<(usize, &'a Call)>,
    taken: Set,
    /// The calls that took effect, with the register before each.
    path: Vec<(usize, Register)>,
    register: Register,
    seen: BTreeSet<(Set, Register)>,
    longest: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(first: Register, calls: &[(usize, &'a Call)]) -> Self {
        let mut calls = calls.to_vec();
        calls.sort_by_key(|(index, call)| (call.invoked, *index));
        let taken = Set(vec![0; calls.len().div_ceil(64)]);
        Self {
            calls,
            taken,
            path: Vec::new(),
            register: first,
            seen: BTreeSet::new(),
            longest: Vec::new(),
        }
    }

    fn run(mut self) -> Verdict {
        let mut from = 0;
        for _ in 0..STEPS_MAX {
            if self.is_explained() {
                return Verdict::Linearizable;
            }
            match self.advance(from) {
                true => from = 0,
                false => match self.path.pop() {
                    None => {
                        return Verdict::Broken {
                            explained: self.longest,
                        };
                    }
                    Some((position, register)) => {
                        self.taken.put(position, false);
                        self.register = register;
                        from = position + 1;
                    }
                },
            }
        }
        Verdict::Undecided
    }

    /// Every call with a known answer has its place; the others need none.
    fn is_explained(&self) -> bool {
        let placed = |(position, (_, call)): (usize, &(usize, &Call))| {
            call.told == Told::Unknown || self.taken.has(position)
        };
        self.calls.iter().enumerate().all(placed)
    }

    /// Lets the first call at or after `from` that may come next, and leads somewhere new, take effect.
    fn advance(&mut self, from: usize) -> bool {
        let deadline = self.first_return();
        for position in from..self.calls.len() {
            let call = self.calls[position].1;
            if call.invoked > deadline {
                break;
            }
            if self.taken.has(position) {
                continue;
            }
            let Some(after) = step(self.register, call) else {
                continue;
            };
            self.taken.put(position, true);
            if self.seen.insert((self.taken.clone(), after)) {
                self.path.push((position, self.register));
                self.register = after;
                if self.path.len() > self.longest.len() {
                    self.longest = self.path.iter().map(|(at, _)| self.calls[*at].0).collect();
                }
                return true;
            }
            self.taken.put(position, false);
        }
        false
    }

    /// A call invoked after this moment cannot come next: another had returned before, and has no place yet.
    fn first_return(&self) -> u64 {
        let open = self
            .calls
            .iter()
            .enumerate()
            .filter(|(position, _)| !self.taken.has(*position));
        open.map(|(_, (_, call))| call.returned)
            .min()
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
