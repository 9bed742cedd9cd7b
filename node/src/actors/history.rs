//! What has changed in the cluster as this node saw it: members, their states, voters, the leader, losses.
//!
//! Two looks are compared, so that the history tells what an operator could have seen, also what no log entry says. It
//! keeps the latest `EVENTS_MAX` events and nothing on the disk.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use vineyard_raft::Shortage;
use vineyard_raft::command::Cordon;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Instance;
use vineyard_wire::reply::{Event, ListedEvents, Liveness};
use vineyard_wire::{InstanceId, NodeId};

use crate::context::NodeContext;
use crate::peer::members::Members;

/// Older ones are dropped.
const EVENTS_MAX: usize = 1000;

#[derive(Default)]
pub(crate) struct History {
    events: RefCell<VecDeque<Event>>,
    last: Cell<u64>,
}

impl History {
    fn add(&self, unix_ms: u64, change: Change) {
        self.last.set(self.last.get() + 1);
        let mut events = self.events.borrow_mut();
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(Event {
            number: self.last.get(),
            unix_ms,
            kind: change.kind.to_owned(),
            node: change.node,
            text: change.text,
        });
    }

    /// Those with a number above `after`, the oldest first, at most `limit`.
    pub(crate) fn after(&self, after: u64, limit: u64) -> ListedEvents {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let events = self.events.borrow();
        let wanted = events.iter().filter(|event| event.number > after);
        ListedEvents {
            events: wanted.take(limit).cloned().collect(),
            last: self.last.get(),
        }
    }
}

/// Looks until the node stops.
pub(crate) async fn watch(node: Rc<NodeContext>) {
    let mut before = Look::now(&node, None);
    let started = format!("this node started, as {}", node.instance);
    let started = Change::of("started", Some(node.instance.node()), started);
    node.history.add(node.env.clock.unix_ms(), started);
    loop {
        tokio::time::sleep(node.config.limits.liveness_period).await;
        let now = Look::now(&node, Some(&before));
        for change in changes(&before, &now) {
            log(&change);
            node.history.add(node.env.clock.unix_ms(), change);
        }
        before = now;
    }
}

/// As a line of the log, unless what noticed it has written one.
fn log(change: &Change) {
    let Change { kind, text, .. } = change;
    match *kind {
        "node_unreachable" | "node_up" | "node_failed" | "disk_short" | "disk_has_room" => {}
        "quorum_lost" | "objects_lost" => tracing::warn!("{text}"),
        _ => tracing::info!("{text}"),
    }
}

/// What there is to see at one time.
struct Look {
    state: Arc<State>,
    members: BTreeMap<NodeId, Member>,
    has_quorum: bool,
    /// The last that is known.
    leader: Option<NodeId>,
    /// Why this node takes no part any more.
    failure: Option<String>,
    /// What this node's disk lacks.
    shortage: Option<Shortage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    instance: InstanceId,
    endpoint: String,
    shown: Liveness,
    votes: bool,
    cordon: Option<Cordon>,
}

impl Look {
    fn now(node: &NodeContext, before: Option<&Self>) -> Self {
        let known = Members::known(node);
        let has_quorum = known.group.has_quorum;
        let (state, members) = match before {
            // Without a majority nobody knows who is there: that is compared when there is one again.
            Some(before) if !has_quorum => (before.state.clone(), before.members.clone()),
            _ => (known.state.clone(), members(&known, before)),
        };
        let leader = known.group.leader_now();
        Self {
            state,
            members,
            has_quorum,
            leader: leader.or(before.and_then(|before| before.leader)),
            failure: known.group.failure,
            shortage: known.group.shortage,
        }
    }
}

fn members(known: &Members, before: Option<&Look>) -> BTreeMap<NodeId, Member> {
    let group = &known.group;
    let member = |instance: &Instance| {
        let id = instance.id.node();
        let before = before.and_then(|before| before.members.get(&id));
        let is_heard = id == group.me || group.members_ms.contains_key(&id);
        let shown = match (known.shown(instance), before) {
            // A new leader has not said yet who answers it.
            (Liveness::Unreachable, Some(before)) if !is_heard => before.shown,
            (Liveness::Unreachable, None) if !group.has_quorum || !is_heard => Liveness::Up,
            (shown, _) => shown,
        };
        let member = Member {
            name: instance.hostname.clone(),
            instance: instance.id,
            endpoint: instance.endpoint.clone(),
            shown,
            votes: group.voters.contains(&id),
            cordon: known.state.cordon_of(id),
        };
        (id, member)
    };
    known.instances().iter().map(member).collect()
}

