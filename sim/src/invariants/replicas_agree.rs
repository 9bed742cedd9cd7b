//! Two replicas that applied the same number of entries have the same state, byte for byte.

use std::collections::BTreeMap;

use super::Judged;

pub const NAME: &str = "replicas_agree";

/// The digest first seen at each index, and who showed it.
#[derive(Default)]
pub struct ReplicasAgree {
    seen: BTreeMap<u64, (u64, String)>,
}

impl ReplicasAgree {
    /// A node says what its state is after `index` entries.
    pub fn observe(&mut self, node: &str, index: u64, digest: u64) -> Judged {
        let (first, by) = self
            .seen
            .entry(index)
            .or_insert_with(|| (digest, node.to_owned()));
        if *first == digest {
            return Ok(());
        }
        Err(format!(
            "after entry {index} {by} has state {first:016x}, {node} has {digest:016x}"
        ))
    }

    /// How many indices were compared.
    pub fn indices(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_differs_is_named() {
        let mut agree = ReplicasAgree::default();
        agree.observe("n1", 7, 1).unwrap();
        agree.observe("n2", 8, 2).unwrap();
        agree.observe("n2", 7, 1).unwrap();
        assert!(agree.observe("n3", 7, 3).unwrap_err().contains("n3"));
    }
}
