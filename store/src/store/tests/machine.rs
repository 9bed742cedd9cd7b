//! Random verbs against a model that knows every blob ever made.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vineyard_env::User;

use super::*;

const CAPACITY_BYTES: u64 = 64 << 10;

#[derive(Clone, Debug)]
enum Step {
    Open(Option<u32>, bool),
    Close(usize),
    Create(usize, Vec<u64>),
    Seal(usize, usize),
    Get(usize, usize, bool),
    Retain(usize, usize),
    Release(usize, usize),
    Delete(usize, usize, bool),
    Shrink(usize, usize, u64),
    Pin(usize),
    Unpin(usize),
    LetGoOfAll(usize),
    Trim,
    Decay,
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![1..500u64, 1..30_000u64];
    prop_oneof![
        2 => (prop::option::of(0..2u32), any::<bool>()).prop_map(|(user, releases)| Step::Open(user, releases)),
        1 => any::<usize>().prop_map(Step::Close),
        12 => (any::<usize>(), size()).prop_map(|(h, size)| Step::Create(h, vec![size])),
        2 => (any::<usize>(), prop::collection::vec(size(), 0..4)).prop_map(|(h, s)| Step::Create(h, s)),
        9 => (any::<usize>(), any::<usize>()).prop_map(|(h, b)| Step::Seal(h, b)),
        6 => (any::<usize>(), any::<usize>(), any::<bool>()).prop_map(|(h, b, u)| Step::Get(h, b, u)),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(h, b)| Step::Retain(h, b)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(h, b)| Step::Release(h, b)),
        6 => (any::<usize>(), any::<usize>(), any::<bool>()).prop_map(|(h, b, trim)| Step::Delete(h, b, trim)),
        2 => (any::<usize>(), any::<usize>(), size()).prop_map(|(h, b, size)| Step::Shrink(h, b, size)),
        3 => any::<usize>().prop_map(Step::Pin),
        2 => any::<usize>().prop_map(Step::Unpin),
        1 => any::<usize>().prop_map(Step::LetGoOfAll),
        1 => Just(Step::Trim),
        1 => Just(Step::Decay),
    ]
}

struct Known {
    blob: Blob,
    creator: HolderId,
    holders: BTreeSet<HolderId>,
    visible: bool,
    deleted_at: usize,
}

struct World {
    store: Store,
    /// Each open holder, and whether it can release.
    holders: BTreeMap<HolderId, bool>,
    /// Every blob whose bytes may still be needed.
    known: BTreeMap<ObjectId, Known>,
    pins: Vec<(ObjectId, Slice)>,
    deletions: usize,
}

impl World {
    fn holder(&mut self, index: usize) -> HolderId {
        if self.holders.is_empty() {
            self.holders.insert(self.store.open_holder(true), true);
        }
        *self.holders.keys().nth(index % self.holders.len()).unwrap()
    }

    /// Any blob whose bytes are needed, visible or not; one in eight times one that never was.
    fn blob(&self, index: usize) -> ObjectId {
        match self.known.len() {
            count if count > 0 && !index.is_multiple_of(8) => {
                *self.known.keys().nth(index / 8 % count).unwrap()
            }
            _ => ObjectId(1 << 63 | 77),
        }
    }

    fn visible(&mut self, id: ObjectId) -> Option<&mut Known> {
        self.known.get_mut(&id).filter(|known| known.visible)
    }

    fn hide(&mut self, by: HolderId, id: ObjectId) {
        self.deletions += 1;
        let known = self.known.get_mut(&id).unwrap();
        known.visible = false;
        known.deleted_at = self.deletions;
        if !known.blob.sealed && known.creator != by && self.holders.contains_key(&known.creator) {
            known.holders.insert(known.creator);
        }
        known.holders.remove(&by);
    }

