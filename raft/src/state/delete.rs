//! Delete: which objects go with the ones named, and which blobs that leaves without a referrer.
//!
//! Promise: what a persistent object refers to stays, unless the object goes too or an equivalent takes its place.
//! The outcome does not depend on the order of the ids.

use std::collections::BTreeSet;

use vineyard_wire::{InstanceId, ObjectId};

use super::objects::{Objects, members_of};

/// What a deletion did.
#[derive(Debug, Default)]
pub(super) struct Deletion {
    pub(super) objects: BTreeSet<ObjectId>,
    /// Blobs nothing persistent refers to any more.
    pub(super) blobs: BTreeSet<ObjectId>,
    /// Global objects that now refer to an equivalent of a deleted member.
    pub(super) relinked: BTreeSet<ObjectId>,
}

struct Deleter<'a> {
    objects: &'a mut Objects,
    requested: BTreeSet<ObjectId>,
    deep: bool,
    done: Deletion,
}

/// Deletes `ids`, with what `force` and `deep` of the client protocol add. `is_replaced` tells the instances whose
/// bytes are gone.
pub(super) fn delete(
    objects: &mut Objects,
    ids: &[ObjectId],
    force: bool,
    deep: bool,
    is_replaced: impl Fn(InstanceId) -> bool,
) -> Deletion {
    let requested: BTreeSet<ObjectId> = ids.iter().copied().collect();
    let mut deleter = Deleter {
        objects,
        requested: requested.clone(),
        deep,
        done: Deletion::default(),
    };
    if force {
        deleter.delete_upwards();
        return deleter.done;
    }
    deleter.delete_unreferred(
        requested
            .iter()
            .copied()
            .filter(|id| !id.is_blob())
            .collect(),
    );
    // Only now equivalents: had a parent of the same request not gone first, the equivalent would go in its stead.
    for &id in &requested {
        if deleter.hand_over(id, &is_replaced) {
            deleter.delete_unreferred(vec![id]);
        }
    }
    deleter.done
}

impl Deleter<'_> {
    /// Deletes those candidates nothing refers to, and in turn the members this frees. A requested member that was kept
    /// for its parent's sake is a candidate again once the parent is gone.
    fn delete_unreferred(&mut self, mut candidates: Vec<ObjectId>) {
        while let Some(id) = candidates.pop() {
            if self.objects.is_referred_to(id) {
                continue;
            }
            if id.is_blob() {
                self.objects.drop_blob(id);
                self.done.blobs.insert(id);
            } else {
                candidates.extend(self.remove(id, self.deep));
            }
        }
    }

    /// Deletes what was requested and everything that refers to it, however far up.
    fn delete_upwards(&mut self) {
        let mut going = self.requested.clone();
        let mut open: Vec<ObjectId> = going.iter().copied().collect();
        while let Some(member) = open.pop() {
            open.extend(
                self.objects
                    .parents(member)
                    .filter(|&parent| going.insert(parent)),
            );
        }
        let mut freed = Vec::new();
        for &id in going.iter().filter(|id| !id.is_blob()) {
            // Deep is what was asked of the requested ones; their parents only go with them.
            freed.extend(self.remove(id, self.deep && self.requested.contains(&id)));
        }
        self.delete_unreferred(freed);
    }

    /// Takes one object out. Returns the members that go too if nothing else refers to them.
    fn remove(&mut self, id: ObjectId, deep: bool) -> Vec<ObjectId> {
        let Some(record) = self.objects.remove(id) else {
            return Vec::new();
        };
        self.done.objects.insert(id);
        let mut members: Vec<ObjectId> = members_of(&record).into_iter().collect();
        members.retain(|member| member.is_blob() || deep || self.requested.contains(member));
        members
    }

    /// Lets the parents of `id` refer to an equivalent instead. Only parents that are global read their members through
    /// the signature; a local one needs this very object. False if nothing was changed.
    fn hand_over(&mut self, id: ObjectId, is_replaced: impl Fn(InstanceId) -> bool) -> bool {
        let Some(record) = self.objects.get(id) else {
            return false;
        };
        let parents: BTreeSet<ObjectId> = self.objects.parents(id).collect();
        let is_global = |parent| self.objects.get(parent).is_some_and(|record| record.global);
        if !parents.iter().all(|&parent| is_global(parent)) {
            return false;
        }
        let others = self.objects.of_signature(record.signature);
        let others = others.filter(|&(at, other)| other != id && !is_replaced(at));
        // A signature can be given by a client, so an "equivalent" may well contain the parent.
        let fit = others.filter(|&(_, other)| !self.reaches(other, &parents));
        let Some((_, equivalent)) = fit.min_by_key(|&(at, other)| (at != record.instance, other))
        else {
            return false;
        };
        for parent in parents {
            self.objects.relink(parent, id, equivalent);
            self.done.relinked.insert(parent);
        }
        true
    }

    /// Whether `from` is one of `targets` or contains one.
    fn reaches(&self, from: ObjectId, targets: &BTreeSet<ObjectId>) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            if targets.contains(&id) {
                return true;
            }
            if let Some(record) = self.objects.get(id) {
                open.extend(
                    members_of(record)
                        .into_iter()
                        .filter(|&member| seen.insert(member)),
                );
            }
        }
        false
    }
}
