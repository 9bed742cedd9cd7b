//! What is local to this node and has one owner: blobs, transient metadata, pending operations, and waits.
//!
//! Plain, synchronous code: no await, no socket, no clock. One call is one turn of the owner (`crate::actors::local`),
//! so a rule that spans blobs and metadata holds because nothing can come between. The replicated state is an argument
//! of each turn, loaded when the turn runs. It must never know a session, a handler or an actor.
//!
//! | file | what |
//! |---|---|
//! | `catalog` | transient metadata, and how to read it together with the replicated state |
//! | `pending` | the ledger of operations that are pending for an id, and its rules |
//! | `waiters` | waits for ids and names |
//! | `make` | making objects, with or without their blobs |
//! | `persist` | the begin and the end of a persist |
//! | `copy` | the begin and the end of a migrated copy |
//! | `delete` | deletes, and the freeing of blobs that nothing refers to any more |
//! | `streams` | the streams of this node |
//! | `chunks` | turns of streams: memory, order, waits |
//! | `relays`, `relayed` | turns of streams that are read from another node: on the stream's node, on the readers' |
//! | `read` | metadata, with the blobs that are here |
//! | `follow` | following what the cluster has applied |

pub(crate) mod catalog;
mod chunks;
mod copy;
mod delete;
mod follow;
mod make;
pub(crate) mod pending;
mod persist;
mod read;
mod relayed;
mod relays;
pub(crate) mod streams;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;
use vineyard_raft::state::State;
use vineyard_store::{Error, HolderId, Store};
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

pub(crate) use self::chunks::{Awaited, Need, PullOptions, Pulled, ended};
pub(crate) use self::copy::Copied;
pub(crate) use self::delete::{Deleted, Deletion, PendingDelete};
pub(crate) use self::make::{Inline, Made, Put, PutTurn};
pub(crate) use self::persist::{Carried, Persisting, Proposal};
pub(crate) use self::read::{Found, Known};
pub(crate) use self::relayed::{RelayNeed, Standing};
pub(crate) use self::waiters::Waiter;

use self::catalog::Catalog;
use self::pending::{Asked, Pending, Verdict};
use self::relays::RelayReader;
use self::streams::Streams;
use self::waiters::Waiters;

/// The result of a turn, or a wait after which the caller must ask again. A turn that returns a wait has changed
/// nothing.
pub(crate) type Attempt<T> = Result<T, Waiter>;

/// See the module.
pub(crate) struct Local {
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) pending: Pending,
    pub(crate) waiters: Waiters,
    pub(crate) streams: Streams,
    /// Other nodes that read streams of this one.
    relay_readers: BTreeMap<(InstanceId, ObjectId), RelayReader>,
    /// Streams of other nodes whose relay is being opened.
    opening: BTreeSet<ObjectId>,
    /// A writer waits before all blobs together use this much of the arena.
    stream_threshold_percent: u8,
    /// Objects of streams that can only be deleted later.
    pub(crate) discards: Discards,
    /// How often memory had become free when the last turn ended.
    releases_seen: u64,
    /// The holder of the blobs that the node itself writes.
    own_holder: HolderId,
}

/// Objects to delete, for the task that does it.
#[derive(Default)]
pub(crate) struct Discards {
    ids: Vec<ObjectId>,
    added: Arc<Notify>,
}

impl Discards {
    fn push(&mut self, id: ObjectId) {
        self.ids.push(id);
        self.added.notify_one();
    }

    pub(crate) fn take(&mut self) -> Vec<ObjectId> {
        std::mem::take(&mut self.ids)
    }

    /// Notified when there are some to take.
    pub(crate) fn added(&self) -> Arc<Notify> {
        self.added.clone()
    }
}

impl Local {
    pub(crate) fn new(mut store: Store, catalog: Catalog, stream_threshold_percent: u8) -> Self {
        Self {
            own_holder: store.open_holder(true),
            store,
            catalog,
            pending: Pending::default(),
            waiters: Waiters::default(),
            streams: Streams::default(),
            relay_readers: BTreeMap::new(),
            opening: BTreeSet::new(),
            stream_threshold_percent,
            discards: Discards::default(),
            releases_seen: 0,
        }
    }

    pub(crate) fn own_holder(&self) -> HolderId {
        self.own_holder
    }

    /// Seals one blob, and wakes the waits for it.
    pub(crate) fn seal(&mut self, holder: HolderId, id: ObjectId) -> Result<(), Error> {
        self.store.seal(holder, id)?;
        self.waiters.wake(&[id]);
        Ok(())
    }

    /// Seals blobs and releases their holder's references, for TCP clients, which read copies.
    pub(crate) fn seal_and_release(
        &mut self,
        holder: HolderId,
        ids: &[ObjectId],
    ) -> Result<(), Status> {
        for id in ids.iter().filter(|id| **id != ObjectId::EMPTY_BLOB) {
            self.seal(holder, *id)?;
            self.store.release(holder, *id)?;
        }
        Ok(())
    }

    /// Whether `id` is a transient object or a blob of this node.
    pub(crate) fn is_here(&self, id: ObjectId) -> bool {
        match id.is_blob() {
            true => self.store.exists(id),
            false => self.catalog.is_transient(id),
        }
    }

    /// Checks `asked` for all of `ids` in the ledger: a wait for the first that blocks it, or the first refusal.
    fn check<'a>(
        &mut self,
        asked: Asked,
        ids: impl IntoIterator<Item = &'a ObjectId>,
    ) -> Attempt<Result<(), Status>> {
        for id in ids {
            match self.pending.verdict(asked, *id) {
                Verdict::GoesOn => {}
                Verdict::Waits => return Err(self.waiters.wait_for(*id)),
                Verdict::Refused(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(()))
    }

    /// Refuses metadata over blobs that are absent or unsealed.
    fn check_sealed(&self, blobs: &[ObjectId]) -> Result<(), Status> {
        for id in blobs {
            match self.store.info(*id) {
                None => return Err(no_such_blob(*id)),
                Some(blob) if !blob.sealed => return Err(not_sealed(*id)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Frees those of `candidates` that nothing refers to, or is about to refer to, and ends `by`'s references to them.
    /// Returns those that were here.
    fn free_unreferred(
        &mut self,
        state: &State,
        candidates: impl IntoIterator<Item = ObjectId>,
        by: HolderId,
        trim: bool,
    ) -> Vec<ObjectId> {
        let Self {
            store,
            catalog,
            pending,
            ..
        } = self;
        let is_free = |id: &ObjectId| {
            !catalog.is_referred_to(*id) && state.blob(*id).is_none() && !pending.is_needed(*id)
        };
        let free = candidates.into_iter().filter(is_free);
        free.filter(|id| store.delete(by, *id, trim)).collect()
    }
}

pub(crate) fn no_such_blob(id: ObjectId) -> Status {
    Status::not_exists(format!("no such blob: {id}"))
}

pub(crate) fn not_sealed(id: ObjectId) -> Status {
    Status::new(
        Code::ObjectNotSealed,
        format!("the blob {id} is not sealed"),
    )
}
