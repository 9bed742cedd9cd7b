//! Commands as members send them to each other: a member of an earlier build must read what it knows.

use vineyard_wire::{Signature, peer};

use super::*;
use crate::state::instances::Liveness;
use crate::state::objects::{Link, Lost};

fn text(text: &str) -> String {
    text.to_owned()
}

fn pairs(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(text(key), text(value))])
}

fn record() -> Record {
    let blob = ObjectId((1 << 63) | 2);
    let members = BTreeMap::from([
        (
            text("buffer_"),
            Link::Blob {
                id: blob,
                instance: InstanceId(65536),
            },
        ),
        (
            text("part"),
            Link::Object {
                id: ObjectId(3),
                signature: Signature(4),
            },
        ),
    ]);
    Record {
        id: ObjectId(1),
        signature: Signature(5),
        instance: InstanceId::UNSPECIFIED,
        typename: text("T"),
        global: true,
        timestamp_ms: 6,
        attributes: pairs("nbytes", "8"),
        members,
        labels: pairs("k", "v"),
    }
}

fn blob() -> BlobRow {
    let id = ObjectId((1 << 63) | 2);
    let locations = [InstanceId(0), InstanceId(1)].into();
    BlobRow {
        id,
        size: 300,
        checksum: Some(9),
        locations,
        lost: Lost::Ended(InstanceId(2)),
    }
}

fn instance() -> Instance {
    Instance {
        id: InstanceId(65537),
        hostid: 2,
        hostname: text("h"),
        ipc_socket: text("/s"),
        endpoint: text("e:1"),
        liveness: Liveness::Up,
        since_unix_ms: 3,
    }
}

fn first_commands() -> Vec<Command> {
    let (id, name) = (ObjectId(1), text("n"));
    let named = |condition| Command::PutName {
        name: text("n"),
        id,
        condition,
    };
    vec![
        Command::Found { cluster: text("c") },
        Command::Admit {
            key: 1 << 100,
            endpoint: text("e:1"),
        },
        Command::Register {
            instance: instance(),
        },
        Command::Watch {
            instance: InstanceId(1),
            reachable: false,
        },
        Command::Persist {
            records: vec![record()],
            blobs: vec![blob()],
        },
        Command::Delete {
            ids: vec![id],
            force: true,
            deep: false,
        },
        Command::SetAttributes {
            id,
            attributes: pairs("a", "1"),
        },
        Command::Label {
            id,
            labels: pairs("k", "v"),
        },
        named(Condition::Always),
        named(Condition::IfAbsent),
        named(Condition::IfEquals(ObjectId(2))),
        Command::DropName { name: name.clone() },
        Command::AcquireLock {
            name: name.clone(),
            owner: InstanceId(1),
            lease_ms: 5000,
        },
        Command::ReleaseLock { name, token: 7 },
        Command::DropLocations {
            instance: InstanceId(1),
            blobs: vec![ObjectId((1 << 63) | 2)],
        },
    ]
}

/// Those that the first builds do not know.
fn later_commands() -> Vec<Command> {
    let id = ObjectId(1);
    vec![
        Command::FoundBy {
            cluster: text("c"),
            key: 1 << 100,
            endpoint: text("e:1"),
        },
        Command::Boot {
            instance: instance(),
            life: 1 << 100,
            before: vec![1, 2],
        },
        Command::Publish {
            records: vec![record()],
            blobs: vec![blob()],
            name: text("n"),
            id,
            condition: Condition::IfEquals(ObjectId(2)),
        },
        Command::AdmitAt {
            key: 1 << 100,
            endpoint: text("e:1"),
            level: 2,
        },
        Command::Stopped {
            instance: InstanceId(1),
        },
        Command::Remove { node: NodeId(5) },
        Command::Cordon {
            node: NodeId(5),
            cordon: Some(Cordon::Leaves),
        },
        Command::Leave {
            node: NodeId(5),
            discard: true,
        },
        Command::RotateToken {
            hidden: Hidden {
                nonce: [1; 32],
                forward: [2; 32],
                backward: [3; 32],
            },
            after_unix_ms: 0,
            grace_ms: 86_400_000,
        },
        Command::Configure {
            settings: Settings {
                round_trip_ms: Some(300),
                metadata_quota_bytes: Some(1 << 30),
            },
            if_unset: true,
        },
    ]
}

/// One entry for each command, and some for each of its cases.
pub(crate) fn entries() -> Vec<Entry> {
    let request = RequestKey {
        instance: InstanceId(1),
        sequence: 2,
        answered_below: 1,
    };
    let commands = first_commands().into_iter().chain(later_commands());
    commands
        .map(|command| Entry {
            version: command.version(),
            request: Some(request),
            at_unix_ms: 1_000,
            command,
        })
        .collect()
}

/// The command's name and the bytes.
pub(crate) fn line(entry: &Entry, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let command = format!("{:?}", entry.command);
    let verb = command.split(' ').next().unwrap_or_default();
    format!("{verb} {hex}\n")
}

#[test]
fn every_command_is_sent_as_it_always_was() {
    let lines: String = entries()
        .iter()
        .map(|entry| {
            let bytes = peer::encode(entry);
            assert_eq!(peer::decode::<Entry>(&bytes), Ok(entry.clone()));
            line(entry, &bytes)
        })
        .collect();
    assert_eq!(
        lines,
        include_str!("golden.txt"),
        "fields are only ever appended"
    );
}

#[test]
fn what_became_of_a_blob_has_the_bytes_of_the_option_it_was() {
    let at = InstanceId(2);
    for (lost, was) in [(Lost::No, None), (Lost::Ended(at), Some(at))] {
        assert_eq!(peer::encode(&lost), peer::encode(&was));
    }
    assert_eq!(
        peer::encode(&Lost::Deleted(at)),
        [peer::VERSION, 2, 2],
        "and one more"
    );
}

#[test]
fn new_places_of_known_blobs_make_the_state_no_larger() {
    let blob = BlobRow {
        id: ObjectId(7),
        size: 1,
        checksum: None,
        locations: [InstanceId(2)].into(),
        lost: Lost::No,
    };
    let places = Command::Persist {
        records: Vec::new(),
        blobs: vec![blob],
    };
    assert!(!places.grows(|blob| blob == ObjectId(7)));
    assert!(places.grows(|_| false));
}
