//! How much metadata the cluster keeps, and the refusal of more.
//!
//! Promise: what is counted is exactly what is there, on every replica. What would make the state larger than the quota
//! is refused, but for what nodes need to come and to go, and the blobs that a drain moves; what makes it smaller never
//! is.

use vineyard_env::Faults;

use super::{Event, State, cost};
use crate::command::{Command, Entry, Outcome, Refusal};
use crate::features;

impl State {
    /// Bytes of metadata that are kept: of objects, blobs, names and locks, as `cost` counts them.
    pub fn metadata_bytes(&self) -> u64 {
        let spaces = self.spaces.values();
        spaces
            .map(|space| space.objects.bytes + space.names.bytes + space.locks.bytes)
            .sum()
    }

    /// Runs the entry unless that takes more than the quota. Most entries are far from it, and cost one comparison.
    pub(super) fn run_within_quota(
        &mut self,
        entry: &Entry,
        faults: &dyn Faults,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let (used, quota) = (self.metadata_bytes(), self.metadata_quota_bytes());
        let grows = entry.command.grows(|blob| self.blob(blob).is_some());
        let fits = !grows || used.saturating_add(growth_max(&entry.command)) <= quota;
        if fits || !self.has_quota() {
            return self.run(entry, faults, events);
        }
        let (before, told) = (self.clone(), events.len());
        let outcome = self.run(entry, faults, events);
        let wanted = self.metadata_bytes().saturating_sub(used);
        if wanted == 0 || used + wanted <= quota {
            return outcome;
        }
        *self = before;
        events.truncate(told);
        Err(Refusal::MetadataFull {
            wanted,
            used,
            quota,
        })
    }

    /// A member of an earlier build would take what this one refuses.
    fn has_quota(&self) -> bool {
        self.feature_level() >= features::SETTINGS
    }
}

/// What a command that grows the state adds at most.
fn growth_max(command: &Command) -> u64 {
    match command {
        Command::Persist { records, blobs } => {
            let records: u64 = records.iter().map(cost::of_record).sum();
            records + blobs.iter().map(cost::of_blob).sum::<u64>()
        }
        Command::Publish {
            records,
            blobs,
            name,
            ..
        } => {
            let records: u64 = records.iter().map(cost::of_record).sum();
            let blobs: u64 = blobs.iter().map(cost::of_blob).sum();
            records + blobs + cost::of_name(name)
        }
        Command::SetAttributes { attributes, .. } => cost::of_pairs(attributes.iter()),
        Command::Label { labels, .. } => cost::of_pairs(labels.iter()),
        Command::PutName { name, .. } | Command::AcquireLock { name, .. } => cost::of_name(name),
        _ => u64::MAX,
    }
}
