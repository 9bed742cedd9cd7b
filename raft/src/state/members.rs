//! Who is a member, and who is about to be none.
//!
//! Promise: a node that leaves by itself takes no bytes along that no node has which stays, unless they are given up by
//! name; and whatever was persisted before it left is looked at.

use vineyard_wire::NodeId;

use super::objects::BlobRow;
use super::{Event, State};
use crate::command::{Applied, Cordon, Outcome, Refusal};

impl State {
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
