//! One file that makes a batch durable with one write and one sync, ahead of sled.
//!
//! ```text
//! 0      slot of even generations: magic, generation (u64), xxh3 of both (u64)
//! 4096   slot of odd generations
//! 8192   records: generation, number, length of the body (u64 each), xxh3 of those and the body (u64), body
//! ```
//!
//! Numbers are little-endian. A record is a group of batches; one group is durable before the next is written. A
//! checkpoint starts a generation: the newer slot that is whole counts, and records of another generation are
//! leftovers. So the records of a generation are there whole until those of the next may be written over them. It
//! must never know what the keys mean, nor when sled is durable: its owner says so.

pub(crate) mod record;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vineyard_env::Batch;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"vyjrnl01";
const SLOT_BYTES: u64 = 4096;
const RECORDS_AT: u64 = 2 * SLOT_BYTES;
pub(super) const FIRST_GENERATION: u64 = 1;
/// The file's size, bytes; it grows with a group that does not fit and shrinks at the next checkpoint. Written once, so
/// that a record changes no metadata: its sync is then one write of the device, not two.
const ROOM_BYTES: u64 = 4 << 20;
/// A checkpoint is due when the records end beyond this, bytes. What is left holds a group of ordinary size.
const CHECKPOINT_AT: u64 = ROOM_BYTES - (256 << 10);

pub(super) struct Journal {
    file: File,
    generation: u64,
    /// Of the next record.
    number: u64,
    /// Where the next record goes.
    end: u64,
}

impl Journal {
    /// Makes the journal at `path` unless there is one. It appears whole or not at all.
    pub(super) fn create(path: &Path) -> io::Result<()> {
        if path.try_exists()? {
            return Ok(());
        }
        let draft = path.with_extension("new");
        let file = File::create(&draft)?;
        file.write_all_at(&vec![0; ROOM_BYTES as usize], 0)?;
        write_slot(&file, FIRST_GENERATION)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        let folder = path.parent().expect("a journal is in a folder");
        File::open(folder)?.sync_all()
    }

    /// The journal at `path` and the batches in it. The caller syncs it, makes durable what they change, and then calls
    /// `restart`.
    ///
    /// # Errors
    /// `InvalidData` if it is not there, or a part is damaged that had become durable; what the disk says.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Batch>)> {
        if !path.try_exists()? {
            return Err(damaged("the journal is not there"));
        }
        let file = File::options().read(true).write(true).open(path)?;
        let generation = current_generation(&file)?;
        // Once more: if its sync has failed, the kernel has it and takes it for written.
        write_slot(&file, generation)?;
        let (batches, end) = record::read_all(&all_records(&file)?, generation)?;
        let journal = Self {
            file,
            generation,
            number: batches.len() as u64,
            end: RECORDS_AT + end as u64,
        };
        Ok((journal, batches))
    }

    /// The same file, to sync it.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes a record; it is durable after a sync.
    pub(super) fn append<'a>(&mut self, group: impl Iterator<Item = &'a Batch>) -> io::Result<()> {
        let record = record::encode(self.generation, self.number, group);
        self.file.write_all_at(&record, self.end)?;
        self.number += 1;
        self.end += record.len() as u64;
        Ok(())
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.end > CHECKPOINT_AT
    }

    /// Forgets the records, once the sync that must follow has ended: what they change is durable elsewhere.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.generation += 1;
        write_slot(&self.file, self.generation)?;
        self.file.set_len(ROOM_BYTES)?;
        self.number = 0;
        self.end = RECORDS_AT;
        Ok(())
    }
}

/// The file behind its slots.
fn all_records(file: &File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len().saturating_sub(RECORDS_AT);
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, RECORDS_AT)?;
    Ok(bytes)
}

fn write_slot(file: &File, generation: u64) -> io::Result<()> {
    let mut slot = MAGIC.to_vec();
    slot.extend(generation.to_le_bytes());
    slot.extend(xxh3_64(&slot).to_le_bytes());
    file.write_all_at(&slot, generation % 2 * SLOT_BYTES)
}

/// The newer of the slots that are whole: the other is older, or was being written when the power went.
fn current_generation(file: &File) -> io::Result<u64> {
    let slots = [read_slot(file, 0)?, read_slot(file, SLOT_BYTES)?];
    slots
        .into_iter()
        .flatten()
        .max()
        .ok_or_else(|| damaged("neither slot of the journal can be read"))
}

fn read_slot(file: &File, at: u64) -> io::Result<Option<u64>> {
    let mut slot = [0; 24];
    match file.read_exact_at(&mut slot, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let whole = slot.starts_with(MAGIC) && slot[16..] == xxh3_64(&slot[..16]).to_le_bytes();
    Ok(whole.then(|| record::number_at(&slot, 8)))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
