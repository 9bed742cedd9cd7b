//! What a node says of leader, majority and failures to come is what it can know: at most a few seconds old.
//!
//! The truth is who runs, and whose bytes reach whom. A majority that could not have agreed for longer than the lag may
//! not be claimed, nor more failures be tolerated than voters were there.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_raft::ROUND_TRIP_MS;

use super::Judged;

pub const NAME: &str = "status_tells_the_truth";

/// How old may be what a node says, in a cluster at the usual pace.
pub const LAG_MS_MAX: u64 = 3_000;

/// The same in one that is set to this round trip.
pub fn lag_ms_max(round_trip_ms: Option<u64>) -> u64 {
    LAG_MS_MAX * round_trip_ms.unwrap_or(ROUND_TRIP_MS) / ROUND_TRIP_MS
}

/// What is true at a moment. Nodes are numbers.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub now_ms: u64,
    pub lag_ms_max: u64,
    /// Nodes that run, and are neither paused nor without a disk.
    pub well: BTreeSet<usize>,
    pub paused: BTreeSet<usize>,
    /// Directed, of all machines: what the first sends does not reach the second before the cut ends.
    pub cuts: BTreeSet<(usize, usize)>,
}

/// What a node says at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Says {
    pub voters: Vec<usize>,
    /// The leader that a majority follows.
    pub leader: Option<usize>,
    pub tolerates: usize,
}

/// When what could be claimed was last true.
#[derive(Default)]
pub struct StatusTellsTheTruth {
    well: BTreeMap<usize, u64>,
    majority: BTreeMap<usize, u64>,
    /// When bytes arrived last that a cut had held back, by sender and receiver. The sender may have ended since.
    held_back: BTreeMap<(usize, usize), u64>,
    cuts: BTreeSet<(usize, usize)>,
    /// When a node went on after a pause: what it was sent before has waited in its sockets.
    went_on: BTreeMap<usize, u64>,
    paused: BTreeSet<usize>,
    /// As a node said them last.
    voters: Vec<usize>,
}

impl StatusTellsTheTruth {
    /// This is the truth now, whether or not anybody says anything.
    pub fn pass(&mut self, truth: &Truth) {
        let now = truth.now_ms;
        let went_on: BTreeSet<usize> = self.paused.difference(&truth.paused).copied().collect();
        // One that went on was well for a moment, though its disk may have failed since the last look.
        let well = truth.well.union(&went_on).copied().collect();
        let there = Truth {
            well,
            ..truth.clone()
        };
        self.well.extend(there.well.iter().map(|well| (*well, now)));
        let healed = self.cuts.difference(&truth.cuts);
        self.held_back.extend(healed.map(|cut| (*cut, now)));
        self.cuts.clone_from(&truth.cuts);
        self.went_on
            .extend(went_on.into_iter().map(|number| (number, now)));
        self.paused.clone_from(&truth.paused);
        let may = there.well.iter();
        let may = may.filter(|number| may_agree(**number, &self.voters, &there));
        self.majority.extend(may.map(|number| (*number, now)));
    }

    /// Node `number` says `says`, and this is the truth.
    pub fn observe(&mut self, number: usize, says: &Says, truth: &Truth) -> Judged {
        let now = truth.now_ms;
        self.voters.clone_from(&says.voters);
        self.pass(truth);
        let lag_ms_max = truth.lag_ms_max;
        let recent = |at: Option<&u64>| at.is_some_and(|at| now - at <= lag_ms_max);
        let Some(leader) = says.leader else {
            return match says.tolerates {
                0 => Ok(()),
                some => Err(format!(
                    "n{number} tolerates {some} failures without a majority"
                )),
            };
        };
        let held_back = self.held_back.get(&(leader, number));
        if recent(held_back) || recent(self.went_on.get(&number)) {
            return Ok(());
        }
        if !recent(self.majority.get(&number)) {
            return Err(format!(
                "n{number} says that n{leader} leads, and can have heard of no majority for {lag_ms_max} ms"
            ));
        }
        if !recent(self.well.get(&leader)) {
            return Err(format!(
                "n{number} says that n{leader} leads, which has ended long ago"
            ));
        }
        let there = says
            .voters
            .iter()
            .filter(|voter| recent(self.well.get(voter)) || self.was_held_back(**voter, now));
        let (there, majority) = (there.count(), says.voters.len() / 2 + 1);
        if says.tolerates > there.saturating_sub(majority) {
            return Err(format!(
                "n{number} tolerates {} failures of {}, of which {there} have been there",
                says.tolerates,
                says.voters.len()
            ));
        }
        Ok(())
    }
}

impl StatusTellsTheTruth {
    /// Whether bytes of node `from` have arrived somewhere lately, that a cut had held back.
    fn was_held_back(&self, from: usize, now: u64) -> bool {
        let of_it = self.held_back.iter().filter(|((by, _), _)| *by == from);
        of_it.into_iter().any(|(_, at)| now - at <= LAG_MS_MAX)
    }
}

