//! The rules by which new nodes become one cluster, as events and what to do about them.
//!
//! Promise: at most one node founds. A node agrees to one set of nodes, on its disk and for ever. The one with the
//! lowest key of a set founds, and only after one round in which each node of the set said that it has agreed to this
//! set, and nobody said that it is a member of a cluster. Of two sets that all have agreed to, no node is in both. This
//! file knows no disk, network or clock.

use std::collections::BTreeMap;

use vineyard_wire::peer::{Candidate, Fresh};

/// What the node at one address said in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing; why, in words that follow an address.
    Silent(String),
    /// It is a member of a cluster, which does not admit this node yet; why, in words that follow an address.
    Member(String),
    /// No cluster has admitted it either.
    Fresh(Fresh),
}

/// What to do after a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To try again later; what this node waits for.
    Wait(String),
    /// To write to the disk that this node agrees to this set.
    Agree(Vec<Candidate>),
    /// To ask the nodes at these addresses to agree to this set.
    Propose {
        set: Vec<Candidate>,
        to: Vec<String>,
    },
    /// To found the cluster.
    Found,
}

/// One node that waits for its cluster to form.
pub(crate) struct Formation {
    me: Candidate,
    expect: usize,
    /// The keys of the fresh nodes that answered in the last round, in order.
    sees: Vec<u128>,
    /// The set that this node has agreed to, in the order of the keys; empty if it has not.
    agreed: Vec<Candidate>,
}

/// A round, sorted: fresh nodes by key, each with the address at which it answered.
#[derive(Default)]
struct Round {
    fresh: BTreeMap<u128, (String, Fresh)>,
    silent: Vec<(String, String)>,
    member: Option<String>,
}

impl Formation {
    /// `agreed` is what the disk says. A set that was agreed to counts, whatever is expected today.
    pub(crate) fn new(me: Candidate, expect: u8, agreed: Vec<Candidate>) -> Self {
        let expect = match agreed.len() {
            0 => usize::from(expect),
            agreed => agreed,
        };
        Self {
            me,
            expect,
            sees: Vec::new(),
            agreed,
        }
    }

    /// What this node says of itself.
    pub(crate) fn fresh(&self) -> Fresh {
        Fresh {
            candidate: self.me.clone(),
            expect: self.expect as u8,
            sees: self.sees.clone(),
            agreed: self.agreed.clone(),
        }
    }

    /// What to do after each address was asked.
    pub(crate) fn round(&mut self, seen: Vec<(String, Seen)>) -> Step {
        let round = self.sort(seen);
        self.sees = round.fresh.keys().copied().collect();
        if let Some(member) = round.member {
            return Step::Wait(member);
        }
        match self.agreed.is_empty() {
            true => self.gather(&round),
            false => self.complete(&round),
        }
    }

    /// Whether this node may agree to `set`: it does, or why it does not.
    pub(crate) fn may_agree(&self, set: &[Candidate]) -> Result<(), String> {
        let keys = keys(set);
        if !self.agreed.is_empty() {
            return match keys == self::keys(&self.agreed) {
                true => Ok(()),
                false => Err(format!("it has agreed to form {}", name_all(&self.agreed))),
            };
        }
        let is_ordered = keys.is_sorted_by(|one, next| one < next);
        if !is_ordered || keys.len() != self.expect || !keys.contains(&self.me.key) {
            return Err(format!(
                "it expects a cluster of {} with itself, not {}",
                self.expect,
                name_all(set)
            ));
        }
        Ok(())
    }

    /// The disk has it that this node agrees to `set`.
    pub(crate) fn agreed(&mut self, set: Vec<Candidate>) {
        debug_assert_eq!(self.may_agree(&set), Ok(()));
        self.agreed = set;
    }

    fn sort(&self, seen: Vec<(String, Seen)>) -> Round {
        let mut round = Round::default();
        for (at, seen) in seen {
            match seen {
                // Not every network lets a node reach itself by the address that others dial.
                Seen::Silent(_) if at == self.me.endpoint => {
                    round.fresh.insert(self.me.key, (at, self.fresh()));
                }
                Seen::Silent(reason) => round.silent.push((at, reason)),
                Seen::Member(reason) => round.member = Some(format!("{at} {reason}")),
                Seen::Fresh(fresh) => {
                    round.fresh.insert(fresh.candidate.key, (at, fresh));
                }
            }
        }
        round
    }

