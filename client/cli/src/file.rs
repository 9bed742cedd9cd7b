//! Files as objects: what `put` stores and `get` writes back.
//!
//! A file is an object of type `vineyard::File`: chunks of at most `CHUNK_BYTES` as blob members `chunk_0`,
//! `chunk_1`, ..., with its name, length and checksum as attributes. Promise: what comes out is what went in, or an
//! error.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use indicatif::ProgressBar;
use vineyard_client::{BlobWriter, Client, DeleteOptions};
use vineyard_wire::meta::key;
use vineyard_wire::{ObjectId, Tree};
use xxhash_rust::xxh3::Xxh3;

use crate::failure::{Failure, Tried};
use crate::tree::{self, BlobPart, Part};

pub(crate) const TYPENAME: &str = "vineyard::File";
const FILENAME: &str = "filename";
const FILE_BYTES: &str = "file_bytes";
const CHECKSUM: &str = "checksum_xxh3";
/// Large enough that a chunk's own cost does not matter, small enough to find room in a fragmented arena.
const CHUNK_BYTES: usize = 64 << 20;
/// How often the progress bar moves.
const STEP_BYTES: usize = 1 << 20;

/// Stores what `file` has, of `length` bytes or until its end, as an object on `client`'s node. Its id and length.
pub(crate) async fn store(
    client: &Client,
    path: &Path,
    file: &mut File,
    length: Option<u64>,
    bar: &ProgressBar,
) -> Result<(ObjectId, u64), Failure> {
    let mut sealed = Vec::new();
    let stored = store_chunks(client, path, file, length, bar, &mut sealed).await;
    if stored.is_err() && !sealed.is_empty() {
        let ids: Vec<ObjectId> = sealed.iter().map(|part| part.id).collect();
        // The first error is the one to tell; a node that does not answer now cannot be helped from here.
        client.delete(&ids, DeleteOptions::default()).await.ok();
    }
    stored
}

/// Chunks in shared memory are sealed only when all are filled: if this process is killed before, they go with its
/// connection. Over TCP a chunk is sent as soon as it is read, so that only one is held here.
async fn store_chunks(
    client: &Client,
    path: &Path,
    file: &mut File,
    length: Option<u64>,
    bar: &ProgressBar,
    sealed: &mut Vec<Part>,
) -> Result<(ObjectId, u64), Failure> {
    let fault = |e| Failure::local(format!("read {}", path.display()), e);
    let mut checksum = Xxh3::new();
    let mut filled: Vec<BlobWriter> = Vec::new();
    let mut stored = 0;
    // Of what has no length, like a pipe, a chunk is read before there is room for it.
    let mut ahead = Vec::new();
    loop {
        let bytes = match length {
            Some(length) => (length - stored).min(CHUNK_BYTES as u64),
            None => {
                ahead.clear();
                let mut chunk = Read::by_ref(file).take(CHUNK_BYTES as u64);
                chunk.read_to_end(&mut ahead).map_err(fault)? as u64
            }
        };
        if bytes == 0 {
            break;
        }
        stored += bytes;
        let writer = client.create_blob(bytes as usize).await;
        let mut writer = writer.tried(|| format!("make room for {bytes} bytes"))?;
        let mut from_ahead = ahead.as_slice();
        for step in writer.as_mut_slice().chunks_mut(STEP_BYTES) {
            let read = match length {
                Some(_) => file.read_exact(step),
                None => from_ahead.read_exact(step),
            };
            read.map_err(fault)?;
            checksum.update(step);
            bar.inc(step.len() as u64);
        }
        filled.push(writer);
        if !client.is_ipc() {
            seal(&mut filled, sealed).await?;
        }
    }
    seal(&mut filled, sealed).await?;
    let named = sealed
        .iter()
        .enumerate()
        .map(|(index, part)| (chunk(index), *part));
    let mut tree = tree::object(TYPENAME, client.instance_id(), &named.collect::<Vec<_>>());
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    tree.insert(FILENAME.to_owned(), name.into());
    tree.insert(FILE_BYTES.to_owned(), stored.into());
    tree.insert(CHECKSUM.to_owned(), hex(&checksum).into());
    let made = client.create_metadata(tree).await;
    let made = made.tried(|| format!("store {}", path.display()))?;
    Ok((made.id, stored))
}

async fn seal(filled: &mut Vec<BlobWriter>, sealed: &mut Vec<Part>) -> Result<(), Failure> {
    for writer in filled.drain(..) {
        let bytes = writer.len();
        let blob = writer
            .seal()
            .await
            .tried(|| format!("seal {bytes} bytes"))?;
        sealed.push(Part {
            id: blob.id(),
            bytes,
        });
    }
    Ok(())
}

fn chunk(index: usize) -> String {
    format!("chunk_{index}")
}

fn hex(checksum: &Xxh3) -> String {
    format!("{:016x}", checksum.digest())
}

/// What an object will write, known before its bytes are read.
pub(crate) struct Contents {
    id: ObjectId,
    chunks: Vec<BlobPart>,
    pub(crate) bytes: u64,
    checksum: Option<String>,
}

