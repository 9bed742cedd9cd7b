//! The ledger of operations that are pending for an id, and what they mean for other requests.
//!
//! A turn of the owner is atomic. An operation that takes longer, because the cluster must agree first, has a row
//! here from the turn that begins it to the turn that ends it. `docs/protocol.md` has the rules as a table, and
//! `local/tests/rules.rs` tests each cell.

use std::collections::btree_map::{Entry, OccupiedEntry};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vineyard_wire::{ObjectId, Status};

use super::catalog::unknown_subtree;
use super::no_such_blob;

/// What a request wants to do with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To refer to it from a new object.
    Refer,
    /// To persist it, or an object over it.
    Persist,
    Label,
    /// To delete it.
    Delete,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoesOn,
    /// The request waits until what is pending has ended.
    Waits,
    Refused(Status),
}

/// The number of pending operations of each kind for one id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Pending persists that carry it. An object is carried by one at a time, a blob by any number.
    persists: u32,
    /// Pending migrated copies of which it is a blob.
    copies: u32,
    /// Pending deletes that have marked it.
    deletes: u32,
    /// The blob is persistent and of this node, as far as events were followed.
    persisted: bool,
}

/// Deletes are numbered as they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeleteNumber(u64);

#[derive(Debug, Default)]
pub(crate) struct Pending {
    rows: BTreeMap<ObjectId, Row>,
    /// Objects, not blobs, that a delete has marked; usually none.
    marked_objects: usize,
    deletes_begun: u64,
    deletes: BTreeSet<DeleteNumber>,
    /// Deferred frees: batches of blobs that nothing refers to any more, each with the number of the next delete at
    /// that time. The delete that caused a batch frees it itself, because it knows whether to trim pages and must
    /// return the freed blobs. Deletes that begin later are not waited for, or a steady stream of them would defer
    /// every free for ever.
    deferred: VecDeque<(DeleteNumber, BTreeSet<ObjectId>)>,
}

impl Pending {
    pub(crate) fn verdict(&self, asked: Asked, id: ObjectId) -> Verdict {
        let Some(row) = self.rows.get(&id) else {
            return Verdict::GoesOn;
        };
        let deleting = row.deletes > 0;
        match asked {
            // A blob that a delete names is always deleted; an object stays if the cluster refuses.
            Asked::Refer | Asked::Persist if deleting && id.is_blob() => {
                Verdict::Refused(no_such_blob(id))
            }
            Asked::Refer if deleting => Verdict::Waits,
            Asked::Persist if !id.is_blob() && (deleting || row.persists > 0) => Verdict::Waits,
            Asked::Label if row.persists > 0 => Verdict::Waits,
            Asked::Delete if row.persists > 0 || row.copies > 0 => Verdict::Waits,
            _ => Verdict::GoesOn,
        }
    }

    /// Refuses a member whose deletion is pending.
    pub(crate) fn check_member(&self, id: ObjectId) -> Result<(), Status> {
        match self.verdict(Asked::Refer, id) {
            Verdict::GoesOn => Ok(()),
            Verdict::Waits => Err(unknown_subtree(id)),
            Verdict::Refused(status) => Err(status),
        }
    }

    /// Whether a delete has marked any object.
    pub(crate) fn has_marked_objects(&self) -> bool {
        self.marked_objects > 0
    }

    /// Whether a persist or a copy needs `id` to stay.
    pub(crate) fn is_needed(&self, id: ObjectId) -> bool {
        self.verdict(Asked::Delete, id) == Verdict::Waits
    }

