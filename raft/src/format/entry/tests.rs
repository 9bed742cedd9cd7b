//! The log's bytes: a log written by an earlier build must be read by this one.

use super::*;
use crate::command::tests::{entries, line};
use crate::format::keys;

const SEAL_BYTES: usize = 8;

#[test]
fn every_command_has_the_bytes_it_always_had() {
    let lines: String = entries()
        .iter()
        .map(|entry| {
            let bytes = keys::seal(&Entry::from(entry));
            let read: Entry = keys::open(&bytes).unwrap();
            assert_eq!(command::Entry::from(read), *entry);
            line(entry, &bytes[..bytes.len() - SEAL_BYTES])
        })
        .collect();
    assert_eq!(
        lines,
        include_str!("../entries.txt"),
        "fields are only ever appended"
    );
}

#[test]
fn a_command_is_counted_with_all_its_bytes() {
    for entry in entries() {
        let whole = keys::seal(&Entry::from(&entry)).len();
        let counted = command_bytes(&entry.command);
        // The rest is the version, the key, the time, and the seal.
        assert!(counted < whole && whole < counted + 64, "{entry:?}");
    }
}

/// A command of many small parts, far below what may be submitted, must be readable from the log.
#[test]
fn a_command_of_many_small_parts_is_read_back() {
    let command = command::Command::Delete {
        ids: vec![ObjectId(1); 9 << 20],
        force: false,
        deep: false,
    };
    assert!(command_bytes(&command) < 10 << 20);
    let read: Command = keys::open(&keys::seal(&Command::from(&command))).unwrap();
    assert!(command::Command::from(read) == command);
}
