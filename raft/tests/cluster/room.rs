//! A disk that is short of room: what would use it up is refused, all else goes on.

use std::collections::BTreeMap;

use vineyard_raft::command::Command;
use vineyard_raft::{Error, Options};

use crate::steps::{OBJECT, instance, leader_of, object, put, run, three};
use crate::world::{WAIT, World, until};

const SHORT_BYTES: u64 = 12 << 20;

#[test]
fn a_leader_that_is_short_of_room_refuses_what_grows_and_nothing_else() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        for node in &nodes {
            world.boot(node.status().me).await.unwrap();
        }
        until("the level is known", || {
            let level = vineyard_raft::features::LATEST;
            nodes.iter().all(|node| node.feature_level() == level)
        })
        .await;
        let leader = &nodes[leader_of(&nodes)];
        leader
            .submit(instance(leader), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        put(leader, "a").await.unwrap();
        let disk = world.disk(leader.status().me);
        disk.leave(Some(SHORT_BYTES));
        until("it is known", || leader.status().shortage.is_some()).await;
        for node in &nodes {
            let refused = put(node, "b").await.unwrap_err();
            assert!(matches!(refused, Error::NoRoom { .. }), "{refused:?}");
            let me = leader.status().me;
            assert_eq!(
                refused.to_string(),
                format!(
                    "the disk of the leading node {me} is short of room: 12 MiB free, 64 MiB kept back on the file \
                     system of the data directory; free some, nothing else is needed"
                )
            );
            node.confirm(WAIT).await.unwrap();
            assert_eq!(node.state().name("a"), Some(OBJECT));
        }
        let drop_name = Command::DropName { name: "a".into() };
        let follower = &nodes[(leader_of(&nodes) + 1) % 3];
        follower
            .submit(instance(follower), drop_name, WAIT)
            .await
            .unwrap();
        disk.leave(None);
        until("there is room", || leader.status().shortage.is_none()).await;
        put(follower, "b").await.unwrap();
    });
}

#[test]
fn a_follower_that_is_short_of_room_says_so_and_refuses_nothing() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let follower = &nodes[(leader_of(&nodes) + 1) % 3];
        world.disk(follower.status().me).leave(Some(SHORT_BYTES));
        until("it is known", || follower.status().shortage.is_some()).await;
        follower
            .submit(instance(follower), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        put(follower, "a").await.unwrap();
        assert_eq!(follower.state().name("a"), Some(OBJECT));
    });
}
