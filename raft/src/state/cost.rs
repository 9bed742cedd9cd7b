//! What each row of the state counts for, in bytes: about what it takes in the memory of each node.
//!
//! Promise: a pure function of the row, and the same in every build from feature level `SETTINGS` on: by these numbers
//! every replica refuses alike. They never change.

use super::objects::{BlobRow, Record};

/// Of a record besides its texts: its place in the tables.
const RECORD: u64 = 256;
/// Of an attribute or label besides its two texts.
const PAIR: u64 = 64;
/// Of a member besides its key: the link, and its edge.
const MEMBER: u64 = 160;
/// Of a blob's row besides where its bytes are.
const BLOB: u64 = 128;
/// Of each place of a blob's bytes.
const LOCATION: u64 = 64;
/// Of a name or a lock besides its text.
const NAME: u64 = 160;

/// Also of a record that is not persistent.
pub fn of_record(record: &Record) -> u64 {
    let pairs = of_pairs(record.attributes.iter().chain(&record.labels));
    let members = record.members.keys();
    let members: u64 = members.map(|key| MEMBER + bytes(key)).sum();
    RECORD + bytes(&record.typename) + pairs + members
}

pub(super) fn of_blob(row: &BlobRow) -> u64 {
    BLOB + LOCATION * row.locations.len() as u64
}

pub(super) fn of_location() -> u64 {
    LOCATION
}

/// The text is kept once, and found by two tables.
pub(super) fn of_name(name: &str) -> u64 {
    NAME + bytes(name)
}

/// Of attributes or labels that are added to a record.
pub(super) fn of_pairs<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> u64 {
    pairs
        .map(|(key, value)| PAIR + bytes(key) + bytes(value))
        .sum()
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}
