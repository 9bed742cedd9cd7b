//! A node that knows a boot of another one never goes by the address of an older boot again.

use std::collections::BTreeMap;

use vineyard_wire::{InstanceId, NodeId};

use super::Judged;

pub const NAME: &str = "older_boots_are_refused";

/// The latest boot of each node by whose address each process has gone.
#[derive(Default)]
pub struct OlderBootsAreRefused {
    latest: BTreeMap<(String, u64, NodeId), InstanceId>,
}

impl OlderBootsAreRefused {
    /// The process on `machine`, in its life number `life`, dials the address of the boot `instance`.
    pub fn observe(&mut self, machine: &str, life: u64, instance: InstanceId) -> Judged {
        let key = (machine.to_owned(), life, instance.node());
        let latest = self.latest.entry(key).or_insert(instance);
        if instance < *latest {
            return Err(format!(
                "{machine} dials {instance}, and knew the later start {latest} of the node"
            ));
        }
        *latest = instance;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_goes_back_to_an_older_boot_is_found() {
        let mut boots = OlderBootsAreRefused::default();
        let boot = |boot| InstanceId::new(NodeId(1), boot);
        boots.observe("n1", 1, boot(0)).unwrap();
        boots.observe("n1", 1, boot(2)).unwrap();
        // Another process has not heard of it yet, or has forgotten.
        boots.observe("n2", 1, boot(1)).unwrap();
        boots.observe("n1", 2, boot(1)).unwrap();
        let older = boots.observe("n1", 1, boot(1)).unwrap_err();
        assert!(older.contains("n1 dials"), "{older}");
    }
}
