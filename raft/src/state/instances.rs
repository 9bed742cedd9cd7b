//! Instances: the boots of the cluster's nodes, and what the leader's watch says of them.
//!
//! Promise: of each node exactly the latest boot that registered is current, and every earlier one is gone for good. Of
//! a node that was removed every boot is gone, and none comes.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, NodeId};

use crate::command::{Cordon, Refusal};

/// What the leader's watch says of an instance, or the instance of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Liveness {
    Up,
    Unreachable,
    /// Replaced by a later boot of its node, or its node was removed.
    Gone,
    /// It was stopped in order; its node has not booted since.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub hostid: u64,
    pub hostname: String,
    pub ipc_socket: String,
    /// `host:port` that clients and peers dial.
    pub endpoint: String,
    pub liveness: Liveness,
    /// When it registered, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Instances {
    pub(crate) rows: OrdMap<InstanceId, Instance>,
    pub(crate) current: OrdMap<NodeId, InstanceId>,
    /// Nodes that are no members any more.
    pub(crate) removed: OrdSet<NodeId>,
    /// Members that take no copies of what others have.
    pub(crate) cordoned: OrdMap<NodeId, Cordon>,
}

impl Instances {
    pub(super) fn get(&self, id: InstanceId) -> Option<&Instance> {
        self.rows.get(&id)
    }

    /// In ascending order of ids, those gone included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.rows.values()
    }

    pub(super) fn current_of(&self, node: NodeId) -> Option<&Instance> {
        self.current.get(&node).and_then(|id| self.rows.get(id))
    }

    pub(super) fn is_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    pub(super) fn cordon_of(&self, node: NodeId) -> Option<Cordon> {
        self.cordoned.get(&node).copied()
    }

    /// Sets or ends the cordon of a node. Returns its instance, if it has one and this is news.
    pub(super) fn cordon(&mut self, node: NodeId, cordon: Option<Cordon>) -> Option<InstanceId> {
        let before = match cordon {
            Some(cordon) => self.cordoned.insert(node, cordon),
            None => self.cordoned.remove(&node),
        };
        let current = self.current.get(&node).copied();
        current.filter(|_| before != cordon)
    }

    /// Takes the node out. Returns its instance, if it had one, which is now gone.
    pub(super) fn remove(&mut self, node: NodeId) -> Option<InstanceId> {
        self.removed.insert(node);
        self.cordoned.remove(&node);
        let last = self.current.remove(&node)?;
        if let Some(row) = self.rows.get_mut(&last) {
            row.liveness = Liveness::Gone;
        }
        Some(last)
    }

    /// True if the cluster has taken its node out, or a later boot of the node has registered.
    pub(super) fn is_replaced(&self, id: InstanceId) -> bool {
        if self.is_removed(id.node()) {
            return true;
        }
        self.current
            .get(&id.node())
            .is_some_and(|current| current.boot() > id.boot())
    }

    /// Makes `instance` its node's current one and up. Returns the instance this replaced, if any, which is now gone.
    pub(super) fn register(&mut self, instance: &Instance) -> Result<Option<InstanceId>, Refusal> {
        let id = instance.id;
        if self.is_removed(id.node()) {
            return Err(Refusal::Removed { node: id.node() });
        }
        if self.is_replaced(id) {
            return Err(Refusal::Stale { instance: id });
        }
        let since_unix_ms = self
            .get(id)
            .map_or(instance.since_unix_ms, |row| row.since_unix_ms);
        let row = Instance {
            liveness: Liveness::Up,
            since_unix_ms,
            ..instance.clone()
        };
        self.rows.insert(id, row);
        let replaced = self
            .current
            .insert(id.node(), id)
            .filter(|&before| before != id);
        if let Some(row) = replaced.and_then(|before| self.rows.get_mut(&before)) {
            row.liveness = Liveness::Gone;
        }
        Ok(replaced)
    }

    /// Notes what the watch saw. True if that is news.
    pub(super) fn watch(&mut self, id: InstanceId, reachable: bool) -> Result<bool, Refusal> {
        if self.is_replaced(id) {
            return Err(Refusal::Stale { instance: id });
        }
        let Some(row) = self.rows.get_mut(&id) else {
            return Err(Refusal::NoNode { node: id.node() });
        };
        if row.liveness == Liveness::Stopped {
            return Ok(false);
        }
        let seen = if reachable {
            Liveness::Up
        } else {
            Liveness::Unreachable
        };
        let news = row.liveness != seen;
        row.liveness = seen;
        Ok(news)
    }

    /// Notes that it is being stopped in order. True if that is news.
    pub(super) fn stop(&mut self, id: InstanceId) -> Result<bool, Refusal> {
        if self.is_replaced(id) {
            return Err(Refusal::Stale { instance: id });
        }
        let Some(row) = self.rows.get_mut(&id) else {
            return Err(Refusal::NoNode { node: id.node() });
        };
        let news = row.liveness != Liveness::Stopped;
        row.liveness = Liveness::Stopped;
        Ok(news)
    }

    /// Panics unless the current instances are the latest and only they are not gone.
    pub(super) fn assert_exact(&self) {
        for (&id, row) in &self.rows {
            assert_eq!(id, row.id, "an instance stands under its id");
            assert_eq!(
                self.is_replaced(id),
                row.liveness == Liveness::Gone,
                "{id} is gone if replaced"
            );
        }
        for node in self.cordoned.keys() {
            assert!(!self.is_removed(*node), "{node} is cordoned as a member");
        }
        for (&node, id) in &self.current {
            assert_eq!(id.node(), node, "a node's current instance is its own");
            assert!(self.rows.contains_key(id), "a current instance has a row");
        }
    }
}
