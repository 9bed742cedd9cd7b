//! Makes objects: over blobs that are here, or with blobs from the same request.
//!
//! Promise: all or nothing. All local blobs of an object are sealed; a refused object leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_store::{Blob, Error, HolderId, Store};
use vineyard_wire::{Code, ObjectId, Status, Tree};

use super::catalog::absorb::{Created, local_blobs, named_object};
use super::catalog::children;
use super::pending::{Asked, Verdict};
use super::{Attempt, Local, Persisting, Waiter};

/// A `put_object` request. A blocked turn returns it, so that the caller can ask again.
pub(crate) struct Put {
    /// The holder of the session.
    pub(crate) holder: HolderId,
    /// The holder for deleting blobs if the put is refused.
    pub(crate) deleter: HolderId,
    pub(crate) content: Option<Tree>,
    /// Blobs that the client has filled, to be sealed.
    pub(crate) seal: Vec<ObjectId>,
    pub(crate) inline: Inline,
    pub(crate) persist: bool,
    /// The blobs that this put has sealed so far.
    sealed: Vec<ObjectId>,
    /// `content` is complete, as `create_data` expects it.
    is_complete: bool,
}

/// The inline blobs of the request.
pub(crate) enum Inline {
    Bytes { sizes: Vec<u64>, bytes: Vec<u8> },
    Stored(Vec<Blob>),
}

/// The result of one turn of a put.
pub(crate) enum PutTurn {
    Made(Made),
    Refused(Status),
    /// Something pending blocks the put: ask again after the wait.
    Blocked(Put, Waiter),
    /// A member is unknown here. Confirm with the cluster and ask again, or abandon the put.
    Unknown(Put, Status),
}

pub(crate) struct Made {
    /// `None` if the put has only blobs.
    pub(crate) object: Option<Created>,
    /// The inline blobs, in their order.
    pub(crate) blobs: Vec<ObjectId>,
    /// The blobs that the put has sealed.
    pub(crate) sealed: Vec<ObjectId>,
    /// The persist that has begun; `None` if none was asked for, or if something pending blocks it.
    pub(crate) persisting: Option<Persisting>,
}

impl Put {
    pub(crate) fn new(holder: HolderId, deleter: HolderId, inline: Inline) -> Self {
        Self {
            holder,
            deleter,
            content: None,
            seal: Vec::new(),
            inline,
            persist: false,
            sealed: Vec::new(),
            is_complete: false,
        }
    }

    fn stored(&self) -> &[Blob] {
        match &self.inline {
            Inline::Bytes { .. } => &[],
            Inline::Stored(blobs) => blobs,
        }
    }

    fn inline_ids(&self) -> Vec<ObjectId> {
        self.stored().iter().map(|blob| blob.id).collect()
    }
}

impl Local {
    /// Makes objects of `contents`, all or none.
    pub(crate) fn create(
        &mut self,
        state: &State,
        contents: &Arc<[Tree]>,
        now_ms: u64,
    ) -> Attempt<Result<Vec<Created>, Status>> {
        for content in contents.iter() {
            self.check_members(content)?;
        }
        Ok(self.make(state, contents, now_ms))
    }

    /// Stores the inline blobs, seals, makes the object and begins its persist.
    pub(crate) fn put(&mut self, state: &State, mut put: Put, now_ms: u64) -> PutTurn {
        if let Some(content) = &put.content
            && let Err(waiter) = self.check_members(content)
        {
            return PutTurn::Blocked(put, waiter);
        }
        match self.store_and_seal(&mut put) {
            Ok(sealed) => put.sealed.extend(sealed),
            Err(status) => return PutTurn::Refused(self.abandon(state, &put, status)),
        }
        let Some(mut content) = put.content.take() else {
            return PutTurn::Made(self.made(put, None, None));
        };
        if !put.is_complete {
            let inline: Vec<_> = put
                .stored()
                .iter()
                .map(|blob| (blob.id, blob.size))
                .collect();
            content = match self.catalog.complete(state, content, &inline) {
                Ok(content) => content,
                Err(status) => return PutTurn::Refused(self.abandon(state, &put, status)),
            };
            put.is_complete = true;
        }
        let mut made = match self.make(state, std::slice::from_ref(&content), now_ms) {
            Ok(made) => made,
            Err(status) if status.code == Code::MetaTreeSubtreeNotExists => {
                put.content = Some(content);
                return PutTurn::Unknown(put, status);
            }
            Err(status) => return PutTurn::Refused(self.abandon(state, &put, status)),
        };
        let created = made.pop().expect("one tree makes one object");
        let persisting = match put
            .persist
            .then(|| self.begin_persist(state, &[created.id]))
        {
            None | Some(Err(_)) => None,
            Some(Ok(Ok(persisting))) => Some(persisting),
            Some(Ok(Err(status))) => {
                self.catalog.rollback(&[created]);
                return PutTurn::Refused(self.abandon(state, &put, status));
            }
        };
        PutTurn::Made(self.made(put, Some(created), persisting))
    }