    /// Only bytes that nobody can give up are reused, and the oldest first.
    fn forget_reused(&mut self) {
        let is_pinned = |id: &ObjectId| self.pins.iter().any(|(pinned, _)| pinned == id);
        let reusable = |known: &Known| {
            let mut holders = known.holders.iter();
            let given_up = !known.visible && !known.holders.is_empty() && known.blob.sealed;
            given_up && holders.all(|h| !self.holders[h])
        };
        let candidates = self
            .known
            .iter()
            .filter(|(id, k)| reusable(k) && !is_pinned(id));
        let (kept, reused): (Vec<_>, Vec<_>) =
            candidates.partition(|(id, _)| self.store.tombstones.contains_key(id));
        let last = reused
            .iter()
            .map(|(_, known)| known.deleted_at)
            .max()
            .unwrap_or(0);
        assert!(
            kept.iter().all(|(_, known)| known.deleted_at > last),
            "the oldest goes first"
        );
        let reused: Vec<_> = reused.into_iter().map(|(id, _)| *id).collect();
        self.known.retain(|id, _| !reused.contains(id));
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Open(user, can_release) => {
                let user = user.map(User::Known);
                let holder = self.store.open_holder_of(user, can_release);
                self.holders.insert(holder, can_release);
            }
            Step::Close(index) => self.close(index),
            Step::Create(holder, sizes) => self.create(holder, &sizes),
            Step::Shrink(holder, blob, size) => {
                let (by, id) = (self.holder(holder), self.blob(blob));
                let shrunk = self.store.shrink(by, id, size);
                let may = |known: &&mut Known| !known.blob.sealed && known.creator == by;
                let known = self.visible(id).filter(may);
                let known = known.filter(|known| size <= known.blob.size);
                assert_eq!(shrunk.is_ok(), known.is_some());
                if let Some(known) = known {
                    known.blob.size = size;
                }
            }
            Step::LetGoOfAll(holder) => {
                let holder = self.holder(holder);
                self.store.release_everything(holder);
                for known in self.known.values_mut() {
                    known.holders.remove(&holder);
                }
            }
            Step::Pin(blob) => {
                let id = self.blob(blob);
                let slice = self.store.reader(id);
                assert_eq!(
                    slice.is_ok(),
                    self.visible(id).is_some_and(|known| known.blob.sealed)
                );
                self.pins.extend(slice.into_iter().map(|slice| (id, slice)));
            }
            Step::Unpin(index) if !self.pins.is_empty() => {
                self.pins.swap_remove(index % self.pins.len());
            }
            Step::Trim => _ = self.store.trim().unwrap(),
            Step::Decay => _ = self.store.decay().unwrap(),
            other => self.apply_to_one(other),
        }
    }

    fn apply_to_one(&mut self, step: Step) {
        match step {
            Step::Seal(holder, blob) => {
                let (holder, id) = (self.holder(holder), self.blob(blob));
                assert_eq!(
                    self.store.seal(holder, id).is_ok(),
                    self.visible(id).is_some()
                );
                if let Some(known) = self.visible(id) {
                    known.blob.sealed = true;
                    known.holders.insert(holder);
                }
            }
            Step::Get(holder, blob, unsafe_) => {
                let (holder, id) = (self.holder(holder), self.blob(blob));
                let got = self.store.get(holder, &[id, id], unsafe_);
                match self.visible(id) {
                    None => assert_eq!(got, Ok(vec![])),
                    Some(known) if known.blob.sealed || unsafe_ => {
                        assert_eq!(got, Ok(vec![known.blob; 2]));
                        known.holders.insert(holder);
                    }
                    Some(_) => assert_eq!(got, Err(Error::NotSealed { id })),
                }
            }
            Step::Retain(holder, blob) => {
                let (holder, id) = (self.holder(holder), self.blob(blob));
                self.store.retain(holder, &[id]).unwrap();
                if let Some(known) = self.visible(id) {
                    known.holders.insert(holder);
                }
            }
            Step::Release(holder, blob) => {
                let (holder, id) = (self.holder(holder), self.blob(blob));
                let known = self.known.get_mut(&id);
                let held = known.is_some_and(|known| known.holders.remove(&holder));
                assert_eq!(self.store.release(holder, id).is_ok(), held);
            }
            Step::Delete(holder, blob, trim) => {
                let (holder, id) = (self.holder(holder), self.blob(blob));
                let was_visible = self.visible(id).is_some();
                assert_eq!(self.store.delete(holder, id, trim), was_visible);
                if was_visible {
                    self.hide(holder, id);
                }
            }
            _ => {}
        }
    }

    fn create(&mut self, index: usize, sizes: &[u64]) {
        let creator = self.holder(index);
        let created = match sizes {
            [size] => self.store.create(creator, *size).map(|blob| vec![blob]),
            sizes => self.store.create_many(creator, sizes),
        };
        self.forget_reused();
        for blob in created.unwrap_or_default() {
            self.store.writer(blob.id).unwrap().fill(pattern(blob.id));
            let holders = BTreeSet::new();
            let known = Known {
                blob,
                creator,
                holders,
                visible: true,
                deleted_at: 0,
            };
            self.known.insert(blob.id, known);
        }
    }

    fn close(&mut self, index: usize) {
        let holder = self.holder(index);
        let dropped = self.store.close_holder(holder);
        let own = |known: &Known| known.visible && !known.blob.sealed && known.creator == holder;
        let unsealed = self.known.iter().filter(|(_, known)| own(known));
        assert_eq!(dropped, unsealed.map(|(id, _)| *id).collect::<Vec<_>>());
        for id in dropped {
            self.hide(holder, id);
        }
        for known in self.known.values_mut() {
            known.holders.remove(&holder);
        }
        self.holders.remove(&holder);
    }

    fn check(&mut self) {
        let pinned: BTreeSet<_> = self.pins.iter().map(|(id, _)| *id).collect();
        self.known
            .retain(|id, k| k.visible || !k.holders.is_empty() || pinned.contains(id));
        let visible = || self.known.values().filter(|known| known.visible);
        let deleted = self.known.values().filter(|known| !known.visible);
        let usage = Usage {
            memory_usage: visible().map(|known| known.blob.size).sum(),
            memory_limit: CAPACITY_BYTES,
            references: self
                .known
                .values()
                .map(|known| known.holders.len() as u64)
                .sum(),
            unsealed: visible().filter(|known| !known.blob.sealed).count() as u64,
            blobs: visible().count() as u64,
            deleted_bytes: deleted.map(|known| known.blob.size).sum(),
        };
        assert_eq!(self.store.usage(), usage);
        assert!(usage.memory_usage <= usage.memory_limit);
        let bytes = Arena::new(self.store.region().clone());
        if self.store.onlookers == Onlookers::Several {
            for (start, len) in self.store.allocator.runs() {
                let free = bytes.slice(start, len).unwrap();
                assert!(
                    free.iter().all(|byte| *byte == 0),
                    "deleted bytes can be seen"
                );
            }
        }
        for (id, known) in &self.known {
            let blob = known.blob;
            assert_eq!(self.store.info(*id), known.visible.then_some(blob));
            assert_eq!(blob.offset % 64, 0);
            let slice = bytes.slice(blob.offset, blob.size).unwrap();
            assert!(
                slice.iter().all(|byte| *byte == pattern(*id)),
                "{id} was overwritten"
            );
        }
    }
}

fn pattern(id: ObjectId) -> u8 {
    (id.0 % 255) as u8 + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_keeps_its_books_and_its_bytes(steps in prop::collection::vec(step(), 0..150)) {
        let store = heap(CAPACITY_BYTES);
        let (holders, known) = (BTreeMap::new(), BTreeMap::new());
        let mut world = World { store, holders, known, pins: Vec::new(), deletions: 0 };
        for step in steps {
            world.apply(step);
            world.check();
        }
        while !world.holders.is_empty() {
            world.close(0);
            world.check();
        }
        world.pins.clear();
        let last = world.store.open_holder(true);
        for id in world.store.all_ids() {
            world.store.delete(last, id, false);
            world.hide(last, id);
        }
        world.check();
        world.store.trim().unwrap();
        assert_at_rest(&world.store);
        prop_assert!(world.store.holders.len() == 1 && world.store.tombstones.is_empty());
        prop_assert_eq!(world.store.region().resident_bytes().unwrap(), 0);
    }
}
