//! The rules by which new nodes become one cluster, as events and what to do about them.
//!
//! Promise: at most one node founds. A node agrees to one set of nodes, on its disk and for ever. The one with the
//! lowest key of a set founds, and only after one round in which each node of the set said that it has agreed to this
//! set, and nobody said that it is a member of a cluster. Of two sets that all have agreed to, no node is in both. This
//! file knows no disk, network or clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vineyard_wire::peer::{Candidate, Fresh};

/// One of the addresses that a name of `--join` stands for. It is shown with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As in `--join`.
    pub(crate) named: String,
    pub(crate) dialled: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { named, dialled } = self;
        match named == dialled {
            true => f.write_str(named),
            false => write!(f, "{named} ({dialled})"),
        }
    }
}

/// What the node at one address said in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing; why, in words that follow an address.
    Silent(String),
    /// Nothing: the machine refused the connection, so no node listens there.
    Closed,
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
        to: Vec<Address>,
    },
    /// To found the cluster.
    Found,
}

/// One node that waits for its cluster to form.
pub(crate) struct Formation {
    me: Candidate,
    /// The number of this process.
    process: u64,
    expect: usize,
    /// The keys of the fresh nodes that answered in the last round, in order.
    sees: Vec<u128>,
    /// The set that this node has agreed to, in the order of the keys; empty if it has not.
    agreed: Vec<Candidate>,
}

/// A round, sorted: fresh nodes by key, each with the address at which it answered.
#[derive(Default)]
struct Round {
    fresh: BTreeMap<u128, (Address, Fresh)>,
    silent: Vec<(Address, String)>,
    member: Option<String>,
    /// Two processes have the same key; which, for people.
    copied: Option<String>,
}

impl Formation {
    /// `process` is random. `agreed` is what the disk says. A set that was agreed to counts, whatever is expected
    /// today.
    pub(crate) fn new(me: Candidate, process: u64, expect: u8, agreed: Vec<Candidate>) -> Self {
        let expect = match agreed.len() {
            0 => usize::from(expect),
            agreed => agreed,
        };
        Self {
            me,
            process,
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
            process: self.process,
        }
    }

    /// What to do after each address was asked.
    pub(crate) fn round(&mut self, seen: Vec<(Address, Seen)>) -> Step {
        let round = self.sort(seen);
        self.sees = round.fresh.keys().copied().collect();
        if let Some(member) = round.member {
            return Step::Wait(member);
        }
        if let Some(copied) = round.copied {
            return Step::Wait(copied);
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

    fn sort(&self, seen: Vec<(Address, Seen)>) -> Round {
        let mut round = Round::default();
        let is_silent = |seen: &Seen| matches!(seen, Seen::Silent(_) | Seen::Closed);
        let answers = seen.iter().filter(|(_, seen)| !is_silent(seen));
        let answers: BTreeSet<String> = answers.map(|(at, _)| at.named.clone()).collect();
        let own_name = seen.iter().filter(|(at, _)| at.named == self.me.endpoint);
        let has_own_name = own_name.count() == 1;
        // Not every network lets a node reach itself by the address that others dial.
        let is_own = |at: &Address| {
            at.dialled == self.me.endpoint || has_own_name && at.named == self.me.endpoint
        };
        for (at, seen) in seen {
            match seen {
                Seen::Silent(_) | Seen::Closed if is_own(&at) => {
                    round.fresh.insert(self.me.key, (at, self.fresh()));
                }
                // Another family of addresses, or a card at which the node does not listen.
                Seen::Closed if answers.contains(&at.named) => {}
                Seen::Closed => round.silent.push((at, CLOSED.to_owned())),
                Seen::Silent(reason) => round.silent.push((at, reason)),
                Seen::Member(reason) => round.member = Some(format!("{at} {reason}")),
                Seen::Fresh(fresh) => {
                    round.copied = round.copied.take().or(self.copied(&round, &at, &fresh));
                    round.fresh.insert(fresh.candidate.key, (at, fresh));
                }
            }
        }
        round
    }

    /// Which two processes run from copies of one directory, if `fresh` is one of them.
    fn copied(&self, round: &Round, at: &Address, fresh: &Fresh) -> Option<String> {
        let key = fresh.candidate.key;
        let remedy = "one data directory is a copy of the other: stop the node that has the copy, and start it with an \
                      empty one";
        if key == self.me.key {
            let is_own = fresh.process == self.process;
            let key = short(key);
            return (!is_own)
                .then(|| format!("{at} and this node have the same key {key}: {remedy}"));
        }
        let (other, _) = round
            .fresh
            .get(&key)
            .filter(|(_, f)| f.process != fresh.process)?;
        let key = short(key);
        Some(format!(
            "{other} and {at} have the same key {key}: {remedy}"
        ))
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
            return wait(ELSEWHERE.to_owned());
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
        // A copy of the directory that runs at another address founds nothing.
        if !round.fresh.contains_key(&self.me.key) {
            return Step::Wait(ELSEWHERE.to_owned());
        }
        let unasked = others.iter().filter(|(_, f)| f.agreed.is_empty());
        let to: Vec<Address> = unasked.map(|(at, _)| at.clone()).collect();
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

const ELSEWHERE: &str =
    "no address of --join is this node's; it waits for those to form the cluster, and joins it";

/// In words that follow an address.
pub(crate) const CLOSED: &str = "refused the connection";

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
