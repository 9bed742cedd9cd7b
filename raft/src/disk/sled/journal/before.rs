//! The one file that earlier builds had ahead of sled. It is read once, when such a database is opened.
//!
//! ```text
//! 0      slot of even generations: magic, generation (u64), xxh3 of both (u64)
//! 4096   slot of odd generations
//! 8192   records: generation, number, length of the body (u64 each), xxh3 of those and the body (u64), body
//! ```
//!
//! The newer slot that is whole counts, and records of another generation are leftovers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vineyard_env::Batch;
use xxhash_rust::xxh3::xxh3_64;

use super::{damaged, record};

const MAGIC: &[u8; 8] = b"vyjrnl01";
/// What stands there once its contents have moved: builds of before read nothing in it.
const MOVED: &[u8; 8] = b"vyjrnl02";
const SLOT_BYTES: u64 = 4096;
const RECORDS_AT: u64 = 2 * SLOT_BYTES;

/// The generation of the file at `path`, and the batches in it.
///
/// # Errors
/// `InvalidData` if it is not there, or a part is damaged that had become durable; what the disk says.
pub(in crate::disk::sled) fn open(path: &Path) -> io::Result<(u64, Vec<Batch>)> {
    if !path.try_exists()? {
        return Err(damaged("the journal is not there"));
    }
    let file = File::open(path)?;
    let generation = current_generation(&file)?;
    let (records, _) = record::read_all(&all_records(&file)?, generation)?;
    let batches = records.into_iter().map(|record| record.batch);
    Ok((generation, batches.collect()))
}

/// Makes of the file at `path` the one that stands for the segments: where it is, a place remembers. It may be missing
/// only where a database begins.
pub(in crate::disk::sled) fn replace(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut slot = [0; SLOT_BYTES as usize];
    slot[..MOVED.len()].copy_from_slice(MOVED);
    file.write_all_at(&slot, 0)?;
    file.write_all_at(&slot, SLOT_BYTES)?;
    file.set_len(RECORDS_AT)?;
    file.sync_all()
}

/// Whether what stood in the file at `path` is in segments.
pub(in crate::disk::sled) fn is_replaced(path: &Path) -> io::Result<bool> {
    if !path.try_exists()? {
        return Err(damaged("the journal is not there"));
    }
    let mut magic = [0; MOVED.len()];
    match File::open(path)?.read_exact_at(&mut magic, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    Ok(magic == *MOVED)
}

/// The file behind its slots.
fn all_records(file: &File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len().saturating_sub(RECORDS_AT);
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, RECORDS_AT)?;
    Ok(bytes)
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
