//! The group as a whole: real nodes of it over streams in memory, under a stopped clock.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "cluster/bounds.rs"]
mod bounds;
#[path = "cluster/disk.rs"]
mod disk;
#[path = "cluster/levels.rs"]
mod levels;
#[path = "cluster/membership.rs"]
mod membership;
#[path = "cluster/pace.rs"]
mod pace;
#[path = "cluster/recovery.rs"]
mod recovery;
#[path = "cluster/room.rs"]
mod room;
#[path = "cluster/snapshots.rs"]
mod snapshots;
#[path = "cluster/steps.rs"]
mod steps;
#[path = "cluster/unused.rs"]
mod unused;
#[path = "cluster/versions.rs"]
mod versions;
#[path = "cluster/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_raft::command::{Applied, Command, Refusal};
use vineyard_raft::{Error, Options};
use vineyard_wire::NodeId;

use steps::{OBJECT, instance, leader_of, name_once, object, put, run, three};
use world::{CLUSTER, WAIT, World, until};

#[test]
fn a_node_alone_founds_a_cluster_and_finds_it_again() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let node = world.found_again(&options).await;
        let state = node.state();
        assert_eq!(state.cluster(), Some(CLUSTER), "named before it serves");
        assert!(state.node_of_key(1000).is_some(), "and its first member");
        node.submit(instance(&node), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        put(&node, "a").await.unwrap();
        assert_eq!(node.state().name("a"), Some(OBJECT));
        let digest = node.state().digest();
        world.crash(NodeId(0));
        let again = world.found_again(&options).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().name("a"), Some(OBJECT));
        assert!(again.status().applied_index > 0 && again.state().digest() != digest);
    });
}

#[test]
fn a_write_on_a_follower_is_seen_there_at_once_and_elsewhere_after_a_confirm() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        for (number, node) in nodes.iter().cycle().take(30).enumerate() {
            let name = format!("name {number}");
            put(node, &name).await.unwrap();
            assert_eq!(node.state().name(&name), Some(OBJECT));
            let other = &nodes[(number + 1) % 3];
            other.confirm(WAIT).await.unwrap();
            assert_eq!(other.state().name(&name), Some(OBJECT));
        }
        let again = put(&nodes[2], "name 0").await;
        let taken = Refusal::NameTaken {
            name: "name 0".to_owned(),
            id: OBJECT,
        };
        assert_eq!(again, Err(Error::Refused(taken)));
    });
}

#[test]
fn the_leader_dies_and_the_next_write_is_acknowledged_within_two_seconds() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let mut nodes = three(&world, &options).await.to_vec();
        put(&nodes[1], "before").await.unwrap();
        for round in 0..5 {
            let dead = nodes[leader_of(&nodes)].status().me;
            world.crash(dead);
            let alive: Vec<_> = nodes
                .iter()
                .filter(|n| n.status().me != dead)
                .cloned()
                .collect();
            let began = Instant::now();
            put(&alive[0], &format!("after {round}")).await.unwrap();
            assert!(
                began.elapsed() < Duration::from_secs(2),
                "{:?}",
                began.elapsed()
            );
            assert_eq!(alive[0].state().name("before"), Some(OBJECT));
            let back = world.start(dead, &options, None).await;
            until("somebody leads", || {
                alive.iter().any(|n| n.status().is_leader)
            })
            .await;
            world.register(dead).await.unwrap();
            back.confirm(WAIT).await.unwrap();
            assert_eq!(back.state().name(&format!("after {round}")), Some(OBJECT));
            nodes = alive.into_iter().chain([back]).collect();
        }
        until("all have applied all", || {
            let first = nodes[0].state();
            nodes.iter().all(|n| n.state().digest() == first.digest())
        })
        .await;
    });
}

#[test]
fn a_command_retried_across_leaders_takes_effect_once() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let writer = nodes[(leader + 1) % 3].clone();
        let mut tasks = Vec::new();
        for number in 0..200u64 {
            let writer = writer.clone();
            tasks.push(tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_micros(50 * number)).await;
                put(&writer, &format!("once {number}")).await
            }));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.crash(nodes[leader].status().me);
        for (number, task) in tasks.into_iter().enumerate() {
            // Applied twice, the second would be told that the name is taken.
            assert_eq!(task.await.unwrap(), Ok(Applied::Done), "name {number}");
        }
    });
}

#[test]
fn a_leader_that_is_cut_off_confirms_nothing_and_says_what_it_waited_for() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let [old, b, c] = [
            &nodes[leader],
            &nodes[(leader + 1) % 3],
            &nodes[(leader + 2) % 3],
        ];
        world.cut(old.status().me, b.status().me);
        world.cut(old.status().me, c.status().me);
        put(b, "new").await.unwrap();
        let began = Instant::now();
        let refused = old.confirm(Duration::from_secs(3)).await.unwrap_err();
        assert!(matches!(&refused, Error::Deadline { waited_for, .. } if !waited_for.is_empty()));
        let refused = old
            .submit(instance(old), name_once("lost"), Duration::from_secs(2))
            .await;
        assert!(
            matches!(refused, Err(Error::Deadline { .. })),
            "{refused:?}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(old.state().name("new"), None);
        c.confirm(WAIT).await.unwrap();
        assert_eq!(c.state().name("new"), Some(OBJECT));
        world.heal();
        old.confirm(WAIT).await.unwrap();
        assert_eq!(old.state().name("new"), Some(OBJECT));
    });
}

