//! The store: blobs by id, and the verbs that create, fill, seal and read them.
//!
//! Promise: every verb either does all it says or refuses and changes nothing.
//! `store/` holds the other verbs: `holders` (who holds what), `tombstones` (deletion and the reuse of bytes),
//! `pages` (giving memory back) and `wiping` (what other users can see of deleted bytes).

mod holders;
mod pages;
#[cfg(test)]
mod tests;
mod tombstones;
mod wiping;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use vineyard_env::{Memory, Region};
use vineyard_shm::{Arena, PAGE_BYTES, Slice, SliceMut};
use vineyard_wire::ObjectId;
use vineyard_wire::id::IdMaker;

use crate::allocator::{Allocator, RESERVED_BYTES};
use crate::blob::{Entry, Holder, Stage, Tombstone};
use crate::store::wiping::Onlookers;
use crate::{Blob, Error, HolderId, Result, Shortage, Usage};

/// The blobs of one node. It has one owner; others ask the owner.
pub struct Store {
    arena: Arena,
    allocator: Allocator,
    ids: IdMaker,
    holders: BTreeMap<HolderId, Holder>,
    holders_opened: u64,
    /// The visible blobs.
    blobs: BTreeMap<ObjectId, Entry>,
    /// Deleted blobs whose bytes are in use.
    tombstones: BTreeMap<ObjectId, Tombstone>,
    deletions: u64,
    /// Deleted blobs whose holders cannot release, oldest first: their bytes may be used again in need.
    reusable: BTreeMap<u64, ObjectId>,
    /// Deleted blobs that nobody holds but a slice of this process still covers.
    borrowed: BTreeSet<ObjectId>,
    usage: Usage,
    /// Bytes of `reusable`.
    reusable_bytes: u64,
    /// How often bytes may have become free.
    releases: u64,
    onlookers: Onlookers,
}

