//! The state machine: owns the state, applies what is committed, publishes it, and keeps snapshots.
//!
//! Promise: a batch is published before anyone is told of its outcome. A state is encoded and decoded on a thread of
//! its own, so that a large one holds up no heartbeat. What a newer build wrote is never applied, nor anything after
//! it. It must never know how entries got committed.

mod image;
mod snapshot_store;

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::oneshot;
use vineyard_env::{Disk, Faults, Threads};

pub(crate) use image::Image;
pub(crate) use snapshot_store::SnapshotStore;

use crate::command::{Applied, VERSION};
use crate::error::Error;
use crate::options::SNAPSHOT_AGAIN_AFTER;
use crate::published::Published;
use crate::published::feed::Update;
use crate::state::State;
use crate::types::{LogId, Membership, Snapshot, SnapshotMeta, TypeConfig};

pub(crate) struct Machine {
    state: State,
    place: AppliedPosition,
    snapshots: SnapshotStore,
    faults: Arc<dyn Faults>,
    threads: Arc<dyn Threads>,
    shared: Arc<Published>,
    /// Another machine goes on with the state.
    retired: bool,
}

/// How far a state has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AppliedPosition {
    applied: Option<LogId>,
    membership: Membership,
}

impl Machine {
    /// The last snapshot on the disk; raft replays the log from there.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        threads: Arc<dyn Threads>,
        shared: Arc<Published>,
        faults: Arc<dyn Faults>,
    ) -> io::Result<Self> {
        let snapshots = SnapshotStore::load(disk)?;
        let stored = snapshots.current();
        let (state, place) = (State::default(), AppliedPosition::default());
        let mut machine = Self {
            state,
            place,
            snapshots,
            faults,
            threads,
            shared,
            retired: false,
        };
        if let Some((place, image)) = stored {
            machine.replace(place, image.decode()?);
        }
        Ok(machine)
    }

    pub(crate) fn state(&self) -> State {
        self.state.clone()
    }

    /// The machine of raft's next life, with the same state and the same snapshots. This one applies nothing any more.
    pub(crate) fn hand_over(&mut self) -> Self {
        self.retired = true;
        Self {
            state: self.state.clone(),
            place: self.place.clone(),
            snapshots: self.snapshots.clone(),
            faults: self.faults.clone(),
            threads: self.threads.clone(),
            shared: self.shared.clone(),
            retired: false,
        }
    }

    fn is_in_use(&self) -> io::Result<()> {
        match self.retired {
            true => Err(io::Error::other("another machine has taken over")),
            false => Ok(()),
        }
    }

    /// The snapshots, for the one who says when to take them.
    pub(crate) fn snapshots(&self) -> SnapshotStore {
        self.snapshots.clone()
    }

    /// Returns when the bytes of a snapshot that a leader sent are durable. Without them this node can apply nothing
    /// that follows, so it tries until they are.
    async fn write_patiently(&self, number: u64, image: &Image) {
        let mut waits = false;
        while let Err(error) = self.snapshots.write(number, image).await {
            if !waits {
                tracing::warn!(%error, "the snapshot that the leader sent could not be written; it is tried again");
                waits = true;
            }
            tokio::time::sleep(SNAPSHOT_AGAIN_AFTER).await;
        }
    }

    fn replace(&mut self, place: AppliedPosition, state: State) {
        self.state = state;
        self.place = place;
        let index = self.place.applied.map_or(0, |applied| applied.index);
        self.shared.put_state(self.state.clone());
        self.shared.progress.advance(index);
        self.shared.feeds.publish(&Update::Reset { index });
    }

    /// Says why this replica applies nothing any more; raft stops with what this returns. To skip an entry that the
    /// others apply would make it another state than theirs.
    fn give_up(&self, error: Error) -> io::Error {
        tracing::error!(%error, "this node takes no further part in the metadata group");
        // A second reason does not replace the first.
        drop(self.shared.ended.set(error.clone()));
        io::Error::other(error)
    }

    fn publish(&self, events: Vec<crate::state::Event>) {
        let index = self.place.applied.map_or(0, |applied| applied.index);
        self.shared.put_state(self.state.clone());
        self.shared.feeds.publish(&Update::Events {
            index,
            events: Arc::new(events),
        });
        self.shared.progress.advance(index);
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Image;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        Ok((self.place.applied, self.place.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.is_in_use()?;
        let mut answers = Vec::new();
        let mut newer = None;
        let mut events = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let log_id = entry.log_id();
            if let EntryPayload::Normal(entry) = &entry.payload
                && entry.version > VERSION
            {
                newer = Some(Error::Newer {
                    version: entry.version,
                    understood: VERSION,
                });
                break;
            }
            let outcome = match entry.payload {
                EntryPayload::Normal(entry) => {
                    let (outcome, caused) =
                        self.state.apply(log_id.index, &entry, self.faults.as_ref());
                    events.extend(caused);
                    outcome
                }
                EntryPayload::Membership(membership) => {
                    self.state.advance(log_id.index);
                    self.place.membership = Membership::new(Some(log_id), membership);
                    Ok(Applied::Done)
                }
                EntryPayload::Blank => {
                    self.state.advance(log_id.index);
                    Ok(Applied::Done)
                }
            };
            self.place.applied = Some(log_id);
            answers.extend(responder.map(|responder| (responder, outcome)));
        }
        self.publish(events);
        for (responder, outcome) in answers {
            responder.send(outcome);
        }
        newer.map_or(Ok(()), |error| Err(self.give_up(error)))
    }

    /// None shortly after a snapshot could not be written: raft asks again.
    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        match self.snapshots.rests() {
            true => None,
            false => Some(self.get_snapshot_builder().await),
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.state.clone(),
            place: self.place.clone(),
            number: self.snapshots.number(),
            snapshots: self.snapshots.clone(),
            threads: self.threads.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> io::Result<()> {
        self.is_in_use()?;
        let place = AppliedPosition {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        // Decoded before it is kept: what cannot be read must not become what the next start reads.
        let arrived = image.clone();
        let (decoded, checksum) = aside(self.threads.as_ref(), move || {
            (arrived.decode(), arrived.checksum())
        })
        .await?;
        let state = decoded.map_err(|error| match image::newer(&error) {
            Some(error) => self.give_up(error),
            None => error,
        })?;
        let number = self.snapshots.number();
        self.write_patiently(number, &image).await;
        self.snapshots
            .name(number, &place, &image, checksum)
            .await?;
        self.replace(place, state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self
            .snapshots
            .current()
            .map(|(place, image)| snapshot(place, image)))
    }
}

fn snapshot(place: AppliedPosition, image: Image) -> Snapshot {
    let meta = SnapshotMeta {
        last_log_id: place.applied,
        last_membership: place.membership,
    };
    Snapshot {
        meta,
        snapshot: image,
    }
}

/// Encodes and stores one state while the machine goes on.
pub(crate) struct Builder {
    state: State,
    place: AppliedPosition,
    number: u64,
    snapshots: SnapshotStore,
    threads: Arc<dyn Threads>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let state = self.state.clone();
        let (image, checksum) = aside(self.threads.as_ref(), move || {
            let image = Image::encode(&state);
            let checksum = image.checksum();
            (image, checksum)
        })
        .await?;
        if let Err(error) = self.snapshots.write(self.number, &image).await {
            tracing::warn!(%error, "a snapshot could not be written; another is tried later");
            // An error would end raft; one that it has already changes nothing.
            let (place, image) = self.snapshots.current().unwrap_or_default();
            return Ok(snapshot(place, image));
        }
        self.snapshots
            .name(self.number, &self.place, &image, checksum)
            .await?;
        Ok(snapshot(self.place.clone(), image))
    }
}

/// Runs `work` on a thread of its own.
async fn aside<T: Send + 'static>(
    threads: &dyn Threads,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = oneshot::channel();
    // The caller may be gone by then.
    let main = move || Box::pin(async move { drop(done.send(work())) }) as _;
    threads.start("snapshot", Box::new(main));
    outcome
        .await
        .map_err(|_| io::Error::other("the snapshot's thread has ended early"))
}
