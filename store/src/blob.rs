//! What the store says about a blob, its holders and itself, and what it remembers of them.

use std::collections::BTreeSet;
use std::fmt;

use vineyard_env::User;
use vineyard_wire::ObjectId;

/// One blob: `size` bytes at `offset` of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub id: ObjectId,
    pub offset: u64,
    pub size: u64,
    pub sealed: bool,
}

impl Blob {
    /// The blob of size 0: always here, always sealed, never stored.
    pub const EMPTY: Self = Self {
        id: ObjectId::EMPTY_BLOB,
        offset: 0,
        size: 0,
        sealed: true,
    };
}

/// Someone who may hold blobs: a session, a stream, a transfer. Prints as `h` and the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(pub(crate) u64);

impl HolderId {
    /// Was never opened. A delete in its name counts nobody's hold as released.
    pub const NOBODY: Self = Self(u64::MAX);
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The store in numbers. At rest all but `memory_limit` are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requested bytes of the visible blobs.
    pub memory_usage: u64,
    /// The most that `memory_usage` may become.
    pub memory_limit: u64,
    /// Pairs of a holder and a blob it holds.
    pub references: u64,
    /// Visible blobs that are not sealed.
    pub unsealed: u64,
    /// Visible blobs.
    pub blobs: u64,
    /// Requested bytes of deleted blobs that someone still holds or reads.
    pub deleted_bytes: u64,
}

/// What is known of the memory where it is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes that were asked for.
    pub wanted: u64,
    /// The most that blobs may take.
    pub limit: u64,
    /// What visible blobs take, and deleted ones whose bytes are still held.
    pub in_use: u64,
    /// The part of `in_use` that belongs to deleted blobs.
    pub deleted: u64,
    /// The largest blob that would have fitted.
    pub largest_free: u64,
}

/// A stored blob, visible or deleted.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// What the allocator was asked for; more than `size` if it shrank under a reader.
    pub(crate) extent: u64,
    pub(crate) stage: Stage,
    /// The user whose processes alone may have written the bytes; `None` if others may have.
    pub(crate) writer: Option<User>,
    pub(crate) holders: BTreeSet<HolderId>,
    /// How many of `holders` can release.
    pub(crate) releasers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Unsealed { creator: HolderId },
    Sealed,
}

impl Entry {
    pub(crate) fn blob(&self, id: ObjectId) -> Blob {
        Blob {
            id,
            offset: self.offset,
            size: self.size,
            sealed: self.stage == Stage::Sealed,
        }
    }
}

/// A blob that was deleted while its bytes were in use.
#[derive(Debug)]
pub(crate) struct Tombstone {
    pub(crate) entry: Entry,
    /// Its place in the order of deletion.
    pub(crate) since: u64,
    /// Its pages go back to the system with it.
    pub(crate) trim: bool,
}

/// What one holder holds.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) can_release: bool,
    /// Whose process sees the arena through it; `None` for the node itself, and for those who can read its memory
    /// anyhow.
    pub(crate) user: Option<User>,
    pub(crate) holds: BTreeSet<ObjectId>,
    /// The unsealed blobs it created: they go with it.
    pub(crate) unsealed: BTreeSet<ObjectId>,
}
