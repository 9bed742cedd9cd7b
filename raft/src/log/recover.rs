//! What is written when a cluster is recovered from this node's log.

use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;
use vineyard_env::{Batch, Change};
use vineyard_wire::NodeId;

use super::{Log, io, keys, stored};
use crate::types::{LogEntry, LogId, Payload, Vote};

impl Log {
    /// The last entry, agreed on or not.
    pub(crate) fn last(&self) -> Option<LogId> {
        let inner = self.lock();
        let last = inner.entries.values().next_back();
        last.map(|kept| kept.entry.log_id()).or(inner.purged)
    }

    /// Entries after `index`, agreed on or not.
    pub(crate) fn after(&self, index: u64) -> Vec<LogEntry> {
        let inner = self.lock();
        let after = inner.entries.range(index + 1..);
        after.map(|(_, kept)| kept.entry.clone()).collect()
    }

    /// When the last command that is still in the log was proposed.
    pub(crate) fn written_unix_ms(&self) -> Option<u64> {
        let inner = self.lock();
        let mut newest_first = inner.entries.values().rev();
        newest_first.find_map(|kept| match &kept.entry.payload {
            EntryPayload::Normal(entry) => Some(entry.at_unix_ms),
            _ => None,
        })
    }

    /// Appends `payloads` in a term above all that this log knows, as if `me` had been elected in it. They, the vote,
    /// and what is in `also` are on the disk when this returns, or nothing of them. Only while no raft uses the log.
    pub(crate) async fn append_as_leader(
        &self,
        me: NodeId,
        payloads: Vec<Payload>,
        also: Batch,
    ) -> io::Result<LogId> {
        let last = self.last();
        let voted = self.lock().vote.map_or(0, |vote| vote.leader_id.term());
        let written = last.map_or(0, |last| **last.committed_leader_id());
        let term = voted.max(written) + 1;
        let vote = Vote::new_committed(term, me);
        let first = last.map_or(0, |last| last.index + 1);
        let mut batch = also;
        batch.push(Change::Put(
            keys::VOTE.to_vec(),
            keys::seal(&stored::Vote::from(&vote)),
        ));
        let mut entries = Vec::new();
        for (index, payload) in (first..).zip(payloads) {
            let entry = LogEntry::new(LogId::new_term_index(term, index), payload);
            let value = keys::seal(&stored::LogEntry::from(&entry));
            entries.push((entry, value.len()));
            batch.push(Change::Put(keys::entry(index), value));
        }
        self.commit(batch).await?;
        let mut inner = self.lock();
        inner.vote = Some(vote);
        for (entry, bytes) in entries {
            inner.insert(entry, bytes);
        }
        drop(inner);
        Ok(self.last().expect("entries were appended"))
    }
}
