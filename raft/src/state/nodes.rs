//! Nodes: one per data directory, numbered from 0 in the order they were admitted.
//!
//! Promise: a key has one node id for ever, and a node id one key.

use imbl::OrdMap;
use vineyard_wire::NodeId;

use crate::command::Refusal;

/// Node ids are the low 16 bits of instance ids.
const NODES_MAX: u64 = 1 << 16;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub id: NodeId,
    /// Made once by its data directory.
    pub key: u128,
    /// `host:port` as it last asked to be admitted with.
    pub endpoint: String,
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Nodes {
    pub(crate) rows: OrdMap<NodeId, Node>,
    pub(crate) by_key: OrdMap<u128, NodeId>,
}

impl Nodes {
    /// In ascending order of ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.rows.values()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        self.rows.get(&id)
    }

    pub(super) fn of_key(&self, key: u128) -> Option<&Node> {
        self.by_key.get(&key).and_then(|&id| self.get(id))
    }

    /// The node of `key`, numbered now if it is new.
    pub(super) fn admit(&mut self, key: u128, endpoint: &str) -> Result<NodeId, Refusal> {
        let known = self.by_key.get(&key).copied();
        let id =
            known.unwrap_or_else(|| NodeId(self.rows.get_max().map_or(0, |(last, _)| last.0 + 1)));
        if id.0 >= NODES_MAX {
            return Err(Refusal::NodesExhausted);
        }
        self.by_key.insert(key, id);
        self.rows.insert(
            id,
            Node {
                id,
                key,
                endpoint: endpoint.to_owned(),
            },
        );
        Ok(id)
    }
}
