//! Deletion. A deleted blob is not found any more; a tombstone keeps its bytes in place while a holder holds them or a
//! slice covers them. If memory would be out otherwise, the bytes that are held only by holders who cannot release are
//! used again, oldest first.

use vineyard_wire::ObjectId;

use super::Store;
use crate::allocator::extent_bytes;
use crate::blob::{Stage, Tombstone};
use crate::{HolderId, Result};

impl Store {
    /// Deletes a blob and counts the hold of `by` as released; `false` if there is no such blob. With `trim` its pages
    /// go back to the system as soon as nobody needs them. The empty blob can not be deleted.
    pub fn delete(&mut self, by: HolderId, id: ObjectId, trim: bool) -> bool {
        let Some(mut entry) = self.blobs.remove(&id) else {
            return false;
        };
        self.usage.blobs -= 1;
        self.usage.memory_usage -= entry.size;
        self.usage.deleted_bytes += entry.size;
        if let Stage::Unsealed { creator } = entry.stage {
            self.disown(creator, id);
            // Its creator may be writing through its own mapping, so it holds the bytes until it releases them or
            // closes.
            if creator != by
                && let Some(keeper) = self.holders.get_mut(&creator)
                && keeper.holds.insert(id)
            {
                entry.holders.insert(creator);
                entry.releasers += usize::from(keeper.can_release);
                self.usage.references += 1;
            }
        }
        let since = self.deletions;
        self.deletions += 1;
        self.tombstones.insert(id, Tombstone { entry, since, trim });
        if !self.end_hold(by, id) {
            self.settle(id);
        }
        true
    }

    /// Ends all holds of `by`, also those on blobs that others have deleted.
    pub fn release_everything(&mut self, by: HolderId) {
        let held = self.holders.get(&by).map(|holder| holder.holds.clone());
        for id in held.into_iter().flatten() {
            self.end_hold(by, id);
        }
    }

    /// The offset of a new extent for `holder`, at the expense of reusable bytes if it must be.
    pub(super) fn allocate(&mut self, holder: HolderId, size: u64) -> Result<u64> {
        if size > self.usage.memory_limit - self.usage.memory_usage {
            return Err(self.out_of_memory(size));
        }
        self.free_unborrowed();
        self.show_to(holder);
        let free = self.allocator.allocate(size);
        free.or_else(|| self.reuse(size))
            .ok_or_else(|| self.out_of_memory(size))
    }

    /// Frees reusable bytes, oldest first, until `size` fits. If it never does, nothing is lost.
    fn reuse(&mut self, size: u64) -> Option<u64> {
        let mut freed = Vec::new();
        let mut offset = None;
        for id in self.reusable.values() {
            let entry = &self.tombstones[id].entry;
            if self.arena.is_borrowed(entry.offset, entry.extent) {
                continue;
            }
            self.allocator.free(entry.offset, entry.extent);
            freed.push(*id);
            offset = self.allocator.allocate(size);
            if offset.is_some() {
                break;
            }
        }
        for id in freed {
            if offset.is_some() {
                self.wipe_deleted(id);
                self.forget(id);
            } else {
                let entry = &self.tombstones[&id].entry;
                self.allocator.claim(entry.offset, entry.extent);
            }
        }
        offset
    }

    /// Decides what becomes of a deleted blob after its holders changed.
    pub(super) fn settle(&mut self, id: ObjectId) {
        let Some(Tombstone { entry, since, trim }) = self.tombstones.get(&id) else {
            return;
        };
        if !entry.holders.is_empty() {
            // Bytes that a client may be writing are not used again before it releases them.
            if entry.releasers == 0
                && entry.stage == Stage::Sealed
                && self.reusable.insert(*since, id).is_none()
            {
                self.reusable_bytes += entry.size;
                self.releases += 1;
            }
        } else if self.arena.is_borrowed(entry.offset, entry.extent) {
            self.borrowed.insert(id);
        } else {
            let (offset, extent, trim) = (entry.offset, entry.extent, *trim);
            self.wipe_deleted(id);
            self.allocator.free(offset, extent);
            self.releases += 1;
            self.forget(id);
            if trim {
                self.trim_at(offset);
            }
        }
    }

    /// Frees the deleted blobs whose last slice was dropped since.
    pub(super) fn free_unborrowed(&mut self) {
        for id in std::mem::take(&mut self.borrowed) {
            self.settle(id);
        }
    }

    /// Frees what the extent of a blob that shrank no longer needs, unless a slice covers it.
    pub(super) fn shrink_extent(&mut self, id: ObjectId) {
        let Some(entry) = self.blobs.get_mut(&id) else {
            return;
        };
        let (kept, taken) = (extent_bytes(entry.size), extent_bytes(entry.extent));
        let (tail, writer) = (entry.offset + kept, entry.writer);
        if kept < taken && !self.arena.is_borrowed(tail, taken - kept) {
            entry.extent = entry.size;
            self.wipe_freed(tail, taken - kept, writer);
            self.allocator.free(tail, taken - kept);
            self.releases += 1;
        }
    }

    /// Removes a deleted blob whose bytes were given to the allocator, and ends the references to it.
    fn forget(&mut self, id: ObjectId) {
        let Some(Tombstone { entry, since, .. }) = self.tombstones.remove(&id) else {
            return;
        };
        self.usage.deleted_bytes -= entry.size;
        if self.reusable.remove(&since).is_some() {
            self.reusable_bytes -= entry.size;
        }
        for holder in entry.holders {
            if self
                .holders
                .get_mut(&holder)
                .is_some_and(|keeper| keeper.holds.remove(&id))
            {
                self.usage.references -= 1;
            }
        }
    }
}