    /// Abandons a put: deletes the blobs that it sealed, except for those that other objects refer to by now.
    pub(crate) fn abandon(&mut self, state: &State, put: &Put, status: Status) -> Status {
        let sealed = put.sealed.iter().copied();
        self.free_unreferred(state, sealed, put.deleter, false);
        self.store.release_all(put.holder, &put.inline_ids());
        status
    }

    fn made(&mut self, put: Put, object: Option<Created>, persisting: Option<Persisting>) -> Made {
        let blobs = put.inline_ids();
        self.store.release_all(put.holder, &blobs);
        Made {
            object,
            blobs,
            sealed: put.sealed,
            persisting,
        }
    }

    /// Makes a copy of `id`'s metadata with `extra` set over it. Returns its id, and whether the original is
    /// persistent.
    pub(crate) fn shallow_copy(
        &mut self,
        state: &State,
        id: ObjectId,
        extra: &Tree,
    ) -> Attempt<Result<(ObjectId, bool), Status>> {
        if let Some(record) = self.catalog.record(state, id) {
            let members: Vec<_> = children(record).filter(|id| !id.is_blob()).collect();
            // The ledger never refuses an object; it waits.
            let _waits_or_goes_on = self.check(Asked::Refer, &members)?;
        }
        let Self {
            catalog, pending, ..
        } = self;
        Ok(catalog.shallow_copy(pending, state, id, extra).map(|copy| {
            let target = copy.id;
            catalog.insert(copy);
            self.waiters.wake(&[target]);
            (target, state.contains(id))
        }))
    }

    /// Removes a transient copy whose persist failed, and what only it referred to.
    pub(crate) fn remove_copy(&mut self, state: &State, id: ObjectId) {
        let Some(copy) = self.catalog.remove(id) else {
            return;
        };
        let blobs: Vec<_> = children(&copy).filter(|id| id.is_blob()).collect();
        self.free_unreferred(state, blobs, self.own_holder, false);
    }

    /// Adds labels to a transient object; `false` if it is not transient.
    pub(crate) fn label(
        &mut self,
        state: &State,
        id: ObjectId,
        labels: BTreeMap<String, String>,
    ) -> Attempt<Result<bool, Status>> {
        if state.contains(id) {
            return Ok(Ok(false));
        }
        // The ledger never refuses a label.
        let _waits_or_goes_on = self.check(Asked::Label, &[id])?;
        Ok(self.catalog.label(id, labels))
    }

    /// Waits while a pending delete has marked an object that `content` refers to.
    fn check_members(&mut self, content: &Tree) -> Attempt<()> {
        if !self.pending.has_marked_objects() {
            return Ok(());
        }
        let waits = |id: ObjectId| {
            !id.is_blob() && self.pending.verdict(Asked::Refer, id) == Verdict::Waits
        };
        match named_object(content, waits) {
            Some(id) => Err(self.waiters.wait_for(id)),
            None => Ok(()),
        }
    }

    fn make(
        &mut self,
        state: &State,
        contents: &[Tree],
        now_ms: u64,
    ) -> Result<Vec<Created>, Status> {
        let Self {
            catalog, pending, ..
        } = self;
        let made = catalog.create_all(pending, state, contents, now_ms)?;
        let mut blobs = Vec::new();
        for content in contents {
            local_blobs(content, self.catalog.me(), &mut blobs);
        }
        if let Err(status) = self.check_sealed(&blobs) {
            self.catalog.rollback(&made);
            return Err(status);
        }
        for created in &made {
            self.waiters
                .wake(created.brought.iter().chain([&created.id]));
        }
        Ok(made)
    }

    /// Seals all of the blobs, or none. Returns those that were not sealed before.
    fn store_and_seal(&mut self, put: &mut Put) -> Result<Vec<ObjectId>, Status> {
        if let Inline::Bytes { sizes, bytes } = &put.inline {
            let blobs = store_all(&mut self.store, put.holder, sizes, bytes)?;
            put.inline = Inline::Stored(blobs);
        }
        let mut ids = put.seal.clone();
        ids.extend(put.inline_ids());
        let mut newly = Vec::new();
        for id in &ids {
            let blob = self.store.info(*id).ok_or(Error::NotFound {
                act: "seal",
                id: *id,
            })?;
            if !blob.sealed && *id != ObjectId::EMPTY_BLOB {
                newly.push(*id);
            }
        }
        for id in &ids {
            self.store.seal(put.holder, *id)?;
        }
        self.waiters.wake(&newly);
        Ok(newly)
    }
}

/// A blob for each of `sizes`, with its part of `bytes`.
fn store_all(
    store: &mut Store,
    holder: HolderId,
    sizes: &[u64],
    bytes: &[u8],
) -> Result<Vec<Blob>, Status> {
    let blobs = store.create_many(holder, sizes)?;
    let mut rest = bytes;
    for blob in &blobs {
        let mut writer = store.writer(blob.id)?;
        let (own, others) = rest.split_at(writer.len());
        writer.copy_from_slice(own);
        rest = others;
    }
    Ok(blobs)
}