/// Something that changed between two looks.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    kind: &'static str,
    node: Option<NodeId>,
    text: String,
}

impl Change {
    fn of(kind: &'static str, node: Option<NodeId>, text: impl Into<String>) -> Self {
        Self {
            kind,
            node,
            text: text.into(),
        }
    }
}

fn changes(before: &Look, now: &Look) -> Vec<Change> {
    let mut changes = Vec::new();
    match (before.has_quorum, now.has_quorum) {
        (true, false) => changes.push(Change::of(
            "quorum_lost",
            None,
            "no majority of the voters follows a leader",
        )),
        (false, true) => changes.push(Change::of("quorum_back", None, "a majority agrees again")),
        _ => {}
    }
    if let Some(failure) = now.failure.as_ref().filter(|_| before.failure.is_none()) {
        let text = format!("this node takes no part any more: {failure}");
        changes.push(Change::of("node_failed", None, text));
    }
    match (&before.shortage, &now.shortage) {
        (None, Some(shortage)) => {
            let text = format!("the disk of this node is short of room: {shortage}");
            changes.push(Change::of("disk_short", None, text));
        }
        (Some(_), None) => {
            changes.push(Change::of(
                "disk_has_room",
                None,
                "the disk of this node has room again",
            ));
        }
        _ => {}
    }
    let ids = before.members.keys();
    let gone = ids.filter(|id| !now.members.contains_key(id));
    for id in gone {
        let name = name(*id, &before.members[id]);
        let text = format!("{name} is no member any more");
        changes.push(Change::of("node_removed", Some(*id), text));
        changes.extend(lost(&before.state, *id, &name));
    }
    for (id, member) in &now.members {
        let name = name(*id, member);
        match before.members.get(id) {
            Some(known) => changes.extend(of_member(&before.state, *id, known, member)),
            None => {
                let text = format!("{name} is a member, at {}", member.endpoint);
                changes.push(Change::of("node_joined", Some(*id), text));
            }
        }
    }
    if let Some(leader) = now.leader.filter(|leader| before.leader != Some(*leader)) {
        let member = now.members.get(&leader);
        let name = member.map_or_else(|| leader.to_string(), |member| name(leader, member));
        changes.push(Change::of(
            "leader",
            Some(leader),
            format!("{name} leads the cluster"),
        ));
    }
    changes
}

fn of_member(state: &State, id: NodeId, before: &Member, now: &Member) -> Vec<Change> {
    let mut changes = Vec::new();
    let name = name(id, now);
    let mut add = |kind, text: String| changes.push(Change::of(kind, Some(id), text));
    let started = before.instance != now.instance;
    if started {
        add(
            "node_started",
            format!("{name} started, as {}", now.instance),
        );
    }
    if before.endpoint != now.endpoint {
        add("node_moved", format!("{name} listens at {}", now.endpoint));
    }
    if before.shown != now.shown && !(started && now.shown == Liveness::Up) {
        match now.shown {
            Liveness::Up => add("node_up", format!("{name} answers again")),
            Liveness::Stopped => add("node_stopped", format!("{name} was stopped")),
            Liveness::Unreachable | Liveness::Gone => {
                add("node_unreachable", format!("{name} does not answer"));
            }
        }
    }
    if before.votes != now.votes {
        match now.votes {
            true => add("voter_added", format!("{name} votes")),
            false => add("voter_removed", format!("{name} does not vote any more")),
        }
    }
    if before.cordon != now.cordon {
        match now.cordon {
            Some(Cordon::Drains) => add("node_cordoned", format!("{name} takes no copies")),
            Some(Cordon::Leaves) => add("node_leaves", format!("{name} leaves the cluster")),
            None => add("node_uncordoned", format!("{name} takes copies again")),
        }
    }
    if started {
        changes.extend(lost(state, id, &name));
    }
    changes
}

/// What ended with a process of the node, if it was the only one that had it. `state` is from before that.
fn lost(state: &State, id: NodeId, name: &str) -> Option<Change> {
    let objects = state.objects_only_on(id);
    let text = format!("{objects} persisted objects had their only bytes on {name}, and lost them");
    (objects > 0).then(|| Change::of("objects_lost", Some(id), text))
}

