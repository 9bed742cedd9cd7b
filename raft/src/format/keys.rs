//! The disk format: where each record stands and how its bytes are guarded.
//!
//! | key                          | value                                   |
//! |------------------------------|-----------------------------------------|
//! | `01 'v'`                     | the vote                                |
//! | `01 'c'`                     | the log id known to be committed        |
//! | `01 'p'`                     | the last purged log id                  |
//! | `01 'l' index(u64 BE)`       | a log entry                             |
//! | `01 'm'`                     | which snapshot is current (`manifest`)  |
//! | `01 's' number(u64 BE) part(u32 BE)` | one chunk of a snapshot; of earlier builds |
//!
//! A value is its version byte, what is stored (`format`), and the xxh3 of both (u64 LE). `01` is the layout's version;
//! keys below it belong to the node.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use super::codec::{Reader, Writer};

const LAYOUT: u8 = 1;
/// Of what is stored under these keys; a command in the log has one of its own as well.
pub(crate) const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

pub(crate) const VOTE: [u8; 2] = [LAYOUT, b'v'];
pub(crate) const COMMITTED: [u8; 2] = [LAYOUT, b'c'];
pub(crate) const PURGED: [u8; 2] = [LAYOUT, b'p'];
pub(crate) const MANIFEST: [u8; 2] = [LAYOUT, b'm'];

/// Where the entry at `index` stands.
pub(crate) fn entry(index: u64) -> Vec<u8> {
    let mut key = vec![LAYOUT, b'l'];
    key.extend(index.to_be_bytes());
    key
}

/// After every entry.
pub(crate) fn entries_end() -> Vec<u8> {
    vec![LAYOUT, b'l' + 1]
}

/// The keys of all entries.
pub fn entries() -> std::ops::Range<Vec<u8>> {
    entry(0)..entries_end()
}

/// Where a chunk of snapshot `number` stands.
pub(crate) fn chunk(number: u64, part: u32) -> Vec<u8> {
    let mut key = vec![LAYOUT, b's'];
    key.extend(number.to_be_bytes());
    key.extend(part.to_be_bytes());
    key
}

/// After every chunk of every snapshot.
pub(crate) fn chunks_end() -> Vec<u8> {
    vec![LAYOUT, b's' + 1]
}

/// A guarded value.
pub(crate) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    seal_as(VERSION, value)
}

/// A guarded value whose record has versions of its own.
pub(super) fn seal_as<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = Writer::new(version);
    bytes.put(value);
    let mut bytes = bytes.end();
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

/// A guarded value read back; damage is an error, never data.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    open_as(bytes, VERSION).map(|(value, _)| value)
}

/// As `open`, for a record of version `understood` or lower; the version that it has.
pub(super) fn open_as<T: DeserializeOwned>(bytes: &[u8], understood: u8) -> io::Result<(T, u8)> {
    let damaged = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let split = bytes.len().checked_sub(CHECKSUM_BYTES);
    let (body, checksum) = bytes.split_at(split.ok_or_else(|| damaged("cut short".into()))?);
    if xxh3_64(body).to_le_bytes() != checksum {
        return Err(damaged(
            "a stored record does not match its checksum".into(),
        ));
    }
    let unreadable = |error: super::Malformed| damaged(format!("a stored record: {error}"));
    let (version, mut input) = Reader::new(body, understood).map_err(unreadable)?;
    let value = input.take().map_err(unreadable)?;
    input.end().map_err(unreadable)?;
    Ok((value, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_where_they_always_stood() {
        assert_eq!(entry(0x0102), [1, b'l', 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(chunk(3, 4), [1, b's', 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4]);
        assert!(entry(u64::MAX) < entries_end() && chunk(u64::MAX, u32::MAX) < chunks_end());
        assert!(entries_end().as_slice() <= MANIFEST.as_slice());
    }

    #[test]
    fn a_sealed_value_has_these_bytes() {
        let sealed = seal(&(7u64, "vine".to_owned()));
        assert_eq!(sealed[..7], [VERSION, 7, 4, b'v', b'i', b'n', b'e']);
        assert_eq!(
            open::<(u64, String)>(&sealed).unwrap(),
            (7, "vine".to_owned())
        );
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        let sealed = seal(&42u64);
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<u64>(&bad).is_err());
        }
    }
}