    pub(crate) fn begin_persist<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>) {
        for id in ids {
            self.row(*id).persists += 1;
        }
    }

    pub(crate) fn end_persist<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>) {
        for id in ids {
            self.end(*id, |row| &mut row.persists);
        }
    }

    /// Notes that these blobs of this node are persistent.
    pub(crate) fn note_persisted<'a>(&mut self, blobs: impl IntoIterator<Item = &'a ObjectId>) {
        for id in blobs {
            self.row(*id).persisted = true;
        }
    }

    /// Notes that the cluster has released these blobs, or that their bytes are deleted.
    pub(crate) fn forget_persisted<'a>(&mut self, blobs: impl IntoIterator<Item = &'a ObjectId>) {
        for id in blobs {
            if let Entry::Occupied(mut row) = self.rows.entry(*id) {
                row.get_mut().persisted = false;
                remove_idle(row);
            }
        }
    }

    /// The blobs of this node that are noted as persistent.
    pub(crate) fn persisted(&self) -> impl Iterator<Item = ObjectId> {
        let rows = self.rows.iter().filter(|(_, row)| row.persisted);
        rows.map(|(id, _)| *id)
    }

    /// Whether a persist carries `id`.
    pub(crate) fn is_persisting(&self, id: ObjectId) -> bool {
        self.rows.get(&id).is_some_and(|row| row.persists > 0)
    }

    pub(crate) fn begin_copy<'a>(&mut self, blobs: impl IntoIterator<Item = &'a ObjectId>) {
        for id in blobs {
            self.row(*id).copies += 1;
        }
    }

    pub(crate) fn end_copy<'a>(&mut self, blobs: impl IntoIterator<Item = &'a ObjectId>) {
        for id in blobs {
            self.end(*id, |row| &mut row.copies);
        }
    }

    /// Marks `ids` until the delete ends. Blobs that the cluster releases meanwhile are freed after that.
    pub(crate) fn begin_delete<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a ObjectId>,
    ) -> DeleteNumber {
        for id in stored(ids) {
            let row = self.row(*id);
            row.deletes += 1;
            let first = row.deletes == 1;
            self.marked_objects += usize::from(first && !id.is_blob());
        }
        let number = DeleteNumber(self.deletes_begun);
        self.deletes_begun += 1;
        self.deletes.insert(number);
        number
    }

    /// Ends a delete. Returns the deferred blobs that no other pending delete may have caused.
    pub(crate) fn end_delete<'a>(
        &mut self,
        number: DeleteNumber,
        ids: impl IntoIterator<Item = &'a ObjectId>,
    ) -> BTreeSet<ObjectId> {
        for id in stored(ids) {
            let last = self.end(*id, |row| &mut row.deletes);
            self.marked_objects -= usize::from(last && !id.is_blob());
        }
        self.deletes.remove(&number);
        let oldest = self.deletes.first().copied();
        let is_due =
            |(below, _): &mut (DeleteNumber, _)| oldest.is_none_or(|oldest| *below <= oldest);
        let mut due = BTreeSet::new();
        while let Some((_, released)) = self.deferred.pop_front_if(is_due) {
            due.extend(released);
        }
        due
    }

    /// The blobs of `released` that may be freed now; they are deferred while a delete waits for the cluster.
    pub(crate) fn release(&mut self, released: BTreeSet<ObjectId>) -> BTreeSet<ObjectId> {
        if self.deletes.is_empty() || released.is_empty() {
            return released;
        }
        let below = DeleteNumber(self.deletes_begun);
        self.deferred.push_back((below, released));
        BTreeSet::new()
    }

    /// Whether nothing is pending.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let Self {
            rows,
            marked_objects,
            deletes,
            deferred,
            ..
        } = self;
        let at_rest = |row: &Row| {
            Row {
                persisted: false,
                ..*row
            } == Row::default()
        };
        let idle = rows.values().all(at_rest) && *marked_objects == 0;
        idle && deletes.is_empty() && deferred.is_empty()
    }

    fn row(&mut self, id: ObjectId) -> &mut Row {
        self.rows.entry(id).or_default()
    }

    /// Decrements one counter of the row; returns whether it reached zero.
    fn end(&mut self, id: ObjectId, what: fn(&mut Row) -> &mut u32) -> bool {
        let Entry::Occupied(mut row) = self.rows.entry(id) else {
            return false;
        };
        let count = what(row.get_mut());
        if *count == 0 {
            return false;
        }
        *count -= 1;
        let last = *count == 0;
        remove_idle(row);
        last
    }
}

fn remove_idle(row: OccupiedEntry<'_, ObjectId, Row>) {
    if *row.get() == Row::default() {
        row.remove();
    }
}

/// Every node has the empty blob, and it is never deleted.
fn stored<'a>(ids: impl IntoIterator<Item = &'a ObjectId>) -> impl Iterator<Item = &'a ObjectId> {
    ids.into_iter().filter(|id| **id != ObjectId::EMPTY_BLOB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(id: u64) -> ObjectId {
        ObjectId(1 << 63 | id)
    }

    #[test]
    fn a_free_waits_for_the_deletes_that_had_begun_and_for_no_later_one() {
        let mut pending = Pending::default();
        let none: [ObjectId; 0] = [];
        let first = pending.begin_delete(&none);
        let mut later = pending.begin_delete(&none);
        assert!(pending.release([blob(1)].into()).is_empty());
        for _ in 0..10 {
            // A steady stream of deletes: each begins before the previous one ends.
            let next = pending.begin_delete(&none);
            assert!(pending.end_delete(later, &none).is_empty());
            later = next;
        }
        assert_eq!(pending.end_delete(first, &none), [blob(1)].into());
        assert!(pending.release([blob(2)].into()).is_empty());
        assert_eq!(pending.end_delete(later, &none), [blob(2)].into());
        assert_eq!(pending.release([blob(3)].into()), [blob(3)].into());
        assert!(pending.is_idle());
    }

    #[test]
    fn what_two_deletes_mark_is_marked_until_both_have_ended() {
        let mut pending = Pending::default();
        let ids = [ObjectId(1), blob(1), ObjectId::EMPTY_BLOB];
        let (one, other) = (pending.begin_delete(&ids), pending.begin_delete(&ids));
        pending.end_delete(one, &ids);
        assert!(pending.has_marked_objects());
        assert_eq!(pending.verdict(Asked::Refer, ids[0]), Verdict::Waits);
        pending.end_delete(other, &ids);
        assert!(!pending.has_marked_objects() && pending.is_idle());
    }
}