fn name(id: NodeId, member: &Member) -> String {
    format!("{} ({id})", member.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            instance: InstanceId(0),
            endpoint: "a:1".to_owned(),
            shown: Liveness::Up,
            votes: false,
            cordon: None,
        }
    }

    fn look(members: &[(u64, Member)]) -> Look {
        let members = members.iter().cloned();
        Look {
            state: Arc::default(),
            members: members.map(|(id, one)| (NodeId(id), one)).collect(),
            has_quorum: true,
            leader: Some(NodeId(0)),
            failure: None,
            shortage: None,
        }
    }

    fn texts(before: &Look, now: &Look) -> Vec<String> {
        let changes = changes(before, now).into_iter();
        changes
            .map(|one| format!("{}: {}", one.kind, one.text))
            .collect()
    }

    #[test]
    fn each_change_of_a_member_is_told_once() {
        let before = look(&[(0, member("blue")), (1, member("red"))]);
        assert_eq!(changes(&before, &before), []);
        let changed = |change: fn(&mut Member)| {
            let mut red = member("red");
            change(&mut red);
            texts(&before, &look(&[(0, member("blue")), (1, red)]))
        };
        assert_eq!(
            changed(|red| red.shown = Liveness::Stopped),
            ["node_stopped: red (n1) was stopped"]
        );
        assert_eq!(
            changed(|red| red.shown = Liveness::Unreachable),
            ["node_unreachable: red (n1) does not answer"]
        );
        assert_eq!(
            changed(|red| red.votes = true),
            ["voter_added: red (n1) votes"]
        );
        assert_eq!(
            changed(|red| red.cordon = Some(Cordon::Drains)),
            ["node_cordoned: red (n1) takes no copies"]
        );
        assert_eq!(
            changed(|red| {
                red.instance = InstanceId(65_537);
                red.endpoint = "b:2".to_owned();
            }),
            [
                "node_started: red (n1) started, as i65537",
                "node_moved: red (n1) listens at b:2"
            ]
        );
    }

    #[test]
    fn a_disk_that_is_short_of_room_and_has_some_again_is_told() {
        let well = look(&[]);
        let mut short = look(&[]);
        short.shortage = Some(Shortage {
            free_bytes: 12 << 20,
            kept_bytes: 64 << 20,
        });
        let told = texts(&well, &short);
        assert!(
            told[0].starts_with("disk_short: the disk of this node is short of room: 12 MiB free,"),
            "{told:?}"
        );
        assert_eq!(changes(&short, &short), []);
        assert_eq!(
            texts(&short, &well),
            ["disk_has_room: the disk of this node has room again"]
        );
    }

    #[test]
    fn members_that_come_and_go_and_a_lost_majority_are_told() {
        let both = look(&[(0, member("blue")), (1, member("red"))]);
        let mut one = look(&[(1, member("red"))]);
        one.leader = Some(NodeId(1));
        assert_eq!(
            texts(&both, &one),
            [
                "node_removed: blue (n0) is no member any more",
                "leader: red (n1) leads the cluster"
            ]
        );
        assert_eq!(
            texts(&one, &both),
            [
                "node_joined: blue (n0) is a member, at a:1",
                "leader: blue (n0) leads the cluster"
            ]
        );
        let mut alone = look(&[(0, member("blue")), (1, member("red"))]);
        alone.has_quorum = false;
        assert_eq!(texts(&both, &alone).len(), 1);
        assert_eq!(
            texts(&alone, &both),
            ["quorum_back: a majority agrees again"]
        );
    }

    #[test]
    fn the_latest_events_are_kept_and_their_numbers_go_on() {
        let history = History::default();
        for round in 0..EVENTS_MAX as u64 + 5 {
            history.add(round, Change::of("leader", None, "x"));
        }
        let all = history.after(0, u64::MAX);
        assert_eq!(all.events.len(), EVENTS_MAX);
        assert_eq!((all.events[0].number, all.last), (6, EVENTS_MAX as u64 + 5));
        let some = history.after(10, 2).events;
        assert_eq!(
            some.iter().map(|one| one.number).collect::<Vec<_>>(),
            [11, 12]
        );
        assert!(history.after(all.last, 9).events.is_empty());
    }
}
