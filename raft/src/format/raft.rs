//! openraft's own records: votes, log ids, memberships, and the frame around each entry of the log. openraft's types
//! are not stored as they are: another version of it may lay them out in another way.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::vote::RaftLeaderId as _;
use serde::{Deserialize, Serialize};
use vineyard_wire::NodeId;

use super::entry::Entry;
use crate::types::{self, Address};

#[derive(Serialize, Deserialize)]
pub(crate) struct Vote {
    term: u64,
    /// Always true: openraft has an `Option` here for others.
    is_given: bool,
    node: u64,
    committed: bool,
}

impl From<&types::Vote> for Vote {
    fn from(vote: &types::Vote) -> Self {
        Self {
            term: vote.leader_id.term(),
            is_given: true,
            node: vote.leader_id.node_id().0,
            committed: vote.committed,
        }
    }
}

impl From<Vote> for types::Vote {
    fn from(vote: Vote) -> Self {
        Self {
            committed: vote.committed,
            ..Self::new(vote.term, NodeId(vote.node))
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LogId {
    term: u64,
    index: u64,
}

impl From<&types::LogId> for LogId {
    fn from(log_id: &types::LogId) -> Self {
        Self {
            term: **log_id.committed_leader_id(),
            index: log_id.index(),
        }
    }
}

impl From<LogId> for types::LogId {
    fn from(log_id: LogId) -> Self {
        Self::new_term_index(log_id.term, log_id.index)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LogEntry<'a> {
    log_id: LogId,
    payload: Payload<'a>,
}

#[derive(Serialize, Deserialize)]
enum Payload<'a> {
    Blank,
    Command(Entry<'a>),
    Membership(Membership),
}

impl<'a> From<&'a types::LogEntry> for LogEntry<'a> {
    fn from(entry: &'a types::LogEntry) -> Self {
        Self {
            log_id: (&entry.log_id()).into(),
            payload: match &entry.payload {
                EntryPayload::Blank => Payload::Blank,
                EntryPayload::Normal(entry) => Payload::Command(entry.as_ref().into()),
                EntryPayload::Membership(membership) => Payload::Membership(membership.into()),
            },
        }
    }
}

impl From<LogEntry<'_>> for types::LogEntry {
    fn from(entry: LogEntry) -> Self {
        let payload = match entry.payload {
            Payload::Blank => EntryPayload::Blank,
            Payload::Command(entry) => EntryPayload::Normal(Arc::new(entry.into())),
            Payload::Membership(membership) => EntryPayload::Membership(membership.into()),
        };
        Self::new(entry.log_id.into(), payload)
    }
}

/// The voters, twice while they change, and where each member was when it was added.
#[derive(Serialize, Deserialize)]
struct Membership {
    voters: Vec<Vec<u64>>,
    members: Vec<(u64, String)>,
}

impl From<&types::Members> for Membership {
    fn from(members: &types::Members) -> Self {
        let voters = members.get_joint_config().iter();
        let nodes = members.nodes();
        Self {
            voters: voters
                .map(|voters| voters.iter().map(|node| node.0).collect())
                .collect(),
            members: nodes
                .map(|(node, at)| (node.0, at.endpoint.clone()))
                .collect(),
        }
    }
}

impl From<Membership> for types::Members {
    fn from(membership: Membership) -> Self {
        let voters = membership.voters.into_iter();
        let voters = voters
            .map(|voters| voters.into_iter().map(NodeId).collect())
            .collect();
        let members = membership.members.into_iter();
        let members: BTreeMap<_, _> = members
            .map(|(node, endpoint)| (NodeId(node), Address { endpoint }))
            .collect();
        // Before the founding there are none, which openraft makes by default alone.
        Self::new(voters, members).unwrap_or_default()
    }
}

/// How far a state has come: the entry applied last, and the members since which entry.
#[derive(Serialize, Deserialize)]
pub(crate) struct Position {
    applied: Option<LogId>,
    members_since: Option<LogId>,
    members: Membership,
}

impl Position {
    pub(crate) fn new(applied: Option<&types::LogId>, membership: &types::Membership) -> Self {
        Self {
            applied: applied.map(LogId::from),
            members_since: membership.log_id().as_ref().map(LogId::from),
            members: membership.membership().into(),
        }
    }

    pub(crate) fn into_parts(self) -> (Option<types::LogId>, types::Membership) {
        let since = self.members_since.map(Into::into);
        let membership = types::Membership::new(since, self.members.into());
        (self.applied.map(Into::into), membership)
    }
}

#[cfg(test)]
mod tests;
