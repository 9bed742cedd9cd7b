//! What is shown of members, with and without a majority.

use vineyard_raft::command::{Command, Entry, VERSION};
use vineyard_wire::InstanceId;

use super::*;

fn state() -> State {
    let mut state = State::default();
    let mut index = 0;
    let mut apply = |command| {
        index += 1;
        let entry = Entry {
            version: VERSION,
            request: None,
            at_unix_ms: 0,
            command,
        };
        state
            .apply(index, &entry, &vineyard_env::NoFaults)
            .0
            .unwrap();
    };
    apply(Command::Found {
        cluster: "c".to_owned(),
    });
    for node in 0..3 {
        let endpoint = format!("n{node}");
        apply(Command::Admit {
            key: u128::from(node),
            endpoint: endpoint.clone(),
        });
        let instance = Instance {
            id: InstanceId(node),
            hostid: 0,
            hostname: String::new(),
            ipc_socket: String::new(),
            endpoint,
            liveness: Liveness::Up,
            since_unix_ms: 0,
        };
        apply(Command::Register { instance });
    }
    state
}

/// Three voters, seen by node 0.
fn members(has_quorum: bool, members_ms: &[(u64, u64)]) -> Members {
    let members_ms = members_ms.iter().map(|(id, ms)| (NodeId(*id), *ms));
    Members {
        group: vineyard_raft::Status {
            leader: Some(NodeId(0)),
            voters: vec![NodeId(0), NodeId(1), NodeId(2)],
            has_quorum,
            quorum_ms: 43_000,
            members_ms: members_ms.collect(),
            ..Default::default()
        },
        state: Arc::new(state()),
        unreachable_after: Duration::from_secs(2),
        answered: BTreeSet::new(),
    }
}

fn shown(members: &Members) -> Vec<reply::Liveness> {
    let instances = members.instances();
    instances.iter().map(|one| members.shown(one)).collect()
}

use reply::Liveness::{Unreachable, Up};

#[test]
fn with_a_majority_the_leader_knows_who_answers() {
    let all = members(true, &[(1, 100), (2, 200)]);
    assert_eq!((all.tolerates(), shown(&all)), (1, vec![Up, Up, Up]));
    let one_is_silent = members(true, &[(1, 100), (2, 2_000)]);
    assert_eq!(one_is_silent.tolerates(), 0);
    assert_eq!(shown(&one_is_silent), [Up, Up, Unreachable]);
    let nobody_said = members(true, &[]);
    assert_eq!(nobody_said.tolerates(), 1, "what the log says");
}

#[test]
fn before_a_leader_that_can_say_it_has_said_who_answers_nobody_else_counts() {
    let mut led = members(true, &[]);
    led.group.leader = Some(NodeId(1));
    let mut state = State::clone(&led.state);
    let says_its_level = Entry {
        version: VERSION,
        request: None,
        at_unix_ms: 0,
        command: Command::AcquireLock {
            name: format!("vineyard.feature-level/1/{}", features::MEMBERS),
            owner: InstanceId(1),
            lease_ms: u64::MAX,
        },
    };
    let index = state.applied() + 1;
    let applied = state.apply(index, &says_its_level, &vineyard_env::NoFaults);
    applied.0.unwrap();
    led.state = Arc::new(state);
    assert_eq!(shown(&led), [Up, Up, Unreachable]);
    assert_eq!(led.tolerates(), 0);
}

#[test]
fn without_a_majority_those_count_that_answered_this_node() {
    let mut alone = members(false, &[(1, 100), (2, 100)]);
    assert_eq!(alone.tolerates(), 0);
    assert_eq!(shown(&alone), [Up, Unreachable, Unreachable]);
    let quorum = alone.quorum();
    assert_eq!((quorum.voters_answering, quorum.voters_needed), (1, 2));
    assert!(!quorum.quorum && quorum.quorum_ms == 43_000);
    alone.answered([NodeId(2)]);
    assert_eq!(shown(&alone), [Up, Unreachable, Up]);
    assert_eq!((alone.quorum().voters_answering, alone.tolerates()), (2, 0));
}

#[test]
fn a_node_that_was_stopped_is_no_longer_there_at_once() {
    let mut left = members(true, &[(1, 100), (2, 100)]);
    let mut state = State::clone(&left.state);
    let entry = Entry {
        version: VERSION,
        request: None,
        at_unix_ms: 0,
        command: Command::Stopped {
            instance: InstanceId(2),
        },
    };
    let index = state.applied() + 1;
    state
        .apply(index, &entry, &vineyard_env::NoFaults)
        .0
        .unwrap();
    left.state = Arc::new(state);
    assert_eq!(shown(&left), [Up, Up, reply::Liveness::Stopped]);
    assert_eq!(left.tolerates(), 0);
}

#[test]
fn a_node_whose_disk_failed_does_not_count_itself() {
    let mut failed = members(false, &[]);
    failed.group.failure = Some("the disk failed".to_owned());
    failed.answered([NodeId(1), NodeId(2)]);
    assert_eq!(shown(&failed), [Unreachable, Up, Up]);
    assert_eq!(failed.quorum().voters_answering, 2);
}
