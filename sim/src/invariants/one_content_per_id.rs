//! One id never yields two contents, anywhere, whatever moved or died in between.

use std::collections::BTreeMap;

use vineyard_wire::ObjectId;

use super::Judged;

pub const NAME: &str = "one_content_per_id";

/// The content first seen under each id.
#[derive(Default)]
pub struct OneContentPerId {
    seen: BTreeMap<ObjectId, u64>,
}

impl OneContentPerId {
    /// Somebody put or read `content` (a hash) under `id`.
    pub fn observe(&mut self, who: &str, id: ObjectId, content: u64) -> Judged {
        let first = *self.seen.entry(id).or_insert(content);
        if first == content {
            return Ok(());
        }
        Err(format!(
            "{who} finds {content:016x} under {id}, which held {first:016x} before"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_content_is_found() {
        let mut one = OneContentPerId::default();
        one.observe("c1", ObjectId(1), 10).unwrap();
        one.observe("c2", ObjectId(1), 10).unwrap();
        one.observe("c1", ObjectId(2), 11).unwrap();
        assert!(one.observe("c2", ObjectId(1), 11).is_err());
    }
}
