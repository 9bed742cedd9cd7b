//! What fuzz targets call of this crate, and the world that its own tests run in. No part of the product calls it.

#[cfg(test)]
mod world;

use std::io;

use vineyard_env::Batch;
use vineyard_wire::peer;

use crate::disk::sled::journal::record;
use crate::peers::message::{Answer, Question};
#[cfg(test)]
pub(crate) use world::{HeldDisk, LocalThreads};

/// Panics unless `body` is refused as a message between members, or means the same after it is encoded again.
pub fn holds_as_message(body: &[u8]) {
    if let Ok(question) = peer::decode::<Question>(body) {
        let encoded = peer::encode(&question);
        let again = peer::decode::<Question>(&encoded).expect("what was encoded can be decoded");
        assert_eq!(peer::encode(&again), encoded);
    }
    if let Ok(answer) = peer::decode::<Answer>(body) {
        let encoded = peer::encode(&answer);
        let again = peer::decode::<Answer>(&encoded).expect("what was encoded can be decoded");
        assert_eq!(peer::encode(&again), encoded);
    }
}

/// What the journal reads from the records of a generation.
pub fn journal_records(bytes: &[u8], generation: u64) -> io::Result<Vec<Batch>> {
    let (records, _) = record::read_all(bytes, generation)?;
    Ok(records.into_iter().map(|record| record.batch).collect())
}

/// The record that the journal writes for a batch.
pub fn journal_record(generation: u64, number: u64, batch: &Batch) -> Vec<u8> {
    record::encode(generation, number, std::iter::once(batch))
}

/// A record whose header fits its body, whatever that is.
pub fn journal_record_of(generation: u64, number: u64, body: &[u8]) -> Vec<u8> {
    record::with_header(generation, number, body)
}
