//! Who takes part: joining, promotion, moving, catching up.

use std::collections::BTreeMap;

use vineyard_raft::command::Command;
use vineyard_raft::{Options, Update};
use vineyard_wire::NodeId;

use crate::steps::{OBJECT, instance, leader_of, object, put, run, three};
use crate::world::{WAIT, World, until};

#[test]
fn two_nodes_are_a_voter_and_a_learner_and_three_are_voters() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let first = world.found(&options).await;
        let second = world.join(&first, &options).await;
        until("a learner", || second.status().learners == [NodeId(1)]).await;
        tokio::time::sleep(WAIT).await;
        assert_eq!(
            second.status().voters,
            [NodeId(0)],
            "two voters would tolerate nothing"
        );
        let third = world.join(&second, &options).await;
        until("three voters", || third.status().voters.len() == 3).await;
        assert!(third.status().learners.is_empty());
        // A fourth waits for a fifth.
        let fourth = world.join(&third, &options).await;
        tokio::time::sleep(WAIT).await;
        assert_eq!(fourth.status().voters.len(), 3);
        let fifth = world.join(&fourth, &options).await;
        until("five voters", || fifth.status().voters.len() == 5).await;
        world.join(&fifth, &options).await;
        tokio::time::sleep(WAIT).await;
        assert_eq!(fifth.status().voters.len(), 5);
    });
}

#[test]
fn learners_that_died_are_not_made_voters() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let first = world.found(&options).await;
        let second = world.join(&first, &options).await;
        until("a learner", || second.status().learners == [NodeId(1)]).await;
        first
            .submit(instance(&first), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        world.crash(NodeId(1));
        tokio::time::sleep(WAIT).await;
        world.join(&first, &options).await;
        tokio::time::sleep(WAIT).await;
        assert_eq!(first.status().voters, [NodeId(0)]);
        put(&first, "still writable").await.unwrap();
        assert!(first.status().silent_ms[&NodeId(1)] > 5000);
        assert!(first.status().silent_ms[&NodeId(2)] < 500);
    });
}

#[test]
fn a_member_that_listens_elsewhere_after_a_restart_is_found_again() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let moved = nodes[(leader_of(&nodes) + 1) % 3].status().me;
        world.crash(moved);
        world.moves(moved);
        put(&nodes[leader_of(&nodes)], "meanwhile").await.unwrap();
        let back = world.start(moved, &options, None).await;
        world.register(moved).await.unwrap();
        back.confirm(WAIT).await.unwrap();
        assert_eq!(back.state().name("meanwhile"), Some(OBJECT));
    });
}

#[test]
fn members_that_all_moved_find_each_other_through_one_that_did_not() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let (stays, moved) = ((leader + 1) % 3, [leader, (leader + 2) % 3]);
        let mut again = Vec::new();
        for node in moved {
            let node = nodes[node].status().me;
            world.crash(node);
            world.moves(node);
            again.push(world.start(node, &options, None).await);
            world.register(node).await.unwrap();
        }
        put(&nodes[stays], "found").await.unwrap();
        for node in &again {
            node.confirm(WAIT).await.unwrap();
            assert_eq!(node.state().name("found"), Some(OBJECT));
        }
    });
}

#[test]
fn a_newcomer_far_behind_gets_a_snapshot_and_is_told_so() {
    run(async {
        let world = World::default();
        let options = Options {
            snapshot_after_entries: Some(50),
            entries_kept: 5,
            ..Options::default()
        };
        let first = world.found(&options).await;
        let filler = BTreeMap::from([("filler".to_owned(), format!("{:?}", "x".repeat(3 << 20)))]);
        first
            .submit(instance(&first), object(filler), WAIT)
            .await
            .unwrap();
        for number in 0..200 {
            put(&first, &format!("name {number}")).await.unwrap();
        }
        let second = world.join(&first, &options).await;
        let mut feed = second.subscribe();
        put(&first, "last").await.unwrap();
        second.confirm(WAIT).await.unwrap();
        assert_eq!(second.state().digest(), first.state().digest());
        assert!(matches!(feed.next().await, Some(Update::Reset { index }) if index > 100));
        // Restarted, it has it from its own disk.
        world.crash(NodeId(1));
        let again = world.start(NodeId(1), &options, None).await;
        assert_eq!(again.state().name("name 99"), Some(OBJECT));
    });
}

#[test]
fn a_log_of_few_large_entries_is_compacted_by_its_bytes() {
    run(async {
        let world = World::default();
        let options = Options {
            snapshot_bytes_min: 1 << 20,
            log_bytes_max: 1 << 20,
            ..Options::default()
        };
        let nodes = three(&world, &options).await;
        for number in 0..40 {
            let large = format!("{:?}", "x".repeat(200 << 10));
            let attributes = BTreeMap::from([("large".to_owned(), large)]);
            let command = Command::SetAttributes {
                id: OBJECT,
                attributes,
            };
            let writer = &nodes[number % 3];
            writer
                .submit(instance(writer), command, WAIT)
                .await
                .unwrap();
        }
        until("every log is small", || {
            (0..3).all(|node| world.log_bytes(NodeId(node)) <= 1 << 20)
        })
        .await;
        // What the log no longer has is in the snapshot.
        let follower = nodes[(leader_of(&nodes) + 1) % 3].status().me;
        world.crash(follower);
        let again = world.start(follower, &options, None).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().object(OBJECT).unwrap().attributes.len(), 1);
    });
}
