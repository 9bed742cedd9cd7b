//! A record of the journal as bytes. It must never know what a generation is for.

use std::io;

use vineyard_env::{Batch, Change};
use xxhash_rust::xxh3::Xxh3;

use super::damaged;

const HEADER_BYTES: usize = 32;
/// Generation, number and length; the checksum of them and the body follows.
const CHECKED_BYTES: usize = 24;
/// Records begin at multiples of this.
const ALIGN: usize = 8;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const DELETE_RANGE: u8 = 2;

/// The bytes of a record.
pub(crate) fn encode<'a>(
    generation: u64,
    number: u64,
    group: impl Iterator<Item = &'a Batch>,
) -> Vec<u8> {
    let mut body = Vec::new();
    for change in group.flatten() {
        let (kind, parts) = match change {
            Change::Put(key, value) => (PUT, [key.as_slice(), value]),
            Change::Delete(key) => (DELETE, [key.as_slice(), &[]]),
            Change::DeleteRange(from, to) => (DELETE_RANGE, [from.as_slice(), to]),
        };
        body.push(kind);
        for part in parts {
            body.extend((part.len() as u64).to_le_bytes());
            body.extend(part);
        }
    }
    with_header(generation, number, &body)
}

/// How many bytes a record has.
pub(super) fn bytes_of<'a>(group: impl Iterator<Item = &'a Batch>) -> u64 {
    let ends = located(0, group).map(|(change, at)| at + second_bytes(change) as u64);
    ends.last().unwrap_or(HEADER_BYTES as u64)
}

/// The bytes of a record with this body.
pub(crate) fn with_header(generation: u64, number: u64, body: &[u8]) -> Vec<u8> {
    let mut record = vec![0; HEADER_BYTES];
    record.extend(body);
    let length = body.len() as u64;
    for (field, value) in [generation, number, length].into_iter().enumerate() {
        record[field * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    let sum = checksum(&record[..CHECKED_BYTES], &record[HEADER_BYTES..]);
    record[CHECKED_BYTES..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    record.resize(record.len().next_multiple_of(ALIGN), 0);
    record
}

/// A record that was read.
pub(crate) struct Record {
    /// Where it begins.
    pub(crate) at: usize,
    pub(crate) batch: Batch,
}

/// The changes of a group, and where the value of each begins in a record that begins at `at`.
pub(super) fn located<'a>(
    at: u64,
    group: impl Iterator<Item = &'a Batch>,
) -> impl Iterator<Item = (&'a Change, u64)> {
    let mut end = at + HEADER_BYTES as u64;
    group.flatten().map(move |change| {
        let (Change::Put(first, _) | Change::Delete(first) | Change::DeleteRange(first, _)) =
            change;
        // The kind, and two lengths.
        let value_at = end + (1 + 8 + first.len() + 8) as u64;
        end = value_at + second_bytes(change) as u64;
        (change, value_at)
    })
}

fn second_bytes(change: &Change) -> usize {
    match change {
        Change::Put(_, second) | Change::DeleteRange(_, second) => second.len(),
        Change::Delete(_) => 0,
    }
}

/// The records of `generation` that `bytes` begin with, and where they end.
pub(crate) fn read_all(bytes: &[u8], generation: u64) -> io::Result<(Vec<Record>, usize)> {
    let mut records = Vec::new();
    let mut end = 0;
    while let Some(rest) = bytes.get(end..)
        && let Some(body) = body_at(rest, generation, records.len() as u64)
    {
        let batch = decode(body).ok_or_else(|| damaged("a record of the journal has no sense"))?;
        records.push(Record { at: end, batch });
        end += (HEADER_BYTES + body.len()).next_multiple_of(ALIGN);
    }
    // The end may be a group whose write was cut short. It is not if one follows: that was written after its sync.
    let later = (end..bytes.len()).step_by(ALIGN).any(|at| {
        let rest = &bytes[at..];
        has_generation(rest, generation) && body_at(rest, generation, number_at(rest, 8)).is_some()
    });
    match later {
        true => Err(damaged("a record of the journal is damaged")),
        false => Ok((records, end)),
    }
}

/// The number at an offset.
pub(super) fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn has_generation(bytes: &[u8], generation: u64) -> bool {
    bytes.len() >= HEADER_BYTES && number_at(bytes, 0) == generation
}

/// The body of the record that `bytes` begin with, if it is this one and whole.
fn body_at(bytes: &[u8], generation: u64, number: u64) -> Option<&[u8]> {
    if !has_generation(bytes, generation) || number_at(bytes, 8) != number {
        return None;
    }
    let length = usize::try_from(number_at(bytes, 16)).ok()?;
    let body = bytes[HEADER_BYTES..].get(..length)?;
    (checksum(&bytes[..CHECKED_BYTES], body) == number_at(bytes, CHECKED_BYTES)).then_some(body)
}

fn checksum(header: &[u8], body: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(header);
    sum.update(body);
    sum.digest()
}

fn decode(mut body: &[u8]) -> Option<Batch> {
    let mut batch = Batch::new();
    while let Some((kind, rest)) = body.split_first() {
        let (first, rest) = part(rest)?;
        let (second, rest) = part(rest)?;
        batch.push(match *kind {
            PUT => Change::Put(first, second),
            DELETE => Change::Delete(first),
            DELETE_RANGE => Change::DeleteRange(first, second),
            _ => return None,
        });
        body = rest;
    }
    Some(batch)
}

fn part(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    Some((part.to_vec(), rest))
}
