//! `get_data`: turns records back into the tree a client reads.

mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::reply::Liveness;
use vineyard_wire::{InstanceId, ObjectId, Signature, Status, Tree, TreeText, limits};

use super::Catalog;
use super::absorb::{DEPTH_MAX, NODES_MAX};
use crate::failure::lost_with;

pub(crate) use show::blob_tree;

/// Trees as text.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) trees: BTreeMap<ObjectId, TreeText>,
    /// The blobs below them that are on this instance.
    pub(crate) here: BTreeSet<ObjectId>,
}

/// How blobs whose bytes are gone are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostBlobs {
    /// As this instance's own, so that a client asks here and gets the error that names object and node.
    Here,
    /// As their late owner's, so that a listing is not spoilt by one of them.
    WithOwner,
}

impl Catalog {
    /// The whole trees of `ids`. One that is unknown here, or has a member that is, is left out; what together would be
    /// more than a client could decode is a refusal.
    pub(crate) fn expand(
        &self,
        state: &State,
        ids: &[ObjectId],
        lost: LostBlobs,
    ) -> Result<BTreeMap<ObjectId, Tree>, Status> {
        self.expand_with(state, ids, lost, |reader, record| reader.tree(record))
    }

    /// The same as text, for the clients that read it themselves, with the blobs below that are on this instance.
    pub(crate) fn expand_texts(&self, state: &State, ids: &[ObjectId]) -> Result<Texts, Status> {
        let mut here = BTreeSet::new();
        let text = |reader: &Reader<'_>, record: &Record| reader.text(record, &mut here);
        let trees = self.expand_with(state, ids, LostBlobs::Here, text)?;
        Ok(Texts { trees, here })
    }

    fn expand_with<T>(
        &self,
        state: &State,
        ids: &[ObjectId],
        lost: LostBlobs,
        mut show: impl FnMut(&Reader<'_>, &Record) -> T,
    ) -> Result<BTreeMap<ObjectId, T>, Status> {
        let mut reader = Reader::new(self, state, lost);
        let mut total = Size::default();
        let mut shown = BTreeMap::new();
        for id in ids {
            let Some(record) = self.record(state, *id) else {
                continue;
            };
            match reader.measure(record, 0) {
                Ok(size) => total = total.beside(size),
                Err(Unreadable::Incomplete) => continue,
                Err(Unreadable::TooLarge | Unreadable::TooDeep) => return Err(too_large(*id)),
            }
            if !total.fits_a_reply() {
                return Err(too_large(*id));
            }
            shown.insert(*id, show(&reader, record));
        }
        Ok(shown)
    }
}

/// What a tree comes to once it is unfolded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    nodes: usize,
    /// Of its JSON text, roughly.
    bytes: usize,
    /// Levels of objects below it.
    height: usize,
}

impl Size {
    /// One tree.
    const TREE_MAX: Self = Self {
        nodes: NODES_MAX,
        bytes: limits::CLIENT_FRAME_BYTES_MAX,
        height: DEPTH_MAX,
    };
    /// All trees of one reply.
    const REPLY_MAX: Self = Self {
        nodes: limits::JSON_OBJECTS_MAX,
        ..Self::TREE_MAX
    };
    /// What the keys that every node has take.
    const NODE_BYTES: usize = 128;

    fn node(bytes: usize) -> Self {
        let bytes = Self::NODE_BYTES + bytes;
        Self {
            nodes: 1,
            bytes,
            height: 0,
        }
    }

    fn above(self, member: Self) -> Self {
        Self {
            height: self.height.max(member.height + 1),
            ..self.beside(member)
        }
    }

    /// Both in one reply.
    pub(super) fn beside(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
            height: self.height.max(other.height),
        }
    }

    fn within(self, max: Self) -> bool {
        self.nodes <= max.nodes && self.bytes <= max.bytes && self.height <= max.height
    }

    pub(super) fn fits_a_reply(self) -> bool {
        self.within(Self::REPLY_MAX)
    }
}

/// Why a tree cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A member is unknown here.
    Incomplete,
    TooLarge,
    TooDeep,
}

/// Reads trees. A small graph can unfold into a huge tree, so each is measured, every object once, before it is built.
pub(super) struct Reader<'a> {
    catalog: &'a Catalog,
    state: &'a State,
    lost: LostBlobs,
    sizes: BTreeMap<ObjectId, Result<Size, Unreadable>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(catalog: &'a Catalog, state: &'a State, lost: LostBlobs) -> Self {
        Self {
            catalog,
            state,
            lost,
            sizes: BTreeMap::new(),
        }
    }

    /// What the record's tree comes to, if it can be shown. `depth` is how many levels are above it.
    pub(super) fn measure(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        if let Some(known) = self.sizes.get(&record.id) {
            return *known;
        }
        if depth > DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        let measured = self.measure_members(record, depth);
        // Too deep is a matter of where one began.
        if measured != Err(Unreadable::TooDeep) {
            self.sizes.insert(record.id, measured);
        }
        measured
    }

    fn measure_members(&mut self, record: &Record, depth: usize) -> Result<Size, Unreadable> {
        let mut size = Size::node(own_bytes(record));
        for (name, link) in &record.members {
            size.bytes += name.len();
            size = match *link {
                Link::Blob { .. } => size.beside(Size::node(0)),
                Link::Object { id, signature } => {
                    let member = self.member(record, id, signature);
                    size.above(self.measure(member.ok_or(Unreadable::Incomplete)?, depth + 1)?)
                }
            };
            if !size.within(Size::TREE_MAX) {
                return Err(Unreadable::TooLarge);
            }
        }
        Ok(size)
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

    /// Where the bytes of a blob are to be had.
    fn place(&self, id: ObjectId, instance: InstanceId) -> InstanceId {
        let me = self.catalog.me;
        match self.state.blob(id) {
            _ if instance == me => me,
            Some(row) if row.locations.contains(&me) => me,
            Some(row) if lost_with(row, me).is_some() && self.lost == LostBlobs::Here => me,
            Some(row) if row.locations.contains(&instance) => instance,
            Some(row) => row.locations.first().copied().unwrap_or(instance),
            None => instance,
        }
    }
}

/// `record` itself if it lives on `me`, or a persistent object there that has its signature and says the same. The
/// signature alone would not do: a shallow copy shares it and may differ.
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

/// What a record's own text takes, roughly.
fn own_bytes(record: &Record) -> usize {
    let texts = record.attributes.iter().chain(&record.labels);
    record.typename.len()
        + texts
            .map(|(name, text)| name.len() + text.len())
            .sum::<usize>()
}

fn too_large(id: ObjectId) -> Status {
    let Size {
        nodes,
        bytes,
        height,
    } = Size::TREE_MAX;
    Status::invalid(format!(
        "the metadata of {id} is deeper than {height} levels or larger than {nodes} nodes or {bytes} bytes"
    ))
}