    /// Before this node has agreed to a set: do all addresses belong to as many new nodes as are expected?
    fn gather(&self, round: &Round) -> Step {
        let Round { fresh, silent, .. } = round;
        let wait = |reason: String| Step::Wait(reason);
        let others = || {
            fresh
                .values()
                .filter(|(_, f)| f.candidate.key != self.me.key)
        };
        if let Some((at, other)) = others().find(|(_, f)| usize::from(f.expect) != self.expect) {
            return wait(format!(
                "{at} was started with --expect {}, and this node with --expect {}: start them alike",
                other.expect, self.expect
            ));
        }
        if !silent.is_empty() || fresh.len() < self.expect {
            return wait(self.who_is_missing(round));
        }
        if !fresh.contains_key(&self.me.key) {
            return wait(
                "no address of --join is this node's; it waits for those to form the cluster, and joins it"
                    .to_owned(),
            );
        }
        if fresh.len() > self.expect {
            return wait(format!(
                "{} new nodes answer at the addresses of --join, and --expect is {}: name as many nodes as are \
                 expected, and start the others with --join alone",
                fresh.len(),
                self.expect
            ));
        }
        let set: Vec<Candidate> = fresh.values().map(|(_, f)| f.candidate.clone()).collect();
        let has_another = |f: &Fresh| !f.agreed.is_empty() && keys(&f.agreed) != keys(&set);
        if let Some((at, other)) = others().find(|(_, f)| has_another(f)) {
            return wait(format!("{at} {}", awaited(other, &set)));
        }
        if let Some((at, _)) = others().find(|(_, f)| f.sees != self.sees) {
            return wait(format!("waiting until {at} sees all {}", self.expect));
        }
        match set[0].key == self.me.key {
            true => Step::Agree(set),
            false => wait(format!(
                "waiting for {} to propose the cluster",
                set[0].endpoint
            )),
        }
    }

    fn who_is_missing(&self, round: &Round) -> String {
        let missing = self.expect.saturating_sub(round.fresh.len()).max(1);
        let silent = round.silent.iter();
        let reasons: Vec<String> = silent
            .map(|(at, reason)| format!("{at} does not answer: {reason}"))
            .collect();
        let reasons = match reasons.is_empty() {
            true => format!("--join names {} nodes that answer", round.fresh.len()),
            false => reasons.join("; "),
        };
        format!("waiting for {missing} of {}: {reasons}", self.expect)
    }

    /// After this node has agreed to a set: nothing but this set can become of it.
    fn complete(&self, round: &Round) -> Step {
        let set = &self.agreed;
        let awaited: Vec<&Candidate> = set
            .iter()
            .filter(|one| one.key != self.me.key && !round.fresh.contains_key(&one.key))
            .collect();
        if !awaited.is_empty() {
            return Step::Wait(self.who_is_awaited(&awaited, round));
        }
        let of_set = set.iter().filter_map(|one| round.fresh.get(&one.key));
        let others: Vec<_> = of_set
            .filter(|(_, f)| f.candidate.key != self.me.key)
            .collect();
        let has_another = |f: &Fresh| !f.agreed.is_empty() && keys(&f.agreed) != keys(set);
        if let Some((at, other)) = others.iter().find(|(_, f)| has_another(f)) {
            return Step::Wait(format!(
                "{at} has agreed to form {}",
                name_all(&other.agreed)
            ));
        }
        if set[0].key != self.me.key {
            return Step::Wait(format!(
                "waiting for {} to found the cluster",
                set[0].endpoint
            ));
        }
        let unasked = others.iter().filter(|(_, f)| f.agreed.is_empty());
        let to: Vec<String> = unasked.map(|(at, _)| at.clone()).collect();
        match to.is_empty() {
            true => Step::Found,
            false => Step::Propose {
                set: set.clone(),
                to,
            },
        }
    }

    fn who_is_awaited(&self, awaited: &[&Candidate], round: &Round) -> String {
        let of_set = keys(&self.agreed);
        let is_replaced = round.fresh.keys().any(|key| !of_set.contains(key));
        let names: Vec<String> = awaited.iter().map(|one| name(one)).collect();
        let reason = match is_replaced {
            true => REMEDY,
            false => "start it with its data directory",
        };
        format!(
            "waiting for {} of {}: this node has agreed to form the cluster with {}, which does not answer; {reason}",
            awaited.len(),
            self.agreed.len(),
            names.join(" and "),
        )
    }
}

/// What to do about a set of which a directory is lost.
const REMEDY: &str = "another data directory answers in its place. Start it with the one of that key; only if that one \
                      is lost, and no node serves yet, empty the data directories of all nodes that form the cluster \
                      and start them again";

fn keys(set: &[Candidate]) -> Vec<u128> {
    set.iter().map(|one| one.key).collect()
}

/// What follows the address of a node that has agreed to another set than the one that answers now.
fn awaited(other: &Fresh, now: &[Candidate]) -> String {
    let now = keys(now);
    let gone = other.agreed.iter().filter(|one| !now.contains(&one.key));
    let gone: Vec<String> = gone.map(name).collect();
    format!(
        "has agreed to form the cluster with {}: {REMEDY}",
        gone.join(" and ")
    )
}

/// A key for people: enough of it to tell a few directories apart.
pub(crate) fn short(key: u128) -> String {
    format!("{:08x}", key >> 96)
}

fn name(one: &Candidate) -> String {
    format!("key {} ({})", short(one.key), one.endpoint)
}

fn name_all(set: &[Candidate]) -> String {
    let names: Vec<String> = set.iter().map(name).collect();
    format!("a cluster of {}", names.join(", "))
}

#[cfg(test)]
mod tests;
