//! The snapshots of this node: the current one, and those that are being written.
//!
//! Promise: the disk always has one whole snapshot, and never goes back to an older one. A snapshot stands in a file of
//! its own; the manifest that names it is written when the file is durable, and only that goes through the disk's
//! queue. Two may be written at once, one that was built here and one that a leader sent: numbers are given in the
//! order of what they hold, and a lower one never replaces a higher one. A file that cannot be written is tried again
//! later.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;
use vineyard_env::{Batch, Change, Disk, Done};

use super::{AppliedPosition, Image};
use crate::format::keys;
use crate::format::manifest::{Held, Manifest};
use crate::format::raft::Position;
use crate::options::SNAPSHOT_AGAIN_AFTER;

/// What to do about a snapshot that cannot be read.
const REPLACE: &str = "this node cannot go on from what is left: give it an empty data directory and --join, and the \
                       cluster sends it everything";

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
    current: Option<Current>,
    /// When a file could not be written, if none was written since.
    failed: Option<Instant>,
}

/// The snapshot with the highest number whose manifest is durable.
struct Current {
    number: u64,
    place: AppliedPosition,
    image: Image,
}

impl SnapshotStore {
    /// What the disk has. What a crash cut off, and what no manifest names, is removed.
    pub(super) fn load(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let manifest = disk.get(&keys::MANIFEST)?;
        let manifest = manifest.map(|bytes| Manifest::open(&bytes)).transpose()?;
        let number = manifest.as_ref().map_or(0, |manifest| manifest.number);
        let in_file = manifest
            .as_ref()
            .is_some_and(|manifest| matches!(manifest.held, Held::File(_)));
        let current = manifest
            .map(|manifest| load_current(disk.as_ref(), manifest))
            .transpose()?;
        if !in_file {
            let cut_off = Change::DeleteRange(keys::chunk(number + 1, 0), keys::chunks_end());
            // If this fails, so will whatever is written next.
            disk.commit(vec![cut_off], Box::new(|_| {}));
        }
        let files = disk.files();
        for other in files.list()? {
            if !in_file || other != number {
                files.remove(other);
            }
        }
        let inner = Inner {
            given: number,
            named: number,
            current,
            failed: None,
        };
        Ok(Self {
            disk,
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// The newest durable snapshot.
    pub(super) fn current(&self) -> Option<(AppliedPosition, Image)> {
        let inner = self.lock();
        let current = inner.current.as_ref();
        current.map(|current| (current.place.clone(), current.image.clone()))
    }

    /// The last entry that is in the newest durable snapshot, and the bytes of that.
    pub(crate) fn extent(&self) -> Option<(u64, u64)> {
        let inner = self.lock();
        let current = inner.current.as_ref()?;
        let index = current.place.applied.map_or(0, |applied| applied.index);
        Some((index, current.image.0.len() as u64))
    }

    /// The number of a snapshot that begins now.
    pub(super) fn number(&self) -> u64 {
        let mut inner = self.lock();
        inner.given += 1;
        inner.given
    }

    /// Returns when the bytes of a snapshot are durable.
    ///
    /// # Errors
    /// What the disk says of the file. Nothing else has changed, and another try may do better.
    pub(super) async fn write(&self, number: u64, image: &Image) -> io::Result<()> {
        let (done, durable) = told();
        self.disk.files().write(number, image.0.clone(), done);
        let written = self::durable(durable).await;
        self.lock().failed = written.is_err().then(Instant::now);
        written
    }

    /// Whether a file could not be written a short time ago.
    pub(super) fn rests(&self) -> bool {
        let failed = self.lock().failed;
        failed.is_some_and(|failed| failed.elapsed() < SNAPSHOT_AGAIN_AFTER)
    }

    /// Returns when the snapshot whose bytes are durable, or a newer one, is the current one.
    pub(super) async fn name(
        &self,
        number: u64,
        place: &AppliedPosition,
        image: &Image,
        checksum: u64,
    ) -> io::Result<()> {
        let manifest = Manifest {
            number,
            held: Held::File(image.0.len() as u64),
            checksum,
            position: Position::new(place.applied.as_ref(), &place.membership),
        };
        let Some(named) = self.queue(&manifest) else {
            self.disk.files().remove(number);
            return Ok(());
        };
        durable(named).await?;
        let mut inner = self.lock();
        let newest = inner.current.as_ref().map_or(0, |current| current.number);
        if newest < number {
            inner.current = Some(Current {
                number,
                place: place.clone(),
                image: image.clone(),
            });
        }
        drop(inner);
        self.remove_older(number);
        Ok(())
    }

    /// Hands `manifest` to the disk, unless a newer one was before. Deciding and queueing are one step, so the disk
    /// sees the numbers in order.
    fn queue(&self, manifest: &Manifest) -> Option<oneshot::Receiver<io::Result<()>>> {
        let mut inner = self.lock();
        if inner.named > manifest.number {
            return None;
        }
        inner.named = manifest.number;
        // Earlier builds had the bytes in chunks.
        let batch = vec![
            Change::Put(keys::MANIFEST.to_vec(), manifest.seal()),
            Change::DeleteRange(keys::chunk(0, 0), keys::chunks_end()),
        ];
        Some(commit(self.disk.as_ref(), batch))
    }

    /// Removes what a durable manifest of `number` has replaced.
    fn remove_older(&self, number: u64) {
        let files = self.disk.files();
        match files.list() {
            Ok(there) => there
                .into_iter()
                .filter(|other| *other < number)
                .for_each(|other| files.remove(other)),
            Err(error) => tracing::warn!(%error, "older snapshots are not removed"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The snapshot that a manifest names. It is what was written, or it is an error.
fn load_current(disk: &dyn Disk, manifest: Manifest) -> io::Result<Current> {
    let Manifest {
        number,
        held,
        checksum,
        position,
    } = manifest;
    let image = match held {
        Held::Chunks(chunks) => {
            let pairs = disk.scan(&keys::chunk(number, 0), &keys::chunk(number, chunks))?;
            pairs.into_iter().flat_map(|(_, chunk)| chunk).collect()
        }
        Held::File(bytes) => read_file(disk, number, bytes)?,
    };
    let image = Image(Arc::new(image));
    if image.checksum() != checksum {
        return Err(match held {
            Held::Chunks(_) => unreadable("the stored snapshot does not match its checksum"),
            Held::File(_) => unreadable(&format!(
                "the snapshot {} is damaged: it does not match the checksum that the database has of it",
                disk.files().name(number)
            )),
        });
    }
    let (applied, membership) = position.into_parts();
    let place = AppliedPosition {
        applied,
        membership,
    };
    Ok(Current {
        number,
        place,
        image,
    })
}

fn read_file(disk: &dyn Disk, number: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let files = disk.files();
    let name = files.name(number);
    let image = files.read(number).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unreadable(&format!("the snapshot {name} is missing")),
        kind => io::Error::new(kind, format!("the snapshot {name} cannot be read: {error}")),
    })?;
    match image.len() as u64 {
        found if found != bytes => Err(unreadable(&format!(
            "the snapshot {name} has {found} bytes, but {bytes} were written"
        ))),
        _ => Ok(image),
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}; {REPLACE}"))
}

fn commit(disk: &dyn Disk, batch: Batch) -> oneshot::Receiver<io::Result<()>> {
    let (done, durable) = told();
    disk.commit(batch, done);
    durable
}

/// Who is told of a write, and where that arrives.
fn told() -> (Done, oneshot::Receiver<io::Result<()>>) {
    let (done, durable) = oneshot::channel();
    // A caller that went away does not need the answer.
    (Box::new(move |result| drop(done.send(result))), durable)
}

async fn durable(committed: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    committed
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the disk has stopped")))
}

#[cfg(test)]
mod tests;
