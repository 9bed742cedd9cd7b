//! `list_data`: objects whose type name matches, oldest id first.

use std::collections::BTreeMap;
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::Record;
use vineyard_wire::{ObjectId, Status, Tree};

use super::expand::LostBlobs;
use super::{Catalog, Pattern};

impl Catalog {
    /// At most `limit` trees, in ascending id order. Objects that cannot be read whole are left out.
    pub(crate) fn list(
        &self,
        state: &State,
        pattern: &Pattern,
        limit: usize,
    ) -> Result<BTreeMap<ObjectId, Tree>, Status> {
        let mut found = BTreeMap::new();
        for record in self.both(state).filter(|record| pattern.matches(&record.typename)) {
            if found.len() >= limit {
                break;
            }
            if let Some(tree) = self.expand(state, record.id, LostBlobs::WithOwner)? {
                found.insert(record.id, tree);
            }
        }
        Ok(found)
    }

    /// Transient and persistent records, merged in id order.
    fn both<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Arc<Record>> {
        let mut transients = self.transients.values().peekable();
        let mut persistent = state.objects().peekable();
        std::iter::from_fn(move || match (transients.peek(), persistent.peek()) {
            (Some(a), Some(b)) if a.id < b.id => transients.next(),
            (Some(a), Some(b)) if a.id == b.id => {
                // Just persisted: the transient copy is about to be forgotten.
                transients.next();
                persistent.next()
            }
            (Some(_), None) => transients.next(),
            _ => persistent.next(),
        })
    }
}
