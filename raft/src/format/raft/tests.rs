//! The group's own records: a directory written with one openraft must be readable with the next.

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use super::*;
use crate::command::{self, Command};
use crate::format::keys;

fn log_id(index: u64) -> types::LogId {
    types::LogId::new_term_index(300, index)
}

#[test]
fn openrafts_records_have_the_bytes_they_always_had() {
    let joint = vec![[NodeId(1)].into(), [NodeId(1), NodeId(2)].into()];
    let members = [1, 2].map(|node| {
        let endpoint = format!("e:{node}");
        (NodeId(node), Address { endpoint })
    });
    let members = types::Members::new(joint, BTreeMap::from(members)).unwrap();
    let entry = |index, payload| types::LogEntry::new(log_id(index), payload);
    let command = command::Entry {
        version: 1,
        request: None,
        at_unix_ms: 5,
        command: Command::Found {
            cluster: "c".to_owned(),
        },
    };
    let vote = types::Vote::new(300, NodeId(2));
    let committed = types::Vote::new_committed(300, NodeId(2));
    let membership = types::Membership::new(Some(log_id(3)), members.clone());
    let position = |applied: Option<types::LogId>, membership: &types::Membership| {
        let bytes = keys::seal(&Position::new(applied.as_ref(), membership));
        let read: Position = keys::open(&bytes).unwrap();
        assert_eq!(read.into_parts(), (applied, membership.clone()));
        hex("position", &bytes)
    };
    let lines = [
        line("vote given", &vote, &Vote::from(&vote)),
        line("vote committed", &committed, &Vote::from(&committed)),
        line("log id", &log_id(7), &LogId::from(&log_id(7))),
        entry_line("blank entry", &entry(1, EntryPayload::Blank)),
        entry_line("command", &entry(2, EntryPayload::Normal(command.into()))),
        entry_line("voters entry", &entry(3, EntryPayload::Membership(members))),
        position(Some(log_id(7)), &membership),
        position(None, &types::Membership::default()),
    ];
    assert_eq!(lines.concat(), include_str!("../raft.txt"));
}

/// Name and bytes of a record that reads back as what it was.
fn line<T, S>(name: &str, value: &T, stored: &S) -> String
where
    T: From<S> + PartialEq + Debug,
    S: Serialize + DeserializeOwned,
{
    let bytes = keys::seal(stored);
    assert_eq!(&T::from(keys::open::<S>(&bytes).unwrap()), value);
    hex(name, &bytes)
}

fn entry_line(name: &str, entry: &types::LogEntry) -> String {
    let bytes = keys::seal(&LogEntry::from(entry));
    let read: LogEntry = keys::open(&bytes).unwrap();
    assert_eq!(&types::LogEntry::from(read), entry);
    hex(name, &bytes)
}

fn hex(name: &str, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}: {hex}\n")
}
