//! `get_data`: turns records back into the tree a client reads.

mod show;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_raft::state::instances::Liveness;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::{InstanceId, ObjectId, Reply, Signature, Status, TreeText, limits};

use super::Catalog;
use super::absorb::{DEPTH_MAX, NODES_MAX};
use crate::failure::lost_with;

pub(crate) use show::{BlobNode, blob_tree};
pub(super) use size::Size;

/// Trees as text, no more than one reply can hold.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) trees: BTreeMap<ObjectId, TreeText>,
    /// The blobs below them that are on this instance, if the reply has their payloads.
    pub(crate) here: Option<BTreeSet<ObjectId>>,
    me: InstanceId,
    size: Size,
}

impl Texts {
    pub(crate) fn has(&self, ids: &[ObjectId]) -> bool {
        ids.iter().all(|id| self.trees.contains_key(id))
    }

    pub(crate) fn reply(self) -> Reply {
        Reply::GetData {
            content: self.trees,
        }
    }

    /// Adds a blob that was asked for itself.
    pub(crate) fn add_blob(&mut self, blob: BlobNode) -> Result<(), Status> {
        let size = self.size + Size::BLOB.keyed();
        if let Some(here) = &mut self.here
            && blob.instance == self.me
            && blob.id != ObjectId::EMPTY_BLOB
        {
            here.insert(blob.id);
        }
        let whole = size.with_payloads(self.here.as_ref().map_or(0, BTreeSet::len));
        if !whole.fits_a_reply() {
            return Err(whole.refusal());
        }
        self.size = size;
        self.trees.insert(blob.id, TreeText::of(&blob));
        Ok(())
    }
}

/// How lost blobs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostBlobs {
    /// As blobs of this instance, so that a client asks here and gets the error that names object and node.
    Here,
    /// As blobs of the instance that lost them, so that one of them does not fail a whole listing.
    WithOwner,
}

impl Catalog {
    /// The whole trees of `ids`. An object that is unknown here, or has a member that is, is left out. If the trees
    /// together are more than a client could decode, this is a refusal.
    pub(crate) fn expand(
        &self,
        state: &State,
        ids: &[ObjectId],
        lost: LostBlobs,
    ) -> Result<Texts, Status> {
        self.expand_with(ids, Reader::new(self, state, lost))
    }

    /// The same, for a reply that also has the payloads of the blobs below them that are on this instance.
    pub(crate) fn expand_with_payloads(
        &self,
        state: &State,
        ids: &[ObjectId],
    ) -> Result<Texts, Status> {
        let reader = Reader::new(self, state, LostBlobs::Here);
        let here = Some(BTreeSet::new());
        self.expand_with(ids, Reader { here, ..reader })
    }

    /// A missing member below the object `id`: it was deleted on a node that does not know `id`.
    pub(crate) fn missing_member(&self, state: &State, id: ObjectId) -> Option<ObjectId> {
        let record = self.record(state, id)?;
        match Reader::new(self, state, LostBlobs::Here).measure(record, 0) {
            Err(Unreadable::Incomplete(member)) => Some(member),
            _ => None,
        }
    }

    /// Measures everything before anything is written.
    fn expand_with(&self, ids: &[ObjectId], mut reader: Reader<'_>) -> Result<Texts, Status> {
        let mut size = Size::REPLY;
        let mut measured = BTreeMap::new();
        for id in ids.iter().filter(|id| !id.is_blob()) {
            let Some(record) = self.record(reader.state, *id) else {
                continue;
            };
            if measured.contains_key(id) {
                continue;
            }
            let tree = match reader.measure(record, 0) {
                Ok(tree) => tree,
                Err(Unreadable::Incomplete(_)) => continue,
                Err(Unreadable::TooLarge | Unreadable::TooDeep) => return Err(too_large(*id)),
            };
            size = size + tree.keyed();
            let whole = size.with_payloads(reader.here.as_ref().map_or(0, BTreeSet::len));
            if !whole.fits_a_reply() {
                return Err(whole.refusal());
            }
            measured.insert(*id, (record, tree));
        }
        Ok(reader.texts(measured, size))
    }
}

/// Why a tree cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// This member is unknown here.
    Incomplete(ObjectId),
    TooLarge,
    TooDeep,
}

