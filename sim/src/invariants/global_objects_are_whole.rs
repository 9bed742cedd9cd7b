//! A global object is seen whole or not at all: with every member it was made of, or as "no such object".

use std::collections::BTreeSet;

use vineyard_wire::{ObjectId, Signature};

use super::Judged;

pub const NAME: &str = "global_objects_are_whole";

/// Judges a global object that somebody read, against the members it was made of. Members are known by their signature:
/// a reader may be shown the copy nearest to it.
pub fn judge(id: ObjectId, made_of: &BTreeSet<Signature>, seen: &BTreeSet<Signature>) -> Judged {
    if made_of == seen {
        return Ok(());
    }
    Err(format!(
        "{id} was made of {made_of:?} and is seen with {seen:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_member_is_found() {
        let whole = BTreeSet::from([Signature(1), Signature(2)]);
        judge(ObjectId(9), &whole, &whole).unwrap();
        assert!(judge(ObjectId(9), &whole, &BTreeSet::from([Signature(1)])).is_err());
    }
}
