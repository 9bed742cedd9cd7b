//! Faults that a run can be given on purpose, to show that the checks would find them.
//!
//! They stand where they would stand in real life, in the node and the raft group, which ask `Env` for them; a codec
//! that loses digits is imitated in front of the real one. This file knows their names, which no binary of the product
//! has.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use vineyard_env::{Fault, Faults};

use crate::scenarios::{
    a_drained_node_is_started_anew, a_lost_majority_is_recovered, a_side_of_a_stream_dies,
    a_stranger_asks_to_join, an_older_boot_says_where_it_is, dead_nodes_are_removed,
    new_nodes_form_one_cluster, the_cluster_is_cut_in_two, the_disk_forgets,
};
use crate::seed::run_seed;
use crate::stage::{Outcome, Settings};

/// A fault that can be injected.
#[derive(Clone, Copy)]
pub struct InjectedFault(&'static Known);

/// A fault, its name and what it does.
struct Known {
    name: &'static str,
    what: &'static str,
    /// The promise that it breaks, as the README calls it.
    breaks: &'static str,
    /// The run that is to find it.
    play: Play,
    effect: Effect,
}

/// A run: a seed as any other, or a scenario.
pub type Play = fn(Settings) -> Outcome;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The product asks whether it has this.
    Asked(Fault),
    /// Integers of a request pass through a float before the decoder sees them.
    RoundsIntegers,
}

/// Every fault that can be injected.
static ALL: [Known; 19] = [
    Known {
        name: "stale_name_read",
        what: "handler: get_name answers from the local state, without the quorum",
        breaks: "Linearizable",
        play: run_seed,
        effect: Effect::Asked(Fault::StaleNameRead),
    },
    Known {
        name: "leaked_reference",
        what: "handler: a connection that closes keeps its references",
        breaks: "Dead clients leak nothing",
        play: run_seed,
        effect: Effect::Asked(Fault::LeakedReference),
    },
    Known {
        name: "put_name_ignores_condition",
        what: "apply: a conditional put_name puts in any case",
        breaks: "Atomic",
        play: run_seed,
        effect: Effect::Asked(Fault::PutNameIgnoresCondition),
    },
    Known {
        name: "retry_applies_again",
        what: "apply: a retried command takes effect a second time",
        breaks: "Linearizable",
        play: run_seed,
        effect: Effect::Asked(Fault::RetryAppliesAgain),
    },
    Known {
        name: "codec_rounds_integers",
        what: "codec: integers of a request pass through a float",
        breaks: "Immutable",
        play: run_seed,
        effect: Effect::RoundsIntegers,
    },
    Known {
        name: "ack_before_durable",
        what: "log: entries count as durable before the disk synced them",
        breaks: "Durable ack",
        play: the_disk_forgets::play,
        effect: Effect::Asked(Fault::AckBeforeDurable),
    },
    Known {
        name: "status_trusts_the_last_leader",
        what: "status: a majority counts as following for as long as a leader is believed in",
        breaks: "No hang",
        play: run_seed,
        effect: Effect::Asked(Fault::StatusTrustsTheLastLeader),
    },
    Known {
        name: "older_boot_accepted",
        what: "addresses: the last word counts, also of an older boot of a node that moved",
        breaks: "A pause is not a death",
        play: an_older_boot_says_where_it_is::play,
        effect: Effect::Asked(Fault::OlderBootAccepted),
    },
    Known {
        name: "recovery_keeps_the_epoch",
        what: "recovery: the cluster of one that is left stays in the epoch of before",
        breaks: "Durable ack",
        play: a_lost_majority_is_recovered::play,
        effect: Effect::Asked(Fault::RecoveryKeepsTheEpoch),
    },
    Known {
        name: "vote_lost_at_restart",
        what: "log: a vote is kept in memory alone",
        breaks: "Durable ack",
        play: the_disk_forgets::play,
        effect: Effect::Asked(Fault::VoteLostAtRestart),
    },
    Known {
        name: "persist_loses_a_member",
        what: "apply: a persist writes an object without its last member",
        breaks: "Atomic",
        play: run_seed,
        effect: Effect::Asked(Fault::PersistLosesAMember),
    },
    Known {
        name: "id_given_twice",
        what: "ids: a restarted node begins at the same number again",
        breaks: "Immutable",
        play: run_seed,
        effect: Effect::Asked(Fault::IdGivenTwice),
    },
    Known {
        name: "bytes_not_fetched",
        what: "migration: a copy is sealed before its bytes came",
        breaks: "No dangling success",
        play: run_seed,
        effect: Effect::Asked(Fault::BytesNotFetched),
    },
    Known {
        name: "local_asks_the_quorum",
        what: "handler: a read of what is here asks the majority first",
        breaks: "Local stays local",
        play: the_cluster_is_cut_in_two::play,
        effect: Effect::Asked(Fault::LocalAsksTheQuorum),
    },
    Known {
        name: "removed_node_counts",
        what: "membership: a node that was removed keeps its vote",
        breaks: "Durable ack",
        play: dead_nodes_are_removed::play,
        effect: Effect::Asked(Fault::RemovedNodeCounts),
    },
    Known {
        name: "wait_not_woken",
        what: "streams: a wait is not woken by what it waits for",
        breaks: "No hang",
        play: a_side_of_a_stream_dies::play,
        effect: Effect::Asked(Fault::WaitNotWoken),
    },
    Known {
        name: "admits_any_secret",
        what: "handshake: the proof of the secret is not checked",
        breaks: "Nobody gets in by accident",
        play: a_stranger_asks_to_join::play,
        effect: Effect::Asked(Fault::AdmitsAnySecret),
    },
    Known {
        name: "two_founders",
        what: "formation: that a node agreed to a set of founders is not written to its disk",
        breaks: "Immutable",
        play: new_nodes_form_one_cluster::play,
        effect: Effect::Asked(Fault::AgreementIsForgotten),
    },
    Known {
        name: "drain_gives_up_early",
        what: "drain: it says that it is done while a blob is left",
        breaks: "Durable ack",
        play: a_drained_node_is_started_anew::play,
        effect: Effect::Asked(Fault::DrainGivesUpEarly),
    },
];

