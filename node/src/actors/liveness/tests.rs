//! Which members a leader records as unreachable or back.

use vineyard_raft::command::Entry;
use vineyard_raft::state::instances::{Instance, Liveness};

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

fn group(term: u64, is_leader: bool, silent_ms: &[(u64, u64)]) -> Status {
    Status {
        me: NodeId(0),
        is_leader,
        term,
        voters: vec![NodeId(0), NodeId(1)],
        learners: vec![NodeId(2)],
        silent_ms: silent_ms
            .iter()
            .map(|(id, ms)| (NodeId(*id), *ms))
            .collect(),
        ..Status::default()
    }
}

fn lasts(silent: &BTreeMap<NodeId, Silence>) -> Vec<u64> {
    silent
        .values()
        .map(|silence| silence.lasts.as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_answered_is_silent_since_the_leader_took_over() {
    let (mut leader_term, start) = (None, Instant::now());
    let at = |secs| start + Duration::from_secs(secs);
    assert!(silences(&group(1, false, &[]), &mut leader_term, start).is_empty());
    let mut look = |group: &Status, secs| lasts(&silences(group, &mut leader_term, at(secs)));
    assert_eq!(look(&group(2, true, &[(1, 0)]), 10), [0, 0, 0]);
    assert_eq!(look(&group(2, true, &[(1, 1000)]), 13), [0, 1, 3]);
    assert_eq!(look(&group(4, true, &[]), 14), [0, 0, 0], "another term");
    assert_eq!(look(&group(4, true, &[]), 17), [0, 3, 3]);
    assert!(look(&group(5, false, &[]), 18).is_empty());
    assert_eq!(look(&group(4, true, &[]), 19), [0, 0, 0]);
}

/// A state in which nodes 0 to 2 have registered, and 2 is unreachable.
fn state() -> State {
    let mut state = State::default();
    let mut apply = |index, command| {
        let entry = Entry {
            version: vineyard_raft::command::VERSION,
            request: None,
            at_unix_ms: 0,
            command,
        };
        state
            .apply(index, &entry, &vineyard_env::NoFaults)
            .0
            .unwrap();
    };
    apply(
        1,
        Command::Found {
            cluster: "c".to_owned(),
        },
    );
    for node in 0..3 {
        let endpoint = format!("n{node}");
        apply(
            2 + 2 * node,
            Command::Admit {
                key: u128::from(node),
                endpoint: endpoint.clone(),
            },
        );
        let instance = Instance {
            id: InstanceId(node),
            hostid: 0,
            hostname: String::new(),
            ipc_socket: String::new(),
            endpoint,
            liveness: Liveness::Up,
            since_unix_ms: 0,
        };
        apply(3 + 2 * node, Command::Register { instance });
    }
    apply(
        8,
        Command::Watch {
            instance: InstanceId(2),
            reachable: false,
        },
    );
    state
}

fn silence(secs: u64, was_heard: bool) -> Silence {
    Silence {
        lasts: Duration::from_secs(secs),
        was_heard,
    }
}

#[test]
fn only_what_changed_is_told() {
    let state = state();
    let told = |node, silence| transitions(&state, &[(NodeId(node), silence)].into(), LIMIT);
    let watch = |node, reachable| {
        vec![Command::Watch {
            instance: InstanceId(node),
            reachable,
        }]
    };
    assert_eq!(told(1, silence(1, true)), []);
    assert_eq!(told(1, silence(2, true)), watch(1, false));
    assert_eq!(told(1, silence(2, false)), watch(1, false));
    assert_eq!(told(2, silence(9, true)), []);
    assert_eq!(told(2, silence(1, true)), watch(2, true));
    assert_eq!(told(2, silence(1, false)), [], "not heard is not back");
    assert_eq!(told(9, silence(9, true)), [], "never registered");
}
