//! Who is a member, and who is about to be none.
//!
//! Promise: a node that leaves by itself takes no bytes along that no node has which stays, unless they are given up by
//! name; and whatever was persisted before it left is looked at.

use std::collections::BTreeSet;

use vineyard_wire::{InstanceId, NodeId, ObjectId};

use super::objects::BlobRow;
use super::{Event, State};
use crate::command::{Applied, Cordon, Outcome, Refusal};

/// What is lost with nodes that do not come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Persistent objects that lose bytes.
    pub objects: u64,
    pub blobs: u64,
    pub bytes: u64,
}

impl State {
    /// What is lost if all processes but `instance` are gone: what is lost already does not count.
    pub fn losses_without_all_but(&self, instance: InstanceId) -> Losses {
        let is_lost =
            |row: &BlobRow| !row.locations.is_empty() && !row.locations.contains(&instance);
        let lost: Vec<&BlobRow> = self.blobs().filter(|row| is_lost(row)).collect();
        let parents = lost.iter().flat_map(|row| self.parents(row.id));
        Losses {
            objects: parents.collect::<BTreeSet<ObjectId>>().len() as u64,
            blobs: lost.len() as u64,
            bytes: lost.iter().map(|row| row.size).sum(),
        }
    }

    pub(super) fn remove(&mut self, node: NodeId, events: &mut Vec<Event>) -> Outcome {
        if self.nodes.get(node).is_none() {
            return Err(Refusal::NoNode { node });
        }
        if let Some(instance) = self.instances.remove(node) {
            self.bury(instance, events);
        }
        self.lives.remove(&node);
        self.levels.remove(&node);
        Ok(Applied::Done)
    }

    pub(super) fn cordon(
        &mut self,
        node: NodeId,
        cordon: Option<Cordon>,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if self.nodes.get(node).is_none() {
            return Err(Refusal::NoNode { node });
        }
        if self.is_removed(node) {
            return Err(Refusal::Removed { node });
        }
        if let Some(instance) = self.instances.cordon(node, cordon) {
            events.push(Event::InstanceChanged(instance));
        }
        Ok(Applied::Done)
    }

    /// Refuses bytes that would be persisted on a node which leaves: its drain would never end.
    pub(super) fn refuse_on_leaving(&self, blobs: &[BlobRow]) -> Result<(), Refusal> {
        let is_new = |row: &BlobRow, holder| {
            let known = self.blob(row.id);
            known.is_none_or(|known| !known.locations.contains(holder))
        };
        let new = blobs.iter().flat_map(|row| {
            let holders = row.locations.iter();
            holders.filter(|holder| is_new(row, holder))
        });
        let mut nodes = new.map(|holder| holder.node());
        match nodes.find(|&node| self.cordon_of(node) == Some(Cordon::Leaves)) {
            Some(node) => Err(Refusal::Leaves { node }),
            None => Ok(()),
        }
    }

    pub(super) fn leave(
        &mut self,
        node: NodeId,
        discard: bool,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let blobs = self.only_copies_on(node).count() as u64;
        if blobs > 0 && !discard {
            return Err(Refusal::OnlyCopies { node, blobs });
        }
        self.remove(node, events)
    }
}
