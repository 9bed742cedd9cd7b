//! A snapshot's bytes, and how they stand on the disk.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use vineyard_env::{Batch, Change, Disk};
use vineyard_wire::peer;
use xxhash_rust::xxh3::xxh3_64;

use super::Place;
use crate::keys;
use crate::options::SNAPSHOT_CHUNK_BYTES;
use crate::state::State;

/// An encoded state. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(pub(crate) Arc<Vec<u8>>);

impl Image {
    pub(crate) fn encode(state: &State) -> Self {
        Self(Arc::new(peer::encode(state)))
    }

    pub(crate) fn decode(&self) -> io::Result<State> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        peer::decode_image(&self.0).map_err(damaged)
    }
}

/// Which snapshot is current; written last.
#[derive(Serialize, Deserialize)]
struct Manifest {
    number: u64,
    chunks: u32,
    checksum: u64,
    place: Place,
}

pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) place: Place,
    pub(super) image: Image,
}

pub(super) fn load(disk: &dyn Disk) -> io::Result<Option<Stored>> {
    let Some(bytes) = disk.get(&keys::MANIFEST)? else {
        return Ok(None);
    };
    let Manifest {
        number,
        chunks,
        checksum,
        place,
    } = keys::open(&bytes)?;
    let mut image = Vec::new();
    for (_, chunk) in disk.scan(&keys::chunk(number, 0), &keys::chunk(number, chunks))? {
        image.extend(chunk);
    }
    if xxh3_64(&image) != checksum {
        let reason = "the stored snapshot does not match its checksum";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(Stored {
        number,
        place,
        image: Image(Arc::new(image)),
    }))
}

/// Returns when the snapshot is durable and every other one is on its way out.
pub(super) async fn save(
    disk: &dyn Disk,
    number: u64,
    place: &Place,
    image: &Image,
) -> io::Result<()> {
    let mut chunks = 0;
    for chunk in image.0.chunks(SNAPSHOT_CHUNK_BYTES) {
        let put = Change::Put(keys::chunk(number, chunks), chunk.to_vec());
        commit(disk, vec![put]).await?;
        chunks += 1;
    }
    let manifest = Manifest {
        number,
        chunks,
        checksum: xxh3_64(&image.0),
        place: place.clone(),
    };
    commit(
        disk,
        vec![
            Change::Put(keys::MANIFEST.to_vec(), keys::seal(&manifest)),
            Change::DeleteRange(keys::chunk(0, 0), keys::chunk(number, 0)),
            Change::DeleteRange(keys::chunk(number + 1, 0), keys::chunks_end()),
        ],
    )
    .await
}

async fn commit(disk: &dyn Disk, batch: Batch) -> io::Result<()> {
    let (done, durable) = oneshot::channel();
    // A caller that went away does not need the answer.
    disk.commit(batch, Box::new(move |result| drop(done.send(result))));
    durable
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the disk has stopped")))
}