impl Store {
    /// A store for `capacity_bytes` of blobs in a new region of `memory`.
    pub fn new(memory: &dyn Memory, capacity_bytes: u64, ids: IdMaker) -> io::Result<Self> {
        // One blob of the whole capacity must fit behind the reserved bytes.
        let len = capacity_bytes
            .checked_add(RESERVED_BYTES)
            .and_then(|bytes| bytes.checked_next_multiple_of(PAGE_BYTES as u64))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| capacity_bytes > 0 && *bytes < isize::MAX as usize)
            .ok_or_else(|| {
                let text = format!("{capacity_bytes} bytes are no capacity for a store");
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })?;
        let arena = Arena::new(memory.create("arena", len)?);
        Ok(Self {
            allocator: Allocator::new(arena.len_bytes()),
            arena,
            ids,
            holders: BTreeMap::new(),
            holders_opened: 0,
            blobs: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            deletions: 0,
            reusable: BTreeMap::new(),
            borrowed: BTreeSet::new(),
            reusable_bytes: 0,
            releases: 0,
            onlookers: Onlookers::default(),
            usage: Usage {
                memory_limit: capacity_bytes,
                ..Usage::default()
            },
        })
    }

    /// The region to share with clients. It is a little longer than the capacity.
    pub fn region(&self) -> &Arc<dyn Region> {
        self.arena.region()
    }

    /// A new unsealed blob; `size` 0 is the empty blob, which is not stored.
    pub fn create(&mut self, holder: HolderId, size: u64) -> Result<Blob> {
        self.holder(holder)?;
        if size == 0 {
            return Ok(Blob::EMPTY);
        }
        let offset = self.allocate(holder, size)?;
        let id = self.ids.blob();
        self.insert(holder, id, offset, size)
    }

    /// A new unsealed blob under an id that another store has given: the copy of one that is moved. Refused while a
    /// blob of that id is here, or was deleted and is still read.
    pub fn adopt(&mut self, holder: HolderId, id: ObjectId, size: u64) -> Result<Blob> {
        self.holder(holder)?;
        self.free_unborrowed();
        if size == 0 || self.exists(id) || self.tombstones.contains_key(&id) {
            return Err(Error::Exists { id });
        }
        let offset = self.allocate(holder, size)?;
        self.insert(holder, id, offset, size)
    }

    fn insert(&mut self, holder: HolderId, id: ObjectId, offset: u64, size: u64) -> Result<Blob> {
        let entry = Entry {
            writer: self.holder(holder)?.user,
            offset,
            size,
            extent: size,
            stage: Stage::Unsealed { creator: holder },
            holders: BTreeSet::new(),
            releasers: 0,
        };
        let blob = entry.blob(id);
        self.blobs.insert(id, entry);
        self.holder(holder)?.unsealed.insert(id);
        self.usage.memory_usage += size;
        self.usage.unsealed += 1;
        self.usage.blobs += 1;
        Ok(blob)
    }

    /// One new blob for each of `sizes`, or none.
    pub fn create_many(&mut self, holder: HolderId, sizes: &[u64]) -> Result<Vec<Blob>> {
        let total = sizes
            .iter()
            .fold(0u64, |total, size| total.saturating_add(*size));
        let sizes = sizes.iter();
        self.make_all(holder, total, sizes, |store, size| {
            store.create(holder, *size)
        })
    }

    /// `adopt` for each pair of an id and a size, or for none.
    pub fn adopt_many(
        &mut self,
        holder: HolderId,
        wanted: &[(ObjectId, u64)],
    ) -> Result<Vec<Blob>> {
        let total = wanted
            .iter()
            .fold(0u64, |total, (_, size)| total.saturating_add(*size));
        let wanted = wanted.iter();
        self.make_all(holder, total, wanted, |store, (id, size)| {
            store.adopt(holder, *id, *size)
        })
    }

    fn make_all<T>(
        &mut self,
        holder: HolderId,
        total: u64,
        wanted: impl ExactSizeIterator<Item = T>,
        make: impl Fn(&mut Self, T) -> Result<Blob>,
    ) -> Result<Vec<Blob>> {
        if total > self.usage.memory_limit - self.usage.memory_usage {
            return Err(self.out_of_memory(total));
        }
        let mut blobs = Vec::with_capacity(wanted.len());
        for one in wanted {
            match make(self, one) {
                Ok(blob) => blobs.push(blob),
                Err(refused) => {
                    for blob in blobs {
                        self.delete(holder, blob.id, false);
                    }
                    return Err(refused);
                }
            }
        }
        Ok(blobs)
    }

    /// Ends the writing of a blob, for good, and lets `holder` hold it. Sealing again is fine.
    pub fn seal(&mut self, holder: HolderId, id: ObjectId) -> Result<()> {
        self.holder(holder)?;
        if id == ObjectId::EMPTY_BLOB {
            return Ok(());
        }
        let entry = self
            .blobs
            .get_mut(&id)
            .ok_or(Error::NotFound { act: "seal", id })?;
        if let Stage::Unsealed { creator } = std::mem::replace(&mut entry.stage, Stage::Sealed) {
            self.disown(creator, id);
        }
        self.hold(holder, id)
    }

    /// The blobs of `ids` that are here, in their order, each held by `holder` from now on. Unknown ids are skipped; an
    /// unsealed blob refuses the whole request unless `unsafe_`.
    pub fn get(&mut self, holder: HolderId, ids: &[ObjectId], unsafe_: bool) -> Result<Vec<Blob>> {
        self.holder(holder)?;
        let blobs: Vec<_> = ids.iter().filter_map(|id| self.info(*id)).collect();
        if let Some(blob) = blobs.iter().find(|blob| !blob.sealed && !unsafe_) {
            return Err(Error::NotSealed { id: blob.id });
        }
        for blob in &blobs {
            self.hold(holder, blob.id)?;
        }
        Ok(blobs)
    }

    /// Makes a blob shorter before it is sealed; its tail is free at once. Only its creator may: another one would free
    /// bytes under the writer.
    pub fn shrink(&mut self, by: HolderId, id: ObjectId, size: u64) -> Result<()> {
        let act = "shrink";
        let entry = self.blobs.get_mut(&id).ok_or(Error::NotFound { act, id })?;
        match entry.stage {
            Stage::Sealed => return Err(Error::Sealed { act, id }),
            Stage::Unsealed { creator } if creator != by => return Err(Error::NotCreator { id }),
            Stage::Unsealed { .. } => {}
        }
        if size > entry.size {
            return Err(Error::Grows {
                id,
                size: entry.size,
                wanted: size,
            });
        }
        self.usage.memory_usage -= entry.size - size;
        entry.size = size;
        self.shrink_extent(id);
        Ok(())
    }

    /// Whether anyone may need the blob: `false` only for a sealed blob that nobody holds. Unknown ids count as in use,
    /// as clients expect.
    pub fn is_in_use(&self, id: ObjectId) -> bool {
        let entry = self.blobs.get(&id);
        entry.is_none_or(|entry| entry.stage != Stage::Sealed || !entry.holders.is_empty())
    }

    pub fn exists(&self, id: ObjectId) -> bool {
        id == ObjectId::EMPTY_BLOB || self.blobs.contains_key(&id)
    }

    pub fn info(&self, id: ObjectId) -> Option<Blob> {
        if id == ObjectId::EMPTY_BLOB {
            return Some(Blob::EMPTY);
        }
        self.blobs.get(&id).map(|entry| entry.blob(id))
    }

    /// The visible sealed blobs, by id.
    pub fn list_sealed(&self) -> Vec<Blob> {
        let blobs = self.blobs.iter().map(|(id, entry)| entry.blob(*id));
        blobs.filter(|blob| blob.sealed).collect()
    }

    /// The ids of all visible blobs, in order.
    pub fn all_ids(&self) -> Vec<ObjectId> {
        self.blobs.keys().copied().collect()
    }

    /// The store in numbers, now.
    pub fn usage(&self) -> Usage {
        // The last slice of a deleted blob may have been dropped since anything was asked of the store.
        let over = self.borrowed.iter().map(|id| &self.tombstones[id].entry);
        let over = over.filter(|entry| !self.arena.is_borrowed(entry.offset, entry.extent));
        let freed: u64 = over.map(|entry| entry.size).sum();
        Usage {
            deleted_bytes: self.usage.deleted_bytes - freed,
            ..self.usage
        }
    }

    /// The bytes of a sealed blob. They stay in place until the last clone of the slice is dropped, also if the blob is
    /// deleted meanwhile: the slice is the pin.
    pub fn reader(&self, id: ObjectId) -> Result<Slice> {
        let blob = self.info(id).ok_or(Error::NotFound { act: "read", id })?;
        if !blob.sealed {
            return Err(Error::NotSealed { id });
        }
        self.arena
            .slice(blob.offset, blob.size)
            .map_err(|_| Error::Borrowed { id })
    }

    /// The bytes of an unsealed blob that the node itself fills; a pin as [`Store::reader`] is. Drop it before sealing.
    pub fn writer(&self, id: ObjectId) -> Result<SliceMut> {
        let blob = self.info(id).ok_or(Error::NotFound { act: "write", id })?;
        if blob.sealed && blob.size > 0 {
            return Err(Error::Sealed { act: "write", id });
        }
        self.arena
            .slice_mut(blob.offset, blob.size)
            .map_err(|_| Error::Borrowed { id })
    }

    /// Bytes that a new blob can not have: of visible blobs, and of deleted ones that must stay in place.
    pub fn committed_bytes(&self) -> u64 {
        let usage = self.usage();
        usage.memory_usage + usage.deleted_bytes.saturating_sub(self.reusable_bytes)
    }

    /// Grows whenever bytes may have become free.
    pub fn releases(&self) -> u64 {
        self.releases
    }

    /// Bytes and number of the deleted blobs that `holder` keeps in place.
    pub fn deleted_held_by(&self, holder: HolderId) -> (u64, usize) {
        let held = self
            .holders
            .get(&holder)
            .into_iter()
            .flat_map(|keeper| &keeper.holds);
        let deleted = held.filter_map(|id| self.tombstones.get(id));
        let kept = deleted.filter(|tombstone| !self.reusable.contains_key(&tombstone.since));
        kept.fold((0, 0), |(bytes, count), tombstone| {
            (bytes + tombstone.entry.size, count + 1)
        })
    }

    /// The error for `wanted` bytes for which there is no room.
    pub fn out_of_memory(&self, wanted: u64) -> Error {
        let Usage {
            memory_usage,
            memory_limit: limit,
            deleted_bytes,
            ..
        } = self.usage();
        Error::OutOfMemory(Shortage {
            wanted,
            limit,
            in_use: memory_usage + deleted_bytes,
            deleted: deleted_bytes,
            largest_free: self.largest_free(),
        })
    }

    /// The largest blob that fits without the reuse of what deleted blobs still hold.
    pub fn largest_free(&self) -> u64 {
        let left = self.usage.memory_limit - self.usage.memory_usage;
        self.allocator.largest_free().min(left)
    }
}