/// Whether `number` may follow a leader that a majority of the voters may follow, itself included.
fn may_agree(number: usize, voters: &[usize], truth: &Truth) -> bool {
    if !truth.well.contains(&number) {
        return false;
    }
    let hear_each_other = |one: usize, other: usize| {
        let both = truth.well.contains(&one) && truth.well.contains(&other);
        let cut = truth.cuts.contains(&(one, other)) || truth.cuts.contains(&(other, one));
        one == other || (both && !cut)
    };
    let leads_a_majority = |leader: &usize| {
        let followers = voters
            .iter()
            .filter(|voter| hear_each_other(*leader, **voter));
        truth.well.contains(leader) && followers.count() > voters.len() / 2
    };
    let leaders = voters.iter().filter(|voter| leads_a_majority(voter));
    leaders
        .into_iter()
        .any(|leader| hear_each_other(*leader, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(now_ms: u64, well: &[usize], cuts: &[(usize, usize)]) -> Truth {
        Truth {
            now_ms,
            lag_ms_max: LAG_MS_MAX,
            well: well.iter().copied().collect(),
            cuts: cuts.iter().copied().collect(),
            paused: BTreeSet::new(),
        }
    }

    fn says(leader: Option<usize>, tolerates: usize) -> Says {
        Says {
            voters: vec![1, 2, 3],
            leader,
            tolerates,
        }
    }

    #[test]
    fn what_a_cut_held_back_is_told_when_it_ends() {
        let led = says(Some(1), 0);
        let told = |cut_until: u64| {
            let mut judge = StatusTellsTheTruth::default();
            judge.observe(2, &led, &truth(0, &[1, 2], &[])).unwrap();
            judge.pass(&truth(100, &[1, 2], &[(1, 2)]));
            judge.pass(&truth(cut_until, &[2], &[]));
            judge.observe(2, &led, &truth(4_000, &[2], &[]))
        };
        told(2_000).unwrap();
        assert!(told(500).is_err());
    }

    #[test]
    fn what_waited_for_a_paused_node_is_told_when_it_goes_on() {
        let led = says(Some(1), 0);
        let told = |paused_until: u64| {
            let mut judge = StatusTellsTheTruth::default();
            judge.observe(2, &led, &truth(0, &[1, 2], &[])).unwrap();
            let paused = Truth {
                paused: [2].into(),
                ..truth(100, &[1], &[])
            };
            judge.pass(&paused);
            judge.pass(&truth(paused_until, &[2], &[]));
            judge.observe(2, &led, &truth(4_000, &[2], &[]))
        };
        told(2_000).unwrap();
        assert!(told(500).is_err());
    }

    #[test]
    fn a_leader_that_went_on_led_before_its_disk_failed() {
        let led = says(Some(1), 0);
        let told = |paused_until: u64| {
            let mut judge = StatusTellsTheTruth::default();
            judge.observe(2, &led, &truth(0, &[1, 2], &[])).unwrap();
            let paused = Truth {
                paused: [1].into(),
                ..truth(100, &[2], &[])
            };
            judge.pass(&paused);
            // It goes on, and its disk has failed.
            judge.pass(&truth(paused_until, &[2], &[]));
            judge.observe(2, &led, &truth(4_000, &[2], &[]))
        };
        told(2_000).unwrap();
        assert!(told(500).is_err());
    }

    #[test]
    fn a_voter_whose_bytes_a_cut_held_back_has_been_there() {
        let led = says(Some(1), 1);
        let told = |cut_until: u64| {
            let mut judge = StatusTellsTheTruth::default();
            judge.observe(1, &led, &truth(0, &[1, 2, 3], &[])).unwrap();
            judge.pass(&truth(100, &[1, 2], &[(3, 1)]));
            judge.pass(&truth(cut_until, &[1, 2], &[]));
            judge.observe(1, &led, &truth(4_000, &[1, 2], &[]))
        };
        told(2_000).unwrap();
        assert!(told(500).is_err());
    }

    #[test]
    fn a_leader_of_long_ago_is_a_lie() {
        let mut judge = StatusTellsTheTruth::default();
        let led = says(Some(1), 1);
        judge.observe(1, &led, &truth(0, &[1, 2, 3], &[])).unwrap();
        judge.observe(1, &led, &truth(3_000, &[1], &[])).unwrap();
        let lie = judge
            .observe(1, &led, &truth(3_001, &[1], &[]))
            .unwrap_err();
        assert!(lie.contains("n1 says that n1 leads"), "{lie}");
        judge
            .observe(1, &says(None, 0), &truth(3_001, &[1], &[]))
            .unwrap();
        judge
            .observe(1, &says(None, 1), &truth(3_001, &[1], &[]))
            .unwrap_err();
    }

    #[test]
    fn one_that_hears_and_is_not_heard_is_alone() {
        let mut judge = StatusTellsTheTruth::default();
        let all = [1, 2, 3];
        let mute = [(1, 2), (1, 3)];
        let led = says(Some(1), 0);
        judge.observe(1, &led, &truth(0, &all, &[])).unwrap();
        judge
            .observe(1, &led, &truth(4_000, &all, &mute))
            .unwrap_err();
        let other = says(Some(2), 1);
        judge
            .observe(3, &other, &truth(4_000, &all, &mute))
            .unwrap();
    }

    #[test]
    fn voters_that_are_gone_are_not_tolerated_again() {
        let mut judge = StatusTellsTheTruth::default();
        judge
            .observe(1, &says(Some(1), 1), &truth(0, &[1, 2, 3], &[]))
            .unwrap();
        let two_left = truth(4_000, &[1, 2], &[]);
        judge.observe(1, &says(Some(1), 0), &two_left).unwrap();
        let boast = judge.observe(1, &says(Some(1), 1), &two_left).unwrap_err();
        assert!(boast.contains("of which 2 have been there"), "{boast}");
        let dead = judge.observe(1, &says(Some(3), 0), &two_left).unwrap_err();
        assert!(dead.contains("n3 leads, which has ended"), "{dead}");
    }
}
