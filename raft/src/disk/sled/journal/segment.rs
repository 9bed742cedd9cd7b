//! One file of records.
//!
//! ```text
//! 0      magic, generation, how many records the segment before has (u64 each), xxh3 of these (u64)
//! 4096   records: generation, number, length of the body (u64 each), xxh3 of those and the body (u64), body
//! ```
//!
//! Numbers are little-endian. A record is a group of batches; one group is durable before the next is written.
//!
//! Promise: a segment appears whole or not at all. A file that is used again keeps the records of its earlier
//! generation behind the new ones, and they do not count.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vineyard_env::Batch;
use xxhash_rust::xxh3::xxh3_64;

use super::damaged;
use super::record::{self, Record};
use crate::disk::SEGMENT_BYTES;

const MAGIC: &[u8; 8] = b"vyjrnl02";
const HEADER_BYTES: usize = 32;
const CHECKED_BYTES: usize = 24;
const RECORDS_AT: u64 = 4096;
/// The file's size, bytes; it grows with a group that does not fit, and shrinks when it is used again. Written once, so
/// that a record changes no metadata: its sync is then one write of the device, not two.
pub(super) const ROOM_BYTES: u64 = SEGMENT_BYTES;
/// The segment is full when the records end beyond this, bytes. What is left holds a group of ordinary size.
const FULL_AT: u64 = ROOM_BYTES - (256 << 10);
const DRAFT: &str = "new";

/// See the module.
pub(super) struct Segment {
    generation: u64,
    file: Arc<File>,
    records_before: u64,
    records: u64,
    /// Where the next record goes.
    end: u64,
}

impl Segment {
    /// Makes it and its name durable, out of the file of `used_again` if there is one.
    pub(super) fn create(
        folder: &Path,
        generation: u64,
        records_before: u64,
        used_again: Option<u64>,
    ) -> io::Result<Self> {
        let draft = folder.join(DRAFT);
        let created = Self::create_as(&draft, folder, generation, records_before, used_again);
        if created.is_err() {
            // It may take room that is needed, or not even be there.
            fs::remove_file(draft).ok();
        }
        created
    }

    fn create_as(
        draft: &Path,
        folder: &Path,
        generation: u64,
        records_before: u64,
        used_again: Option<u64>,
    ) -> io::Result<Self> {
        let synced_folder = File::open(folder)?;
        let file = match used_again {
            Some(old) => {
                let old = path(folder, old);
                let file = File::options().read(true).write(true).open(&old)?;
                fs::rename(old, draft)?;
                file
            }
            None => {
                let mut options = File::options();
                let options = options.read(true).write(true).create(true).truncate(true);
                let file = options.open(draft)?;
                file.write_all_at(&vec![0; ROOM_BYTES as usize], 0)?;
                file
            }
        };
        file.set_len(ROOM_BYTES)?;
        file.write_all_at(&header(generation, records_before), 0)?;
        file.sync_all()?;
        fs::rename(draft, path(folder, generation))?;
        synced_folder.sync_all()?;
        Ok(Self {
            generation,
            file: Arc::new(file),
            records_before,
            records: 0,
            end: RECORDS_AT,
        })
    }

    /// The segment of a generation, and its records with where they begin in the file.
    pub(super) fn open(folder: &Path, generation: u64) -> io::Result<(Self, Vec<Record>)> {
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .open(path(folder, generation))?;
        let bytes = whole(&file)?;
        let records_before = read_header(&bytes, generation)
            .ok_or_else(|| damaged("the header of a segment of the log is damaged"))?;
        let (mut records, end) = record::read_all(&bytes[RECORDS_AT as usize..], generation)?;
        for record in &mut records {
            record.at += RECORDS_AT as usize;
        }
        let segment = Self {
            generation,
            file: Arc::new(file),
            records_before,
            records: records.len() as u64,
            end: RECORDS_AT + end as u64,
        };
        Ok((segment, records))
    }

    /// Writes all of it once more, and syncs it: where an earlier sync failed, the kernel has what was written and
    /// takes it for durable. What was cut short goes.
    pub(super) fn write_again(&mut self) -> io::Result<()> {
        let mut bytes = whole(&self.file)?;
        let whole_bytes = bytes.len().max(ROOM_BYTES as usize);
        let end = usize::try_from(self.end).map_err(io::Error::other)?;
        bytes.truncate(end);
        bytes.resize(end.max(whole_bytes), 0);
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_all()
    }

    /// Writes a record: where it begins.
    pub(super) fn append<'a>(&mut self, group: impl Iterator<Item = &'a Batch>) -> io::Result<u64> {
        let record = record::encode(self.generation, self.records, group);
        let at = self.end;
        self.file.write_all_at(&record, at)?;
        self.records += 1;
        self.end += record.len() as u64;
        Ok(at)
    }

    /// Forgets the record that was written last.
    pub(super) fn take_back(&mut self, at: u64) {
        self.records -= 1;
        self.end = at;
    }

    /// By how many bytes a record of `group` makes the file longer, about.
    pub(super) fn grows_by<'a>(&self, group: impl Iterator<Item = &'a Batch>) -> u64 {
        let end = self.end + record::bytes_of(group);
        end.saturating_sub(self.end.max(ROOM_BYTES))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn records_before(&self) -> u64 {
        self.records_before
    }

    pub(super) fn is_full(&self) -> bool {
        self.end > FULL_AT
    }

    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

/// The file of a generation.
pub(super) fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(generation.to_string())
}

/// The generation that a file's name says.
pub(super) fn generation_of(name: &str) -> Option<u64> {
    let generation: u64 = name.parse().ok()?;
    (generation.to_string() == name).then_some(generation)
}

fn header(generation: u64, records_before: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(generation.to_le_bytes());
    header.extend(records_before.to_le_bytes());
    header.extend(xxh3_64(&header).to_le_bytes());
    header
}

/// How many records the segment before has, if this is the header of `generation`.
fn read_header(bytes: &[u8], generation: u64) -> Option<u64> {
    let head = bytes.get(..HEADER_BYTES)?;
    bytes.get(HEADER_BYTES..RECORDS_AT as usize)?;
    let whole = head.starts_with(MAGIC)
        && head[CHECKED_BYTES..] == xxh3_64(&head[..CHECKED_BYTES]).to_le_bytes();
    (whole && record::number_at(head, 8) == generation).then(|| record::number_at(head, 16))
}

fn whole(file: &File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
