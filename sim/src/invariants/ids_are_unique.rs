//! A node id belongs to one data directory, and an instance id to one life of it.

use std::collections::BTreeMap;

use vineyard_wire::{InstanceId, NodeId};

use super::Judged;

pub const NAME: &str = "ids_are_unique";

/// Which machine each node id was first seen on, and in which of its lives each instance id.
#[derive(Default)]
pub struct IdsAreUnique {
    nodes: BTreeMap<NodeId, String>,
    instances: BTreeMap<InstanceId, (String, u64)>,
}

impl IdsAreUnique {
    /// The process on `machine`, in its life number `life`, says that it is `instance`.
    pub fn observe(&mut self, machine: &str, life: u64, instance: InstanceId) -> Judged {
        let node = instance.node();
        let owner = self.nodes.entry(node).or_insert_with(|| machine.to_owned());
        if *owner != machine {
            return Err(format!("{owner} and {machine} are both node {node}"));
        }
        let first = self
            .instances
            .entry(instance)
            .or_insert_with(|| (machine.to_owned(), life));
        if *first != (machine.to_owned(), life) {
            return Err(format!(
                "life {life} of {machine} is {instance}, which life {} was before",
                first.1
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_given_twice_is_found() {
        let mut unique = IdsAreUnique::default();
        let id = |node, boot| InstanceId::new(NodeId(node), boot);
        unique.observe("n1", 1, id(0, 0)).unwrap();
        unique.observe("n1", 1, id(0, 0)).unwrap();
        unique.observe("n1", 2, id(0, 1)).unwrap();
        let twins = unique.observe("n2", 1, id(0, 2)).unwrap_err();
        assert!(twins.contains("n1 and n2 are both node n0"), "{twins}");
        let again = unique.observe("n1", 3, id(0, 1)).unwrap_err();
        assert!(again.contains("life 3 of n1"), "{again}");
    }
}
