//! A snapshot's bytes: one that an earlier build wrote must be read by this one.

use vineyard_wire::peer;

use super::*;
use crate::command::Command;
use crate::command::tests::entries;
use crate::features;
use crate::state;

/// A state in which each table has a row, and the outcomes one of each kind.
fn state() -> State {
    let mut commands: Vec<_> = entries()
        .into_iter()
        .map(|entry| entry.command)
        .filter(|command| features::needed_by(command) == features::BASE && adds(command))
        .collect();
    let second = Command::Admit {
        key: 7,
        endpoint: "e:2".to_owned(),
    };
    commands.insert(2, second);
    let Some(Command::Persist { records, .. }) = commands
        .iter_mut()
        .find(|command| matches!(command, Command::Persist { .. }))
    else {
        unreachable!("the samples have a persist");
    };
    let member = objects::Record {
        id: ObjectId(3),
        members: [].into(),
        global: false,
        ..records[0].clone()
    };
    records.push(member);
    // The lock of the samples is of an instance that has been replaced.
    commands.push(features::announcement(InstanceId(65537), 2));
    let mut state = State::default();
    for (sequence, command) in commands.into_iter().enumerate() {
        let request = command::RequestKey {
            instance: InstanceId(0),
            sequence: sequence as u64,
            answered_below: 0,
        };
        let entry = command::Entry {
            version: 1,
            request: Some(request),
            at_unix_ms: 1_000,
            command,
        };
        let _ = state.apply(sequence as u64 + 1, &entry, &vineyard_env::NoFaults);
    }
    state.assert_invariants();
    state
}

fn adds(command: &Command) -> bool {
    !matches!(
        command,
        Command::Delete { .. } | Command::DropName { .. } | Command::ReleaseLock { .. }
    )
}

#[test]
fn the_sample_has_a_row_in_each_table() {
    let state = state();
    assert!(state.nodes().count() == 2 && state.instances().count() == 1);
    assert!(state.objects().count() == 2 && state.blobs().count() == 1);
    assert!(state.names().count() == 1 && state.locks().count() == 1);
    assert!(!state.edited.is_empty() && state.outcomes_kept() > 2);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rotation() -> Rotation {
    Rotation {
        hidden: command::Hidden {
            nonce: [1; 32],
            forward: [2; 32],
            backward: [3; 32],
        },
        until_unix_ms: 2_000,
    }
}

fn settings() -> state::Settings {
    state::Settings {
        round_trip_ms: Some(300),
        metadata_quota_bytes: None,
    }
}

#[test]
fn a_snapshot_has_the_bytes_it_always_had() {
    let mut later = state();
    let first = hex(&encode(&later));
    later.lives.insert(NodeId(0), 1 << 100);
    let second = hex(&encode(&later));
    later.instances.removed.insert(NodeId(1));
    let third = hex(&encode(&later));
    later
        .instances
        .cordoned
        .insert(NodeId(0), command::Cordon::Leaves);
    let fourth = hex(&encode(&later));
    later.rotation = Some(rotation());
    let fifth = hex(&encode(&later));
    later.settings = settings();
    let sixth = hex(&encode(&later));
    assert_eq!(
        format!("1 {first}\n2 {second}\n3 {third}\n4 {fourth}\n5 {fifth}\n6 {sixth}\n"),
        include_str!("../snapshots.txt")
    );
}

#[test]
fn a_state_is_written_in_the_lowest_version_that_holds_it() {
    let mut state = state();
    assert_eq!(encode(&state)[0], 1);
    state.levels.insert(NodeId(0), 2);
    assert_eq!(encode(&state)[0], 2);
    state.instances.removed.insert(NodeId(1));
    assert_eq!(encode(&state)[0], 3);
    state
        .instances
        .cordoned
        .insert(NodeId(0), command::Cordon::Drains);
    assert_eq!(encode(&state)[0], 4);
    state.rotation = Some(rotation());
    assert_eq!(encode(&state)[0], 5);
    state.settings = settings();
    assert_eq!(encode(&state)[0], 6);
    let read = decode(&encode(&state)).unwrap();
    assert_eq!(read.digest(), state.digest());
}

#[test]
fn a_retry_that_is_told_of_full_metadata_needs_the_newest_version() {
    let mut state = state();
    let request = command::RequestKey {
        instance: InstanceId(65537),
        sequence: 1,
        answered_below: 0,
    };
    let full = command::Refusal::MetadataFull {
        wanted: 3,
        used: 2,
        quota: 4,
    };
    state.dedup.record(request, &Err(full));
    let bytes = encode(&state);
    assert_eq!(bytes[0], VERSION);
    assert_eq!(decode(&bytes).unwrap().digest(), state.digest());
}

/// Builds between the first and the second version wrote the lives behind the first version's fields.
#[test]
fn the_lives_behind_a_snapshot_of_version_1_are_read() {
    let mut state = state();
    let mut bytes = encode(&state);
    state.lives.insert(NodeId(0), 1 << 100);
    let mut lives = Writer::new(0);
    lives.rows(1, [(0u64, 1u128 << 100)].iter());
    bytes.extend(&lives.end()[1..]);
    assert_eq!(decode(&bytes).unwrap().digest(), state.digest());
}

#[test]
fn what_a_version_does_not_have_is_an_error() {
    let bytes = encode(&state());
    let undecodable = |bytes: &[u8]| matches!(decode(bytes), Err(Malformed::Undecodable(_)));
    assert!(undecodable(&[]) && undecodable(&[0]));
    for end in 1..bytes.len() {
        assert!(undecodable(&bytes[..end]), "cut at {end}");
    }
    let mut second = bytes.clone();
    second[0] = 2;
    assert!(undecodable(&second), "version 2 has two more tables");
    second.extend([0, 0, 0]);
    assert_eq!(decode(&second).err(), Some(Malformed::Trailing(1)));
    let mut newer = bytes;
    newer[0] = VERSION + 1;
    let expected = Malformed::Newer {
        found: VERSION + 1,
        understood: VERSION,
    };
    assert_eq!(decode(&newer).err(), Some(expected));
}

#[test]
fn a_frame_between_nodes_is_no_snapshot() {
    let frame = peer::encode(&("c".to_owned(), 7u64));
    assert!(decode(&frame).is_err());
}
