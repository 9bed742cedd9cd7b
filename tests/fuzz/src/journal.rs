//! Records of the journal: any bytes are refused or read, and what is read is read again from what it is written as.
//!
//! Nearly all that a fuzzer makes is stopped by a checksum. So the bytes are also taken as the bodies of records whose
//! checksums are right: a length of one byte, that much of a body, and so on.
#![no_main]
#![allow(
    clippy::disallowed_methods,
    reason = "the macro of libFuzzer reads an environment variable and writes a file"
)]

use libfuzzer_sys::fuzz_target;
use vineyard_raft::testing::{journal_record, journal_record_of, journal_records};

const GENERATION: u64 = 7;

fuzz_target!(|bytes: &[u8]| {
    let _refused_or_read = journal_records(bytes, GENERATION);
    let mut file = Vec::new();
    let mut records = 0;
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        file.extend(journal_record_of(GENERATION, records, body));
        records += 1;
        rest = behind;
    }
    if let Ok(batches) = journal_records(&file, GENERATION) {
        assert_eq!(
            batches.len() as u64,
            records,
            "a whole record is not left out"
        );
        let numbered = (0..).zip(&batches);
        let written =
            numbered.flat_map(|(number, batch)| journal_record(GENERATION, number, batch));
        let again = journal_records(&written.collect::<Vec<_>>(), GENERATION);
        assert_eq!(again.expect("what was written is read"), batches);
    }
});
