//! `list_data`: objects whose type name matches, oldest id first.

use std::collections::BTreeMap;
use std::sync::Arc;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::Record;
use vineyard_wire::Status;

use super::expand::{LostBlobs, Reader, Size, Texts};
use super::{Catalog, Pattern};

impl Catalog {
    /// At most `limit` trees, in ascending id order. Objects that cannot be read whole are left out; if the trees
    /// together are more than a client could decode, the list is refused.
    pub(crate) fn list(
        &self,
        state: &State,
        pattern: &Pattern,
        limit: usize,
    ) -> Result<Texts, Status> {
        let mut found = BTreeMap::new();
        let mut total = Size::REPLY;
        let mut reader = Reader::new(self, state, LostBlobs::WithOwner);
        let wanted = |record: &&Arc<Record>| pattern.matches(&record.typename);
        for record in self.both(state).filter(wanted) {
            if found.len() >= limit {
                break;
            }
            let Ok(size) = reader.measure(record, 0) else {
                continue;
            };
            total = total + size.keyed();
            if !total.fits_a_reply() {
                return Err(too_long(found.len()));
            }
            found.insert(record.id, (record, size));
        }
        Ok(reader.texts(found, total))
    }

    /// Transient and persistent records, merged in id order. Of an object that is both, the persistent record is used.
    fn both<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Arc<Record>> {
        let mut transients = self.transients.values().peekable();
        let mut persistent = state.objects().peekable();
        std::iter::from_fn(move || match (transients.peek(), persistent.peek()) {
            (Some(a), Some(b)) if a.id < b.id => transients.next(),
            (Some(a), Some(b)) if a.id == b.id => {
                transients.next();
                persistent.next()
            }
            (Some(_), None) => transients.next(),
            _ => persistent.next(),
        })
    }
}

fn too_long(objects: usize) -> Status {
    Status::invalid(format!(
        "the metadata of the first {objects} matching objects fills a reply; ask with that limit or a narrower pattern"
    ))
}
