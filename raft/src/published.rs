//! What the raft thread tells every other thread without being asked.

pub(crate) mod contact;
pub(crate) mod epoch;
pub(crate) mod feed;
pub(crate) mod places;
pub(crate) mod progress;
pub(crate) mod request;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use vineyard_env::Faults;
use vineyard_wire::NodeId;

use crate::error::Error;
use crate::error::Shortage;
use crate::options::Pace;
use crate::published::contact::{Contact, Said};
use crate::published::feed::Feeds;
use crate::published::places::Places;
use crate::published::progress::Progress;
use crate::published::request::Sequences;
use crate::published::status::Status;
use crate::state::State;

/// What the raft thread publishes for every thread to read.
pub(crate) struct Published {
    pub(crate) state: ArcSwap<State>,
    pub(crate) progress: Progress,
    pub(crate) feeds: Feeds,
    pub(crate) sequences: Sequences,
    /// Why the machine applies nothing any more, if it has said so.
    pub(crate) ended: OnceLock<Error>,
    pub(crate) view: ArcSwap<View>,
    pub(crate) contact: Contact,
    began: Instant,
    /// Of the group; see `Pace::stretch`.
    pub(crate) pace: Arc<Pace>,
    /// For how long a majority counts as following after its last sign of it, at the usual pace.
    quorum_lasts: Duration,
    pub(crate) places: Places,
    pub(crate) shortage: ArcSwap<Option<Shortage>>,
}

/// The group when openraft last said something about it.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) status: Status,
    /// On the leader: when each member last answered.
    pub(crate) heard: BTreeMap<NodeId, Instant>,
    /// On the leader: since when it leads, and when a majority last answered it.
    pub(crate) leads: Option<Leads>,
    pub(crate) endpoints: BTreeMap<NodeId, String>,
}

/// A term in which this node leads.
#[derive(Clone, Copy)]
pub(crate) struct Leads {
    pub(crate) term: u64,
    pub(crate) since: Instant,
    /// It was elected by a majority, so this is not before `since`.
    pub(crate) quorum: Instant,
}

impl Published {
    pub(crate) fn new(
        me: NodeId,
        pace: Arc<Pace>,
        quorum_lasts: Duration,
        faults: Arc<dyn Faults>,
    ) -> Self {
        let status = Status {
            me,
            ..Status::default()
        };
        Self {
            state: ArcSwap::default(),
            progress: Progress::default(),
            feeds: Feeds::default(),
            sequences: Sequences::default(),
            ended: OnceLock::new(),
            view: ArcSwap::from_pointee(View {
                status,
                ..View::default()
            }),
            contact: Contact::default(),
            began: Instant::now(),
            pace,
            quorum_lasts,
            places: Places::new(faults),
            shortage: ArcSwap::default(),
        }
    }

    /// Lets every thread read `state`, and the group's time pass at the pace that is set in it, once it is a cluster's.
    pub(crate) fn put_state(&self, state: State) {
        if state.cluster().is_some() {
            self.pace.set(state.round_trip_ms());
        }
        self.state.store(Arc::new(state));
    }

    fn quorum_lasts(&self) -> Duration {
        self.pace.stretch(self.quorum_lasts)
    }

    pub(crate) fn status(&self) -> Status {
        let view = self.view.load();
        let now = Instant::now();
        let silent = |at: &Instant| now.saturating_duration_since(*at).as_millis() as u64;
        let silences = |heard: &BTreeMap<NodeId, Instant>| {
            let silence = |(node, at): (&NodeId, &Instant)| (*node, silent(at));
            heard.iter().map(silence).collect()
        };
        let quorum = self.quorum_of(&view, now);
        let members = self.members_of(&view);
        let failure = match self.ended.get() {
            Some(error) => Some(error.to_string()),
            None => view.status.failure.clone(),
        };
        let quorum_lasts = self.quorum_lasts();
        let follows = |at: Instant| now.saturating_duration_since(at) < quorum_lasts;
        Status {
            applied_index: self.progress.applied(),
            silent_ms: silences(&view.heard),
            has_quorum: failure.is_none()
                && view.status.leader.is_some()
                && quorum.is_some_and(follows),
            quorum_ms: silent(&quorum.unwrap_or(self.began)),
            members_ms: silences(&members.unwrap_or_default()),
            failure,
            shortage: **self.shortage.load(),
            ..view.status.clone()
        }
    }

    /// When a majority was last known to follow a leader.
    fn quorum_of(&self, view: &View, now: Instant) -> Option<Instant> {
        match &view.leads {
            Some(_) if view.status.voters == [view.status.me] => Some(now),
            Some(leads) => Some(leads.quorum),
            None => self.contact.quorum(),
        }
    }

    /// When each other member was heard last, as far as the leader has said.
    fn members_of(&self, view: &View) -> Option<BTreeMap<NodeId, Instant>> {
        let Some(leads) = &view.leads else {
            return self.contact.members(view.status.leader?);
        };
        let members = view.status.voters.iter().chain(&view.status.learners);
        let others = members.filter(|node| **node != view.status.me);
        // A member that lives answers the first heartbeats of a term; one that died with the leader before is not to
        // count for long, and one that this process never heard of does not count.
        let before = leads.since.checked_sub(self.quorum_lasts());
        let before = before.unwrap_or(leads.since);
        let heard = |node: &NodeId| match view.heard.get(node) {
            Some(at) => Some(*at),
            None => self.contact.last_heard(*node).map(|at| at.min(before)),
        };
        Some(
            others
                .filter_map(|node| Some((*node, heard(node)?)))
                .collect(),
        )
    }

    /// Nothing will be applied any more.
    pub(crate) fn end(&self) {
        self.progress.close();
        self.feeds.close();
    }

    /// For those who hear this leader: what it knows of its majority and its members. None if it does not lead.
    pub(crate) fn standing(&self) -> Option<Said> {
        let status = self.status();
        let view = self.view.load();
        view.leads?;
        Some(Said {
            by: status.me,
            quorum: self.quorum_of(&view, Instant::now()),
            has_quorum: status.has_quorum,
            members: self.members_of(&view).unwrap_or_default(),
        })
    }

    /// For how long this node has known of no leader that a majority follows.
    pub(crate) fn leaderless(&self) -> Duration {
        let now = Instant::now();
        let followed = self.quorum_of(&self.view.load(), now);
        now.saturating_duration_since(followed.unwrap_or(self.began))
    }

    /// Returns when the entry at `index` has been applied here, or says why that will not happen.
    pub(crate) async fn applied(&self, index: u64) -> Result<(), Error> {
        if self.progress.reached(index).await {
            return Ok(());
        }
        Err(self.ended.get().cloned().unwrap_or(Error::Stopped))
    }

    /// Who leads and where it listens, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<(NodeId, String)> {
        let leader = self.view.load().status.leader?;
        Some((leader, self.endpoint_of(leader)?))
    }

    /// What people call `node`, as far as this node knows.
    pub(crate) fn called(&self, node: NodeId) -> String {
        self.state.load().called(node)
    }

    /// Where `node` listens, as far as this node knows.
    pub(crate) fn endpoint_of(&self, node: NodeId) -> Option<String> {
        self.endpoints_of(node).into_iter().next()
    }

    /// Where to dial `node`, the best first.
    pub(crate) fn endpoints_of(&self, node: NodeId) -> Vec<String> {
        let elsewhere = self.view.load().endpoints.get(&node).cloned();
        self.places.of(&self.state.load(), elsewhere, node)
    }
}