#[test]
fn a_request_asked_again_after_its_deadline_takes_effect_once() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let asker = &nodes[leader];
        let request = asker.request(instance(asker));
        let command = Arc::new(name_once("a"));
        let hold = |holds| {
            let others = nodes.iter().filter(|node| !node.status().is_leader);
            others.for_each(|node| world.hold_disk(node.status().me, holds));
        };
        hold(true);
        let short = Duration::from_millis(200);
        let late = asker.submit_as(&request, command.clone(), short).await;
        assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
        hold(false);
        until("it took effect", || asker.state().name("a").is_some()).await;
        for number in 0..10 {
            // Answered requests are forgotten, but not while one before them may be asked about again.
            put(asker, &format!("later {number}")).await.unwrap();
        }
        let name = "a".to_owned();
        let undo = asker.submit(instance(asker), Command::DropName { name }, WAIT);
        undo.await.unwrap();
        let again = asker.submit_as(&request, command.clone(), WAIT).await;
        assert_eq!((again, asker.state().name("a")), (Ok(Applied::Done), None));
    });
}

#[test]
fn entries_of_many_megabytes_reach_every_member() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let writer = &nodes[(leader + 1) % 3];
        for number in 0..3 {
            let large = format!("{:?}", "x".repeat(20 << 20));
            let attributes = BTreeMap::from([(format!("large {number}"), large)]);
            let command = Command::SetAttributes {
                id: OBJECT,
                attributes,
            };
            writer
                .submit(instance(writer), command, Duration::from_secs(60))
                .await
                .unwrap();
        }
        for node in &nodes {
            node.confirm(Duration::from_secs(60)).await.unwrap();
            assert_eq!(node.state().object(OBJECT).unwrap().attributes.len(), 3);
        }
        let attributes = BTreeMap::from([("larger".to_owned(), "x".repeat(33 << 20))]);
        let refused = writer.submit(
            instance(writer),
            Command::SetAttributes {
                id: OBJECT,
                attributes,
            },
            WAIT,
        );
        assert!(matches!(refused.await, Err(Error::TooLarge { .. })));
    });
}

#[test]
fn a_disk_that_fails_acknowledges_nothing_and_says_so() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let node = world.found(&options).await;
        node.submit(instance(&node), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        world.break_disk(NodeId(0));
        let began = Instant::now();
        for name in ["a", "b"] {
            let failed = put(&node, name).await;
            // In the words of the disk alone.
            let reason = io::Error::from_raw_os_error(5).to_string();
            assert_eq!(failed, Err(Error::Disk(reason)));
        }
        let failed = node.confirm(WAIT).await;
        assert!(matches!(failed, Err(Error::Disk(_))), "{failed:?}");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        assert!(!node.status().is_leader);
        world.crash(NodeId(0));
        world.mend_disk(NodeId(0));
        let again = world.start(NodeId(0), &options, None).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().name("a"), None);
        world.register(NodeId(0)).await.unwrap();
        put(&again, "c").await.unwrap();
        assert_eq!(again.state().name("c"), Some(OBJECT));
    });
}

#[test]
fn a_leader_whose_disk_fails_is_replaced() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let (b, c) = (&nodes[(leader + 1) % 3], &nodes[(leader + 2) % 3]);
        world.break_disk(nodes[leader].status().me);
        let began = Instant::now();
        put(b, "a").await.unwrap();
        put(c, "b").await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        assert!(put(&nodes[leader], "c").await.is_err());
    });
}

#[test]
fn everything_acknowledged_is_there_after_all_members_crashed() {
    run(async {
        let world = World::default();
        let options = Options {
            snapshot_after_entries: Some(40),
            entries_kept: 5,
            ..Options::default()
        };
        let nodes = three(&world, &options).await;
        for number in 0..100 {
            put(&nodes[number % 3], &format!("name {number}"))
                .await
                .unwrap();
        }
        for node in &nodes {
            world.crash(node.status().me);
        }
        let mut again = Vec::new();
        for number in 0..3 {
            again.push(world.start(NodeId(number), &options, None).await);
        }
        for node in &again {
            node.confirm(WAIT).await.unwrap();
            let state = node.state();
            let missing: Vec<_> = (0..100)
                .filter(|n| state.name(&format!("name {n}")).is_none())
                .collect();
            assert_eq!(missing, [0; 0]);
            assert_eq!(node.status().voters.len(), 3);
        }
        world.register(NodeId(1)).await.unwrap();
        put(&again[1], "and on").await.unwrap();
    });
}

#[test]
fn a_stopped_node_answers_that_it_has_stopped() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let node = world.found(&options).await;
        node.confirm(WAIT).await.unwrap();
        let mut feed = node.subscribe();
        node.stop().await;
        assert_eq!(node.confirm(WAIT).await, Err(Error::Stopped));
        assert_eq!(put(&node, "a").await, Err(Error::Stopped));
        assert_eq!(node.applied(1_000_000).await, Err(Error::Stopped));
        while feed.next().await.is_some() {}
        assert!(node.subscribe().next().await.is_none());
    });
}
