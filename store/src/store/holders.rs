//! Who holds what. A holder counts at most once per blob, and takes what it created but did not seal with it.

use std::collections::BTreeSet;
use std::ops::Bound;

use vineyard_env::User;
use vineyard_wire::ObjectId;

use super::Store;
use crate::blob::{Holder, Stage};
use crate::{Blob, Error, HolderId, Result};

impl Store {
    /// A new holder. One that can not release (the released Python client never does) keeps bytes until it closes; of
    /// those that were deleted, the oldest are used again when memory is out.
    pub fn open_holder(&mut self, can_release: bool) -> HolderId {
        self.open_holder_of(None, can_release)
    }

    /// `open_holder` for a process of `user`, who maps the arena; `None` for who can read the node's memory anyhow.
    pub fn open_holder_of(&mut self, user: Option<User>, can_release: bool) -> HolderId {
        let id = HolderId(self.holders_opened);
        self.holders_opened += 1;
        let holder = Holder {
            can_release,
            user,
            holds: BTreeSet::new(),
            unsealed: BTreeSet::new(),
        };
        self.holders.insert(id, holder);
        id
    }

    /// The user of a holder, as it was opened.
    pub fn user_of(&self, id: HolderId) -> Option<User> {
        self.holders.get(&id).and_then(|holder| holder.user)
    }

    /// Releases all that `id` holds and deletes the unsealed blobs it created. Returns these.
    pub fn close_holder(&mut self, id: HolderId) -> Vec<ObjectId> {
        let Some(holder) = self.holders.get(&id) else {
            return Vec::new();
        };
        let (held, unsealed) = (
            holder.holds.clone(),
            Vec::from_iter(holder.unsealed.clone()),
        );
        for blob in &unsealed {
            self.delete(id, *blob, false);
        }
        for blob in held {
            self.end_hold(id, blob);
        }
        self.holders.remove(&id);
        unsealed
    }

    /// At most `max` of the blobs above `after` that `id` holds or fills, each with whether it was deleted.
    pub fn held_by(&self, id: HolderId, after: ObjectId, max: usize) -> Vec<(Blob, bool)> {
        let Some(holder) = self.holders.get(&id) else {
            return Vec::new();
        };
        let above = (Bound::Excluded(after), Bound::Unbounded);
        let held = holder.holds.range(above).take(max);
        let filled = holder.unsealed.range(above).take(max);
        let ids: BTreeSet<ObjectId> = held.chain(filled).copied().collect();
        let known = ids.into_iter().take(max).filter_map(|id| {
            let deleted = self.tombstones.get(&id).map(|tombstone| &tombstone.entry);
            let entry = deleted.or_else(|| self.blobs.get(&id))?;
            Some((entry.blob(id), deleted.is_some()))
        });
        known.collect()
    }

    /// Lets `holder` hold those of `ids` that are here.
    pub fn retain(&mut self, holder: HolderId, ids: &[ObjectId]) -> Result<()> {
        self.holder(holder)?;
        for id in ids {
            if self.blobs.contains_key(id) {
                self.hold(holder, *id)?;
            }
        }
        Ok(())
    }

    /// `holder` no longer needs the blob, which may be deleted already.
    pub fn release(&mut self, holder: HolderId, id: ObjectId) -> Result<()> {
        if id == ObjectId::EMPTY_BLOB {
            return Ok(());
        }
        if self.holder(holder)?.holds.is_empty() {
            return Err(Error::HoldsNothing);
        }
        if self.end_hold(holder, id) {
            Ok(())
        } else {
            Err(Error::NotHeld { id })
        }
    }

    /// `holder` no longer reads or fills any of `ids`: its holds end, and what it created and did not seal is deleted.
    pub fn release_all(&mut self, holder: HolderId, ids: &[ObjectId]) {
        for id in ids {
            let keeper = self.holders.get(&holder);
            if keeper.is_some_and(|keeper| keeper.unsealed.contains(id)) {
                self.delete(holder, *id, false);
            }
            self.end_hold(holder, *id);
        }
    }

    pub(super) fn holder(&mut self, holder: HolderId) -> Result<&mut Holder> {
        self.holders
            .get_mut(&holder)
            .ok_or(Error::HolderClosed { holder })
    }

    /// Lets `holder` hold a visible blob.
    pub(super) fn hold(&mut self, holder: HolderId, id: ObjectId) -> Result<()> {
        let Some(entry) = self.blobs.get_mut(&id) else {
            return Ok(());
        };
        let keeper = self
            .holders
            .get_mut(&holder)
            .ok_or(Error::HolderClosed { holder })?;
        if keeper.user != entry.writer && entry.stage != Stage::Sealed {
            entry.writer = None;
        }
        if keeper.holds.insert(id) {
            entry.holders.insert(holder);
            entry.releasers += usize::from(keeper.can_release);
            self.usage.references += 1;
        }
        self.show_to(holder);
        Ok(())
    }

    /// Ends the hold of `holder` on a blob, visible or deleted; `false` if there was none.
    pub(super) fn end_hold(&mut self, holder: HolderId, id: ObjectId) -> bool {
        let Some(keeper) = self.holders.get_mut(&holder) else {
            return false;
        };
        if !keeper.holds.remove(&id) {
            return false;
        }
        let deleted = self
            .tombstones
            .get_mut(&id)
            .map(|tombstone| &mut tombstone.entry);
        let is_deleted = deleted.is_some();
        let entry = deleted
            .or_else(|| self.blobs.get_mut(&id))
            .expect("what is held is stored");
        entry.holders.remove(&holder);
        entry.releasers -= usize::from(keeper.can_release);
        self.usage.references -= 1;
        if is_deleted {
            self.settle(id);
        }
        true
    }

    /// The blob is no longer an unsealed one of `creator`.
    pub(super) fn disown(&mut self, creator: HolderId, id: ObjectId) {
        self.usage.unsealed -= 1;
        if let Some(holder) = self.holders.get_mut(&creator) {
            holder.unsealed.remove(&id);
        }
        debug_assert!(
            self.blobs
                .get(&id)
                .is_none_or(|entry| entry.stage == Stage::Sealed)
        );
    }
}