/// Reads trees. A small graph can unfold into a huge tree, so each tree is measured, visiting every object once, before
/// it is written.
pub(super) struct Reader<'a> {
    catalog: &'a Catalog,
    state: &'a State,
    lost: LostBlobs,
    sizes: BTreeMap<ObjectId, Result<Size, Unreadable>>,
    /// The visited blobs that are on this instance, if the caller wants them.
    here: Option<BTreeSet<ObjectId>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(catalog: &'a Catalog, state: &'a State, lost: LostBlobs) -> Self {
        Self {
            catalog,
            state,
            lost,
            sizes: BTreeMap::new(),
            here: None,
        }
    }

    /// The size of the record's tree, if it can be shown. `depth` is the number of levels above it.
    pub(super) fn measure(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        if let Some(known) = self.sizes.get(&record.id) {
            return *known;
        }
        if depth > DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        let measured = self.measure_members(record, depth);
        // Whether a tree is too deep depends on the root, so this result is not cached.
        if measured != Err(Unreadable::TooDeep) {
            self.sizes.insert(record.id, measured);
        }
        measured
    }

    fn measure_members(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        let mut size = Size::of_record(record, &self.shown(record));
        for (name, link) in &record.members {
            size = size + Size::entry(name, 0);
            size = match *link {
                Link::Blob { id, instance } => {
                    self.note(id, instance);
                    size + Size::BLOB
                }
                Link::Object { id, signature } => {
                    let member = self.member(record, id, signature);
                    size.above(self.measure(member.ok_or(Unreadable::Incomplete(id))?, depth + 1)?)
                }
            };
            if !size.fits_a_tree() {
                return Err(Unreadable::TooLarge);
            }
        }
        match size.fits_a_tree() {
            true => Ok(size),
            false => Err(Unreadable::TooLarge),
        }
    }

    fn note(&mut self, id: ObjectId, instance: InstanceId) {
        let me = self.catalog.me;
        let wanted = self.here.is_some() && id != ObjectId::EMPTY_BLOB;
        let is_here = wanted && self.place(id, instance) == me;
        if let Some(here) = &mut self.here
            && is_here
        {
            here.insert(id);
        }
    }

    /// The texts of measured trees, and their total size.
    pub(super) fn texts(
        self,
        measured: BTreeMap<ObjectId, (&Arc<Record>, Size)>,
        size: Size,
    ) -> Texts {
        let measured = measured.into_iter();
        let trees = measured.map(|(id, (record, tree))| (id, self.text(record, tree.bytes)));
        Texts {
            trees: trees.collect(),
            here: self.here,
            me: self.catalog.me,
            size,
        }
    }

    fn member(&self, parent: &Record, id: ObjectId, signature: Signature) -> Option<&'a Record> {
        let target = self.resolve(parent.global, id, signature);
        self.catalog.record(self.state, target).map(Arc::as_ref)
    }

    /// A global object's member is read through its signature: a copy that was moved here is preferred, and another
    /// one stands in for a member whose instance cannot be reached.
    fn resolve(&self, parent_global: bool, id: ObjectId, signature: Signature) -> ObjectId {
        if !parent_global {
            return id;
        }
        let Some(linked) = self.catalog.record(self.state, id) else {
            return self
                .state
                .by_signature(signature, self.catalog.me)
                .unwrap_or(id);
        };
        if let Some(copy) = copy_here(self.state, linked, self.catalog.me) {
            return copy;
        }
        match is_up(self.state, linked.instance) {
            true => id,
            false => self
                .state
                .by_signature(signature, self.catalog.me)
                .unwrap_or(id),
        }
    }

    /// The instance from which a blob can be read.
    fn place(&self, id: ObjectId, instance: InstanceId) -> InstanceId {
        let me = self.catalog.me;
        match self.state.blob(id) {
            _ if instance == me => me,
            Some(row) if row.locations.contains(&me) => me,
            Some(row) if lost_with(row, me).is_some() && self.lost == LostBlobs::Here => me,
            Some(row) => self.state.best_place(row, instance).unwrap_or(instance),
            None => instance,
        }
    }
}

/// `record` itself if it lives on `me`, or a persistent object there with its signature and the same content. The
/// signature alone is not enough: a shallow copy has it too and may differ.
pub(crate) fn copy_here(state: &State, record: &Record, me: InstanceId) -> Option<ObjectId> {
    if record.instance == me {
        return Some(record.id);
    }
    let says_the_same = |other: &Record| {
        other.typename == record.typename
            && other.attributes == record.attributes
            && other.members.keys().eq(record.members.keys())
    };
    let here = state
        .of_signature(record.signature)
        .filter(|(at, _)| *at == me);
    let mut found = here.filter_map(|(_, id)| state.object(id));
    found
        .find(|other| says_the_same(other))
        .map(|other| other.id)
}

/// Whether the cluster believes that `instance` can be reached.
pub(crate) fn is_up(state: &State, instance: InstanceId) -> bool {
    state
        .instance(instance)
        .is_some_and(|instance| instance.liveness == Liveness::Up)
}

fn too_large(id: ObjectId) -> Status {
    Status::invalid(format!(
        "the metadata of {id} is deeper than {DEPTH_MAX} levels, or larger than {NODES_MAX} nodes or a reply, {} bytes",
        limits::CLIENT_FRAME_BYTES_MAX
    ))
}