impl InjectedFault {
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub fn what(self) -> &'static str {
        self.0.what
    }

    /// The promise that it breaks, as the README calls it.
    pub fn breaks(self) -> &'static str {
        self.0.breaks
    }

    /// The run that is to find it.
    pub fn play(self) -> Play {
        self.0.play
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(Self)
    }
}

impl fmt::Debug for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No such fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(pub String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no fault named {:?}; there are:", self.0)?;
        ALL.iter()
            .try_for_each(|known| write!(f, "\n  {}: {}", known.name, known.what))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for InjectedFault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::all().find(|fault| fault.name() == name);
        found.ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

/// The faults of a simulated process: one at most.
pub(crate) struct SimFaults(pub Option<InjectedFault>);

impl SimFaults {
    fn is(&self, effect: Effect) -> bool {
        self.0.is_some_and(|fault| fault.0.effect == effect)
    }
}

impl Faults for SimFaults {
    fn has(&self, fault: Fault) -> bool {
        self.is(Effect::Asked(fault))
    }

    fn received(&self, body: Vec<u8>) -> Vec<u8> {
        if self.is(Effect::RoundsIntegers) {
            with_rounded_integers(&body).unwrap_or(body)
        } else {
            body
        }
    }
}

/// A request's body in which each integer of the metadata has passed through a float; `None` if it is no JSON.
fn with_rounded_integers(body: &[u8]) -> Option<Vec<u8>> {
    let mut texts = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let mut request = texts.next()?.ok()?;
    let end = texts.byte_offset();
    if let Some(tree) = request.get_mut("content") {
        round(tree);
    }
    let trees = request.get_mut("contents").and_then(Value::as_array_mut);
    trees.into_iter().flatten().for_each(round);
    let mut rounded = request.to_string().into_bytes();
    rounded.extend(&body[end..]);
    Some(rounded)
}

fn round(tree: &mut Value) {
    for value in tree
        .as_object_mut()
        .into_iter()
        .flat_map(|o| o.values_mut())
    {
        if let Some(integer) = value.as_u64() {
            *value = Value::from(integer as f64 as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let mut names: Vec<&str> = InjectedFault::all().map(InjectedFault::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for fault in InjectedFault::all() {
            assert_eq!(
                fault.name().parse::<InjectedFault>().unwrap().name(),
                fault.name()
            );
        }
    }

    #[test]
    fn integers_of_metadata_lose_digits_and_the_bytes_behind_the_text_stay() {
        let body =
            b"{\"type\":\"put_object\",\"content\":{\"n\":9007199254740993,\"s\":\"x\"}}\0raw";
        let rounded = with_rounded_integers(body).unwrap();
        let text = String::from_utf8(rounded).unwrap();
        assert!(
            text.contains("9007199254740992") && text.ends_with("\0raw"),
            "{text}"
        );
        let many = with_rounded_integers(b"{\"contents\":[{\"n\":9007199254740993}]}").unwrap();
        assert_eq!(many, b"{\"contents\":[{\"n\":9007199254740992}]}");
        assert_eq!(with_rounded_integers(b"no JSON"), None);
    }
}
