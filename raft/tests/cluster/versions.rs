//! A node that meets what a newer build wrote.

use vineyard_raft::command::VERSION;
use vineyard_raft::{Error, Options};
use vineyard_wire::NodeId;

use crate::steps::{OBJECT, instance, leader_of, name_once, put, run, three};
use crate::world::{WAIT, World};

const NEWER: Error = Error::Newer {
    version: VERSION + 1,
    understood: VERSION,
};

#[test]
fn an_entry_of_a_newer_version_stops_the_replica_before_it() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        put(&nodes[0], "old").await.unwrap();
        put(&nodes[0], "new").await.unwrap();
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
        }
        for node in &nodes {
            world.crash(node.status().me);
        }
        // As if two of the three had been upgraded: this one has the entry, and cannot know what it means.
        let index = world.last_command(NodeId(2));
        world.set_version(NodeId(2), index, VERSION + 1);
        let mut again = Vec::new();
        for number in 0..3 {
            again.push(world.start(NodeId(number), &options, None).await);
        }
        again[0].confirm(WAIT).await.unwrap();
        let leader = &again[leader_of(&again)];
        world.register(leader.status().me).await.unwrap();
        put(leader, "later").await.unwrap();
        let old = &again[2];
        assert_eq!(old.confirm(WAIT).await, Err(NEWER));
        assert_eq!(
            old.submit(instance(old), name_once("mine"), WAIT).await,
            Err(NEWER)
        );
        assert_eq!(old.applied(index).await, Err(NEWER));
        let state = old.state();
        assert_eq!(
            state.applied(),
            index - 1,
            "nothing from there on is applied"
        );
        assert_eq!((state.name("old"), state.name("new")), (Some(OBJECT), None));
        assert_eq!(state.name("later"), None);
        assert!(!old.status().is_leader);

        // A build that knows the entry goes on where this one stopped.
        world.crash(NodeId(2));
        world.set_version(NodeId(2), index, VERSION);
        let upgraded = world.start(NodeId(2), &options, None).await;
        upgraded.confirm(WAIT).await.unwrap();
        assert_eq!(upgraded.state().name("new"), Some(OBJECT));
        assert_eq!(upgraded.state().name("later"), Some(OBJECT));
    });
}
