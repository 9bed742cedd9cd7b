//! The state machine: owns the state, applies what is committed, publishes it, and keeps snapshots.
//!
//! Promise: a batch is published before anyone is told of its outcome. A snapshot is the encoded state and its place in
//! the log, on the disk in chunks, with the manifest written last. It must never know how entries got committed.

mod image;

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use vineyard_env::Disk;

pub(crate) use image::Image;

use crate::command::Applied;
use crate::feed::Update;
use crate::meta::driver::Shared;
use crate::state::{Mutations, State};
use crate::types::{LogId, Membership, Snapshot, SnapshotMeta, TypeConfig};

pub(crate) struct Machine {
    state: State,
    place: Place,
    current: Option<(Place, Image)>,
    /// The next snapshot's number on the disk.
    number: u64,
    mutations: Mutations,
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
}

/// How far a state has come.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    applied: Option<LogId>,
    membership: Membership,
}

impl Machine {
    /// The last snapshot on the disk; raft replays the log from there.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        mutations: Mutations,
    ) -> io::Result<Self> {
        let stored = image::load(disk.as_ref())?;
        let mut machine = Self {
            state: State::new(mutations),
            place: Place::default(),
            current: None,
            number: stored.as_ref().map_or(1, |stored| stored.number + 1),
            mutations,
            disk,
            shared,
        };
        if let Some(stored) = stored {
            machine.replace(stored.place, stored.image)?;
        }
        Ok(machine)
    }

    fn replace(&mut self, place: Place, image: Image) -> io::Result<()> {
        self.state = State::restored(image.decode()?, self.mutations);
        self.place = place.clone();
        self.current = Some((place, image));
        let index = self.place.applied.map_or(0, |applied| applied.index);
        self.shared.state.store(Arc::new(self.state.clone()));
        self.shared.progress.advance(index);
        self.shared.feeds.publish(&Update::Reset { index });
        Ok(())
    }

    fn publish(&self, events: Vec<crate::state::Event>) {
        let index = self.place.applied.map_or(0, |applied| applied.index);
        self.shared.state.store(Arc::new(self.state.clone()));
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
        let mut answers = Vec::new();
        let mut events = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let log_id = entry.log_id();
            let outcome = match entry.payload {
                EntryPayload::Normal(entry) => {
                    let (outcome, caused) = self.state.apply(log_id.index, &entry);
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
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let number = self.number;
        self.number += 1;
        Builder {
            state: self.state.clone(),
            place: self.place.clone(),
            number,
            disk: self.disk.clone(),
            shared: self.shared.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> io::Result<()> {
        let place = Place {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        let number = self.number;
        self.number += 1;
        image::save(self.disk.as_ref(), number, &place, &image).await?;
        self.replace(place, image)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let built = self.shared.built.load_full();
        if let Some(built) = built.as_deref()
            && self
                .current
                .as_ref()
                .is_none_or(|(place, _)| place.applied < built.0.applied)
        {
            self.current = Some(built.clone());
        }
        Ok(self
            .current
            .as_ref()
            .map(|(place, image)| snapshot(place, image)))
    }
}

fn snapshot(place: &Place, image: &Image) -> Snapshot {
    let meta = SnapshotMeta {
        last_log_id: place.applied,
        last_membership: place.membership.clone(),
    };
    Snapshot {
        meta,
        snapshot: image.clone(),
    }
}

/// Encodes and stores one state while the machine goes on.
pub(crate) struct Builder {
    state: State,
    place: Place,
    number: u64,
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let image = Image::encode(&self.state);
        image::save(self.disk.as_ref(), self.number, &self.place, &image).await?;
        self.shared
            .built
            .store(Some(Arc::new((self.place.clone(), image.clone()))));
        Ok(snapshot(&self.place, &image))
    }
}
