//! What a node may ask of the state: lookups and ordered walks, none of which copies a table.

use std::collections::BTreeSet;
use std::sync::Arc;

use vineyard_wire::{InstanceId, NodeId, ObjectId, Signature};

use super::State;
use super::instances::{Instance, Liveness};
use super::locks::Lock;
use super::nodes::Node;
use super::objects::{BlobRow, Record, members_of};
use crate::command::Cordon;
use crate::features;

impl State {
    /// Index of the last entry applied; 0 before the first.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The cluster's id, once it was founded.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    pub fn object(&self, id: ObjectId) -> Option<&Arc<Record>> {
        self.root().objects.get(id)
    }

    pub fn contains(&self, id: ObjectId) -> bool {
        self.root().objects.contains(id)
    }

    /// Persistent objects in ascending order of ids.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.root().objects.records()
    }

    /// An object of this signature: one on `prefer` if there is one, else one on an instance that is up, else any that
    /// is left. Global objects are not found by signature.
    pub fn by_signature(&self, signature: Signature, prefer: InstanceId) -> Option<ObjectId> {
        let rank = |at: InstanceId| match self.instance(at).map(|instance| instance.liveness) {
            _ if at == prefer => 0,
            Some(Liveness::Up) => 1,
            Some(Liveness::Unreachable) => 2,
            None | Some(Liveness::Stopped) => 3,
            Some(Liveness::Gone) => 4,
        };
        let found = self.root().objects.of_signature(signature);
        found
            .min_by_key(|&(at, id)| (rank(at), id))
            .map(|(_, id)| id)
    }

    /// Objects of this signature and where they live, instances ascending. Global objects are not found by signature.
    pub fn of_signature(
        &self,
        signature: Signature,
    ) -> impl Iterator<Item = (InstanceId, ObjectId)> {
        self.root().objects.of_signature(signature)
    }

    pub fn blob(&self, id: ObjectId) -> Option<&BlobRow> {
        self.root().objects.blob(id)
    }

    /// Rows of the blobs that persistent objects refer to, in ascending order of ids.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobRow> {
        self.root().objects.blobs()
    }

    /// Blobs that `instance` is known to hold, in ascending order of ids.
    pub fn held_by(&self, instance: InstanceId) -> impl Iterator<Item = ObjectId> {
        self.root().objects.held_by(instance)
    }

    /// Persistent objects that refer to the object or blob `id`, in ascending order.
    pub fn parents(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> {
        self.root().objects.parents(id)
    }

    pub fn name(&self, name: &str) -> Option<ObjectId> {
        self.root().names.get(name)
    }

    /// Names in ascending order, with what they point to.
    pub fn names(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.root().names.iter()
    }

    /// The names of an object in ascending order.
    pub fn names_of(&self, id: ObjectId) -> impl Iterator<Item = &str> {
        self.root().names.of(id)
    }

    /// The name an object was given last: its `__name`.
    pub fn latest_name_of(&self, id: ObjectId) -> Option<&str> {
        self.root().names.latest_of(id)
    }

    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// Every boot that registered, those gone included, in ascending order of ids.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter()
    }

    /// The latest boot of a node, up or not.
    pub fn current_instance_of(&self, node: NodeId) -> Option<&Instance> {
        self.instances.current_of(node)
    }

    /// What people call a node: its name and its id, as in `blue (n1)`; the id alone before its first boot has
    /// registered.
    pub fn called(&self, node: NodeId) -> String {
        match self.current_instance_of(node) {
            Some(instance) => format!("{} ({node})", instance.hostname),
            None => node.to_string(),
        }
    }

    /// Whether a process that says to be `instance` is over for the cluster: a later boot of its node has registered,
    /// or another process with this boot, or one that its disk does not remember (`before`, as in `Command::Boot`).
    pub fn is_outlived(&self, instance: InstanceId, life: u128, before: &[u128]) -> bool {
        let node = instance.node();
        let Some(current) = self.instances.current_of(node) else {
            return false;
        };
        let registered = self.lives.get(&node);
        if current.id == instance {
            return match registered {
                Some(registered) => *registered != life,
                // While some member is below level `LIVES`, boots are registered without their lives. One that has
                // said no level is of a build that knows none.
                None => self.level_of(node) < features::LIVES,
            };
        }
        let is_forgotten = registered.is_some_and(|last| !before.contains(last));
        is_forgotten || self.instances.is_replaced(instance)
    }

    /// What every node of the cluster is known to understand, see `features`. Before the first is admitted, what this
    /// build does. A node counts as long as it may come back, so one that died for good without having said its level
    /// keeps the cluster at 0.
    pub fn feature_level(&self) -> u8 {
        let said = self.levels_said();
        let levels = self.nodes().map(|node| self.level_among(&said, node.id));
        levels.min().unwrap_or(features::LATEST)
    }

    /// What `node` is known to understand.
    pub fn level_of(&self, node: NodeId) -> u8 {
        self.level_among(&self.levels_said(), node)
    }

    fn levels_said(&self) -> Vec<(InstanceId, u8)> {
        let locks = self.root().locks.with_prefix(features::locks_prefix());
        locks
            .filter_map(|(name, lock)| Some((lock.owner, features::announced(name)?)))
            .collect()
    }

    /// A registered node has said its level in the name of its current instance, another one before its first
    /// registration, or when it was admitted.
    fn level_among(&self, said: &[(InstanceId, u8)], node: NodeId) -> u8 {
        let current = self.instances.current_of(node).map(|current| current.id);
        let counts = |by: InstanceId| current.map_or(by.node() == node, |current| by == current);
        let said = said.iter().filter(|(by, _)| counts(*by));
        let lowest = said.map(|(_, level)| *level).min();
        let admitted = || {
            self.levels
                .get(&node)
                .copied()
                .filter(|_| current.is_none())
        };
        lowest.or_else(admitted).unwrap_or(features::BASE)
    }

    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The node of a data directory.
    pub fn node_of_key(&self, key: u128) -> Option<&Node> {
        self.nodes.of_key(key)
    }

    /// The members in ascending order of ids, without those that were removed.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let is_member = |node: &&Node| !self.is_removed(node.id);
        self.nodes.iter().filter(is_member)
    }

    /// Whether a node was a member and is none any more.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.instances.is_removed(node)
    }

    /// Why a node takes no copies now, if it does not.
    pub fn cordon_of(&self, node: NodeId) -> Option<Cordon> {
        self.instances.cordon_of(node)
    }

    /// Whether what `instance` holds is expected to stay: it is up, and its node is not cordoned.
    pub fn is_to_stay(&self, instance: InstanceId) -> bool {
        let known = self.instance(instance);
        known.is_some_and(|known| known.liveness == Liveness::Up)
            && self.cordon_of(instance.node()).is_none()
    }

    /// Where to read a blob, if anybody has its bytes: where they are to stay rather than where a node is cordoned, and
    /// there rather than on a node that is not up. Of equals, on `prefer`.
    pub fn best_place(&self, row: &BlobRow, prefer: InstanceId) -> Option<InstanceId> {
        let rank = |at: &InstanceId| {
            let is_up = self.instance(*at).map(|known| known.liveness) == Some(Liveness::Up);
            (!self.is_to_stay(*at), !is_up, *at != prefer)
        };
        row.locations.iter().copied().min_by_key(rank)
    }

    /// The blobs of `node` whose bytes no other node has that is to stay, in ascending order of ids.
    pub fn only_copies_on(&self, node: NodeId) -> impl Iterator<Item = &BlobRow> {
        let instance = self.current_instance_of(node).map(|current| current.id);
        let objects = &self.root().objects;
        let held = instance.map(|instance| objects.held_by(instance));
        let rows = held
            .into_iter()
            .flatten()
            .filter_map(|blob| objects.blob(blob));
        let is_elsewhere = move |row: &&BlobRow| {
            let mut others = row.locations.iter().filter(|at| at.node() != node);
            others.any(|at| self.is_to_stay(*at))
        };
        rows.filter(move |row| !is_elsewhere(row))
    }

    /// How many persistent objects lose bytes if `node` does not come back: those that refer to a blob of which nobody
    /// else has the bytes, and that have no copy with bytes elsewhere.
    pub fn objects_only_on(&self, node: NodeId) -> usize {
        let Some(instance) = self.current_instance_of(node).map(|current| current.id) else {
            return 0;
        };
        let objects = &self.root().objects;
        let is_alone = |blob: &ObjectId| {
            let row = objects.blob(*blob);
            row.is_some_and(|row| row.locations.iter().eq([&instance]))
        };
        let blobs = objects.held_by(instance).filter(is_alone);
        let parents: BTreeSet<ObjectId> = blobs.flat_map(|blob| objects.parents(blob)).collect();
        let has_bytes = |blob: ObjectId| {
            let row = objects.blob(blob);
            row.is_some_and(|row| !row.locations.is_empty())
        };
        let is_whole = |id: ObjectId| {
            let members = objects.get(id).map(|record| members_of(record));
            let blobs = members.into_iter().flatten().filter(|id| id.is_blob());
            blobs.into_iter().all(has_bytes)
        };
        let has_copy = |id: &ObjectId| {
            let signature = objects.get(*id).map(|record| record.signature);
            signature.is_some_and(|signature| {
                let mut copies = objects.of_signature(signature);
                copies.any(|(_, copy)| !parents.contains(&copy) && is_whole(copy))
            })
        };
        parents.iter().filter(|id| !has_copy(id)).count()
    }

    pub fn lock(&self, name: &str) -> Option<&Lock> {
        self.root().locks.get(name)
    }

    /// Locks in ascending order of names; a lease that ended shows until the next acquisition.
    pub fn locks(&self) -> impl Iterator<Item = (&str, &Lock)> {
        self.root().locks.iter()
    }

    /// Outcomes kept for retries.
    pub fn outcomes_kept(&self) -> usize {
        self.dedup.len()
    }
}
