//! What is true of the nodes, for the check of what they say.

use std::collections::BTreeSet;

use super::{Cluster, Slot};
use crate::invariants::status_tells_the_truth::{Truth, lag_ms_max};

impl Cluster {
    /// Who runs now, and whose bytes reach whom.
    pub fn truth(&self) -> Truth {
        let slots = self.slots.borrow();
        let is_well = |(number, slot): &(&usize, &Slot)| {
            self.runs(**number) && !slot.paused && !slot.machine.platter.is_poisoned()
        };
        let well = slots.iter().filter(is_well);
        let well: BTreeSet<usize> = well.map(|(number, _)| *number).collect();
        let paused = slots.iter().filter(|(_, slot)| slot.paused);
        let paused = paused.map(|(number, _)| *number).collect();
        let pairs = slots
            .keys()
            .flat_map(|one| slots.keys().map(|other| (*one, *other)));
        let net = &self.world.net;
        let cuts = pairs.filter(|(one, other)| net.is_cut(&self.ip(*one), &self.ip(*other)));
        Truth {
            now_ms: self.world.now_ms(),
            lag_ms_max: lag_ms_max(self.told.get().round_trip_ms),
            cuts: cuts.collect(),
            well,
            paused,
        }
    }
}
