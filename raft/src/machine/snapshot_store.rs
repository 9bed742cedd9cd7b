//! The snapshots of this node: the current one, and those that are being written.
//!
//! Promise: the disk always has one whole snapshot, and never goes back to an older one. A snapshot stands in chunks;
//! the manifest that names it is written last. Two may be written at once, one that was built here and one that a
//! leader sent: numbers are given in the order of what they hold, and a lower one never replaces a higher one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use vineyard_env::{Batch, Change, Disk};
use xxhash_rust::xxh3::xxh3_64;

use super::{AppliedPosition, Image};
use crate::format::keys;
use crate::format::raft::Position;
use crate::format::snapshot::Manifest;
use crate::options::SNAPSHOT_CHUNK_BYTES;

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct SnapshotStore {
    disk: Arc<dyn Disk>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// The number given last.
    given: u64,
    /// The highest number whose manifest was handed to the disk.
    named: u64,
    /// The highest number whose manifest is durable, and what it holds.
    current: Option<(u64, AppliedPosition, Image)>,
}

impl SnapshotStore {
    /// What the disk has.
    pub(super) fn load(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let current = load_current(disk.as_ref())?;
        let number = current.as_ref().map_or(0, |(number, ..)| *number);
        // What a crash cut off. If this fails, so will whatever is written next.
        let cut_off = Change::DeleteRange(keys::chunk(number + 1, 0), keys::chunks_end());
        disk.commit(vec![cut_off], Box::new(|_| {}));
        let inner = Inner {
            given: number,
            named: number,
            current,
        };
        Ok(Self {
            disk,
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// The newest durable snapshot.
    pub(super) fn current(&self) -> Option<(AppliedPosition, Image)> {
        self.lock()
            .current
            .as_ref()
            .map(|(_, place, image)| (place.clone(), image.clone()))
    }

    /// The number of a snapshot that begins now.
    pub(super) fn number(&self) -> u64 {
        let mut inner = self.lock();
        inner.given += 1;
        inner.given
    }

    /// Returns when the snapshot, or a newer one, is durable.
    pub(super) async fn save(
        &self,
        number: u64,
        place: &AppliedPosition,
        image: &Image,
    ) -> io::Result<()> {
        let mut chunks = 0;
        for chunk in image.0.chunks(SNAPSHOT_CHUNK_BYTES) {
            let put = Change::Put(keys::chunk(number, chunks), chunk.to_vec());
            durable(commit(self.disk.as_ref(), vec![put])).await?;
            chunks += 1;
        }
        let checksum = xxh3_64(&image.0);
        let manifest = Manifest {
            number,
            chunks,
            checksum,
            position: Position::new(place.applied.as_ref(), &place.membership),
        };
        durable(self.name(&manifest)).await?;
        let mut inner = self.lock();
        if inner
            .current
            .as_ref()
            .is_none_or(|(current, ..)| *current < number)
        {
            inner.current = Some((number, place.clone(), image.clone()));
        }
        Ok(())
    }

    /// Makes `manifest` the current one and removes the older snapshots, unless a newer one was named while it was
    /// written: then it goes itself. Deciding and queueing are one step, so the disk sees the numbers in order.
    fn name(&self, manifest: &Manifest) -> oneshot::Receiver<io::Result<()>> {
        let mut inner = self.lock();
        let number = manifest.number;
        let batch = if inner.named > number {
            vec![Change::DeleteRange(
                keys::chunk(number, 0),
                keys::chunk(number + 1, 0),
            )]
        } else {
            inner.named = number;
            vec![
                Change::Put(keys::MANIFEST.to_vec(), keys::seal(manifest)),
                Change::DeleteRange(keys::chunk(0, 0), keys::chunk(number, 0)),
            ]
        };
        commit(self.disk.as_ref(), batch)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load_current(disk: &dyn Disk) -> io::Result<Option<(u64, AppliedPosition, Image)>> {
    let Some(bytes) = disk.get(&keys::MANIFEST)? else {
        return Ok(None);
    };
    let Manifest {
        number,
        chunks,
        checksum,
        position,
    } = keys::open(&bytes)?;
    let (applied, membership) = position.into_parts();
    let place = AppliedPosition {
        applied,
        membership,
    };
    let mut image = Vec::new();
    for (_, chunk) in disk.scan(&keys::chunk(number, 0), &keys::chunk(number, chunks))? {
        image.extend(chunk);
    }
    if xxh3_64(&image) != checksum {
        let reason = "the stored snapshot does not match its checksum";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some((number, place, Image(Arc::new(image)))))
}

fn commit(disk: &dyn Disk, batch: Batch) -> oneshot::Receiver<io::Result<()>> {
    let (done, durable) = oneshot::channel();
    // A caller that went away does not need the answer.
    disk.commit(batch, Box::new(move |result| drop(done.send(result))));
    durable
}

async fn durable(committed: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    committed
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the disk has stopped")))
}

#[cfg(test)]
mod tests;
