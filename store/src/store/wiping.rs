//! What other users can see of deleted bytes: nothing.
//!
//! A client maps the whole arena, so it could read what was deleted anywhere in it. Bytes are therefore zeroed when
//! they become free, unless one user alone sees the arena and wrote them; and all free bytes are zeroed before one more
//! user sees the arena. As long as only the node's own user uses the node, nothing is zeroed.

use vineyard_env::User;
use vineyard_shm::PAGE_BYTES;
use vineyard_wire::ObjectId;

use super::Store;
use crate::HolderId;
use crate::allocator::{RESERVED_BYTES, extent_bytes};

/// Longer ranges are zeroed by giving their pages back, which takes less of the owner's time than to write them.
const WRITTEN_BYTES_MAX: u64 = 64 << 10;

/// The users whose processes see the arena, or have seen it: a mapping outlives its connection. The node's own user and
/// root are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Onlookers {
    #[default]
    Nobody,
    One(User),
    Several,
}

impl Onlookers {
    fn with(self, user: User) -> Self {
        match self {
            // Two users without a number look the same.
            _ if user == User::Unmapped => Self::Several,
            Self::Nobody => Self::One(user),
            Self::One(first) if first == user => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }

    fn must_not_see(self, writer: Option<User>) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(user) => writer != Some(user),
            Self::Several => true,
        }
    }
}

impl Store {
    /// The process of `holder` is about to be told where the arena is.
    pub(super) fn show_to(&mut self, holder: HolderId) {
        let Some(user) = self.user_of(holder) else {
            return;
        };
        let onlookers = self.onlookers.with(user);
        if onlookers == self.onlookers {
            return;
        }
        self.onlookers = onlookers;
        for (start, len) in self.allocator.runs() {
            self.wipe(start, len);
        }
    }

    /// Zeroes the bytes of a deleted blob, which nobody needs any more, if others could see them.
    pub(super) fn wipe_deleted(&mut self, id: ObjectId) {
        let entry = &self.tombstones[&id].entry;
        self.wipe_freed(entry.offset, extent_bytes(entry.extent), entry.writer);
    }

    /// Zeroes bytes that become free, if others than `writer` could see them.
    pub(super) fn wipe_freed(&self, start: u64, len: u64, writer: Option<User>) {
        if self.onlookers.must_not_see(writer) {
            self.wipe(start, len);
        }
    }

    /// Zeroes bytes that no blob has.
    fn wipe(&self, start: u64, len: u64) {
        let end = start + len;
        // The reserved bytes have no content: with them the first page can go as a whole.
        let start = if start == RESERVED_BYTES { 0 } else { start };
        let page = PAGE_BYTES as u64;
        let (first, last) = (start.next_multiple_of(page), end - end % page);
        if end - start > WRITTEN_BYTES_MAX && self.arena.discard(first, last - first).is_ok() {
            self.zero(start, first);
            self.zero(last, end);
        } else {
            self.zero(start, end);
        }
    }

    fn zero(&self, start: u64, end: u64) {
        let bytes = self.arena.slice_mut(start, end - start);
        bytes.expect("no slice covers free bytes").fill(0);
    }
}
