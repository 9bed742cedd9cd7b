use super::*;
use crate::features::{self, BASE, LATEST, LIVES, PUBLISH};

fn boot(node: u64, boot: u64) -> InstanceId {
    InstanceId::new(NodeId(node), boot)
}

impl Replica {
    fn says(&mut self, instance: InstanceId, level: u8) {
        let said = self.run(features::announcement(instance, level)).0;
        assert!(matches!(said, Ok(Applied::Locked { .. })), "{said:?}");
    }

    fn level(&self) -> u8 {
        self.state.feature_level()
    }
}

#[test]
fn the_cluster_knows_what_its_last_node_knows() {
    let mut replica = Replica::of_three();
    replica.says(i(0), LATEST);
    replica.says(i(1), LATEST);
    assert_eq!(replica.level(), BASE, "node 2 has never said anything");
    replica.says(i(2), LIVES);
    assert_eq!(replica.level(), LIVES);
    assert_eq!(replica.state.level_of(NodeId(1)), LATEST);
    assert_eq!(State::default().feature_level(), LATEST, "nobody is lower");
}

#[test]
fn a_level_ends_with_the_boot_that_said_it() {
    let mut replica = Replica::of_three();
    for node in 0..3 {
        replica.says(i(node), LATEST);
    }
    // An upgraded node says it before its next boot replaces this one, so the level never falls between the two.
    replica.says(boot(1, 1), LATEST);
    assert_eq!(replica.level(), LATEST);
    replica.register(boot(1, 1));
    assert_eq!(replica.level(), LATEST);
    // A build that knows no levels only registers.
    replica.register(boot(1, 2));
    assert_eq!(replica.level(), BASE);
}

#[test]
fn a_boot_that_was_announced_and_never_registered_does_not_count() {
    let mut replica = Replica::of_three();
    replica.says(i(0), LATEST);
    replica.says(i(2), LATEST);
    replica.says(boot(1, 1), LATEST);
    assert_eq!(replica.level(), BASE, "boot 0 of node 1 is still current");
}

#[test]
fn a_level_that_is_said_twice_is_said_once() {
    let mut replica = Replica::of_three();
    replica.says(i(0), LATEST);
    let again = replica.run(features::announcement(i(0), LATEST)).0;
    assert!(again.is_err());
    assert_eq!(replica.state.level_of(NodeId(0)), LATEST);
    assert_eq!(replica.state.lock("other"), None);
}

#[test]
fn a_node_that_joins_counts_with_what_it_said_then() {
    let mut replica = Replica::of_three();
    for node in 0..3 {
        replica.says(i(node), LATEST);
    }
    let admit = |key, level| Command::AdmitAt {
        key,
        endpoint: String::new(),
        level,
    };
    assert!(replica.run(admit(7, PUBLISH)).0.is_ok());
    assert_eq!(replica.level(), PUBLISH);
    replica.register(i(3));
    assert_eq!(replica.level(), BASE, "it registered without a level");
    let command = Command::Admit {
        key: 8,
        endpoint: String::new(),
    };
    let mut other = Replica::of_three();
    for node in 0..3 {
        other.says(i(node), LATEST);
    }
    assert!(other.run(command).0.is_ok());
    assert_eq!(other.level(), BASE, "it was admitted without a level");
}

#[test]
fn a_boot_that_was_registered_below_level_lives_has_its_life_registered_later() {
    let mut replica = Replica::of_three();
    let lives = |life| Command::Boot {
        instance: instance(boot(1, 1)),
        life,
        before: vec![],
    };
    replica.says(boot(1, 1), LATEST);
    replica.register(boot(1, 1));
    assert!(!replica.state.is_outlived(boot(1, 1), 5, &[]));
    replica.done(lives(5));
    let instance = boot(1, 1);
    assert_eq!(
        replica.run(lives(6)).0,
        Err(crate::command::Refusal::BootSeen { instance })
    );
}

#[test]
fn a_registration_without_a_life_forgets_the_life_of_before() {
    let mut replica = Replica::of_three();
    replica.done(Command::Boot {
        instance: instance(boot(1, 1)),
        life: 5,
        before: vec![],
    });
    replica.says(boot(1, 2), LATEST);
    replica.register(boot(1, 2));
    assert!(!replica.state.is_outlived(boot(1, 2), 6, &[5]));
}

#[test]
fn a_node_that_was_removed_holds_no_level_back() {
    let mut replica = Replica::of_three();
    replica.says(i(0), LATEST);
    replica.says(i(1), LATEST);
    assert_eq!(replica.level(), BASE);
    replica.done(Command::Remove { node: NodeId(2) });
    assert_eq!(replica.level(), LATEST);
}
