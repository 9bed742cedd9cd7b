//! Two replicas of one epoch that applied the same number of entries have the same state, byte for byte.

use std::collections::BTreeMap;

use super::Judged;

pub const NAME: &str = "replicas_agree";

/// The digest first seen in each epoch at each index, and who showed it.
#[derive(Default)]
pub struct ReplicasAgree {
    seen: BTreeMap<(u64, u64), (u64, String)>,
}

impl ReplicasAgree {
    /// A node says what its state is in `epoch` after `index` entries.
    pub fn observe(&mut self, node: &str, (epoch, index): (u64, u64), digest: u64) -> Judged {
        let (first, by) = self
            .seen
            .entry((epoch, index))
            .or_insert_with(|| (digest, node.to_owned()));
        if *first == digest {
            return Ok(());
        }
        Err(format!(
            "in epoch {epoch}, after entry {index}, {by} has state {first:016x}, {node} has {digest:016x}"
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
        agree.observe("n1", (1, 7), 1).unwrap();
        agree.observe("n2", (1, 8), 2).unwrap();
        agree.observe("n2", (1, 7), 1).unwrap();
        agree.observe("n3", (2, 7), 3).unwrap();
        assert!(agree.observe("n3", (1, 7), 3).unwrap_err().contains("n3"));
    }
}
