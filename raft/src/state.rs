//! The replicated state: what every node knows of persisted objects, names, instances, nodes and locks.
//!
//! Promise: `State::apply` is a pure function of the state and the entry. It does no I/O, knows no clock and no chance,
//! and cannot fail: it may refuse, and every replica refuses alike. It must never know a socket, a disk or openraft.
//!
//! | file | holds |
//! |---|---|
//! | `apply` | one arm per command |
//! | `read` | what a node may ask |
//! | `objects` | records, blob rows and their indexes |
//! | `persist`, `delete` | the two decisions that span many objects |
//! | `members` | who is taken out, or cordoned |
//! | `rotation` | which token was replaced last |
//! | `settings` | what holds for the whole cluster |
//! | `cost` | how much of the metadata's quota each row takes |
//! | `quota` | refuses what would take more than there is |
//! | `names`, `instances`, `nodes`, `locks` | one table each |
//! | `dedup` | at most once |
//! | `event` | what a node must react to |

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use vineyard_wire::{NodeId, ObjectId};
use xxhash_rust::xxh3::Xxh3Default;

mod apply;
pub mod cost;
pub(crate) mod dedup;
mod delete;
mod event;
pub mod instances;
pub mod locks;
mod members;
pub(crate) mod names;
pub mod nodes;
pub mod objects;
mod persist;
mod quota;
mod read;
mod rotation;
mod settings;
#[cfg(test)]
mod tests;

pub use event::Event;
pub use members::Losses;
pub use rotation::Rotation;
pub use settings::{METADATA_QUOTA_BYTES, ROUND_TRIP_MS, ROUND_TRIP_MS_MAX, Settings};

/// Who owns a name, an object, a lock. Only the root is in use; the others have their place in the state's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub u32);

impl Namespace {
    pub const ROOT: Self = Self(0);
}

/// The tables of one namespace: the namespace is the first part of each of their keys.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Space {
    pub(crate) objects: objects::Objects,
    pub(crate) names: names::Names,
    pub(crate) locks: locks::Locks,
}

/// See the module. Cloning it costs a few reference counts; clones share what they have in common.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) applied: u64,
    pub(crate) cluster: Option<String>,
    pub(crate) nodes: nodes::Nodes,
    pub(crate) instances: instances::Instances,
    pub(crate) dedup: dedup::Dedup,
    /// By reference: a change of one copies no other.
    pub(crate) spaces: OrdMap<Namespace, Arc<Space>>,
    /// Objects whose attributes were set after they were persisted.
    pub(crate) edited: OrdSet<(Namespace, ObjectId)>,
    /// The process that is each node's current instance, for those that `Boot` registered.
    pub(crate) lives: OrdMap<NodeId, u128>,
    /// The feature levels that nodes knew when they were admitted.
    pub(crate) levels: OrdMap<NodeId, u8>,
    /// The last one of the token.
    pub(crate) rotation: Option<Rotation>,
    pub(crate) settings: Settings,
}

impl Default for State {
    /// The state before the first entry.
    fn default() -> Self {
        Self {
            applied: 0,
            cluster: None,
            nodes: nodes::Nodes::default(),
            instances: instances::Instances::default(),
            dedup: dedup::Dedup::default(),
            spaces: OrdMap::unit(Namespace::ROOT, Arc::default()),
            edited: OrdSet::new(),
            lives: OrdMap::new(),
            levels: OrdMap::new(),
            rotation: None,
            settings: Settings::default(),
        }
    }
}

impl State {
    /// A hash over all of it: replicas that applied the same entries agree, and a snapshot does not change it.
    /// Comparable between processes of one build only.
    pub fn digest(&self) -> u64 {
        let Self {
            applied,
            cluster,
            nodes,
            instances,
            dedup,
            spaces,
            edited,
            lives,
            levels,
            rotation,
            settings,
        } = self;
        let mut hasher = Xxh3Default::new();
        let tables = (nodes, instances, dedup, spaces, edited, lives, levels);
        (applied, cluster, tables, rotation, settings).hash(&mut hasher);
        hasher.finish()
    }

    /// Panics unless the promises of all tables hold: no name or member link to a missing object, indexes exact. For
    /// tests and the simulator; costs as much as the state is large.
    pub fn assert_invariants(&self) {
        self.instances.assert_exact();
        for space in self.spaces.values() {
            space.objects.assert_exact();
            space.names.assert_exact(|id| space.objects.contains(id));
            space.locks.assert_exact();
        }
        for (namespace, id) in &self.edited {
            let space = self.spaces.get(namespace);
            assert!(
                space.is_some_and(|space| space.objects.contains(*id)),
                "{id} was edited, so it is there"
            );
        }
    }

    fn root(&self) -> &Space {
        self.spaces
            .get(&Namespace::ROOT)
            .expect("the root namespace is made with the state")
    }

    fn root_mut(&mut self) -> &mut Space {
        Arc::make_mut(self.spaces.entry(Namespace::ROOT).or_default())
    }
}