/// A `vineyard::File`, or any object with exactly one blob: those bytes.
pub(crate) fn contents(id: ObjectId, tree: &Tree) -> Result<Contents, Failure> {
    let not_a_file = |reason: String| Failure::NotAFile {
        id: id.to_string(),
        typename: tree::text(tree, key::TYPENAME).to_owned(),
        reason,
    };
    if tree::text(tree, key::TYPENAME) == TYPENAME {
        let bytes = tree::number(tree, FILE_BYTES);
        let bytes = bytes.ok_or_else(|| not_a_file(format!("it lacks {FILE_BYTES}")))?;
        let count = usize::try_from(bytes.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
        let member = |index| {
            let blob = tree.get(&chunk(index)).and_then(tree::blob);
            blob.ok_or_else(|| not_a_file(format!("it lacks {}", chunk(index))))
        };
        let chunks = (0..count).map(member).collect::<Result<_, _>>()?;
        let checksum = Some(tree::text(tree, CHECKSUM).to_owned());
        return Ok(Contents {
            id,
            chunks,
            bytes,
            checksum,
        });
    }
    let blobs: Vec<(&serde_json::Value, BlobPart)> = tree
        .values()
        .filter_map(|member| Some((member, tree::blob(member)?)))
        .collect();
    let members = tree.values().filter(|value| value.is_object()).count();
    match blobs[..] {
        [(member, place)] if members == 1 => {
            let bytes = member
                .as_object()
                .and_then(|node| tree::number(node, key::LENGTH));
            Ok(Contents {
                id,
                chunks: vec![place],
                bytes: bytes.unwrap_or(0),
                checksum: None,
            })
        }
        _ => Err(not_a_file(format!(
            "it has {} blobs and {members} members",
            blobs.len()
        ))),
    }
}

/// Writes the bytes to `out`, chunk by chunk from wherever they are. Returns how many.
pub(crate) async fn write(
    client: &Client,
    contents: &Contents,
    out: &mut dyn Write,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let mut checksum = Xxh3::new();
    let mut written = 0;
    for place in &contents.chunks {
        let blob = client
            .read_blob(contents.id, place.id, place.instance)
            .await
            .tried(|| format!("read {}", contents.id))?;
        for step in blob.chunks(STEP_BYTES) {
            checksum.update(step);
            out.write_all(step)
                .map_err(|e| Failure::local("write the file", e))?;
            bar.inc(step.len() as u64);
        }
        written += blob.len() as u64;
    }
    out.flush()
        .map_err(|e: io::Error| Failure::local("write the file", e))?;
    let found = hex(&checksum);
    match &contents.checksum {
        Some(expected) if *expected != found => Err(Failure::Corrupt {
            what: format!("the checksum of {}", contents.id),
            expected: expected.clone(),
            found,
        }),
        _ => Ok(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vineyard_wire::InstanceId;

    fn part(number: u64, bytes: usize) -> Part {
        Part {
            id: ObjectId(1 << 63 | number),
            bytes,
        }
    }

    fn tree_of(typename: &str, parts: &[(&str, Part)]) -> Tree {
        let parts: Vec<_> = parts
            .iter()
            .map(|(name, part)| ((*name).to_owned(), *part))
            .collect();
        tree::object(typename, InstanceId(1), &parts)
    }

    #[test]
    fn a_file_is_its_chunks_in_order() {
        let mut tree = tree_of(
            TYPENAME,
            &[("chunk_1", part(2, 1)), ("chunk_0", part(1, CHUNK_BYTES))],
        );
        tree.insert(FILE_BYTES.into(), (CHUNK_BYTES + 1).into());
        let found = contents(ObjectId(9), &tree).unwrap();
        let ids: Vec<u64> = found.chunks.iter().map(|place| place.id.0 & 0xff).collect();
        assert_eq!((ids, found.bytes), (vec![1, 2], CHUNK_BYTES as u64 + 1));
        tree.remove("chunk_1");
        assert!(matches!(
            contents(ObjectId(9), &tree),
            Err(Failure::NotAFile { .. })
        ));
    }

    #[test]
    fn an_empty_file_has_no_chunk() {
        let mut tree = tree_of(TYPENAME, &[]);
        tree.insert(FILE_BYTES.into(), 0.into());
        assert_eq!(contents(ObjectId(9), &tree).unwrap().chunks, []);
    }

    #[test]
    fn another_object_is_a_file_only_if_it_is_one_blob() {
        let one = tree_of("vineyard::Tensor", &[("buffer_", part(1, 5))]);
        assert_eq!(contents(ObjectId(9), &one).unwrap().bytes, 5);
        let two = tree_of(
            "vineyard::DataFrame",
            &[("a", part(1, 5)), ("b", part(2, 5))],
        );
        let refused = contents(ObjectId(9), &two).err().unwrap().to_string();
        assert!(
            refused.contains("vineyard::DataFrame") && refused.contains("2 blobs"),
            "{refused}"
        );
    }
}
