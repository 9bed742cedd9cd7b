//! The group as a whole: real nodes of it over streams in memory, under a stopped clock.
#![allow(clippy::disallowed_methods, reason = "tests")]

#[path = "cluster/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;
use vineyard_raft::command::{Applied, Command, Condition, Refusal};
use vineyard_raft::state::objects::Record;
use vineyard_raft::{Error, Meta, Options, Update};
use vineyard_wire::{InstanceId, NodeId, ObjectId, Signature};

use world::{CLUSTER, WAIT, World, until};

const OBJECT: ObjectId = ObjectId(1);

/// Runs a test with the clock stopped.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// The boot that speaks: the one that registered last, if any did.
fn instance(meta: &Meta) -> InstanceId {
    let me = meta.status().me;
    meta.state()
        .current_instance_of(me)
        .map_or(InstanceId::new(me, 0), |boot| boot.id)
}

fn object(attributes: BTreeMap<String, String>) -> Command {
    let record = Record {
        id: OBJECT,
        signature: Signature(1),
        instance: InstanceId(0),
        typename: "test".to_owned(),
        global: false,
        timestamp_ms: 0,
        attributes,
        members: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    Command::Persist {
        records: vec![record],
        blobs: Vec::new(),
    }
}

fn name_once(name: &str) -> Command {
    Command::PutName {
        name: name.to_owned(),
        id: OBJECT,
        condition: Condition::IfAbsent,
    }
}

async fn put(meta: &Meta, name: &str) -> Result<Applied, Error> {
    meta.submit(instance(meta), name_once(name), WAIT).await
}

/// Three voters, one object.
async fn three(world: &World, options: &Options) -> [Meta; 3] {
    let first = world.found(options).await;
    first
        .submit(instance(&first), object(BTreeMap::new()), WAIT)
        .await
        .unwrap();
    let second = world.join(&first, options).await;
    let third = world.join(&second, options).await;
    let nodes = [first, second, third];
    until("three voters everywhere", || {
        nodes.iter().all(|n| n.status().voters.len() == 3)
    })
    .await;
    nodes
}

fn leader_of(nodes: &[Meta]) -> usize {
    nodes
        .iter()
        .position(|node| node.status().is_leader)
        .expect("somebody leads")
}

#[test]
fn a_node_alone_founds_a_cluster_and_finds_it_again() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let node = world.found(&options).await;
        until("the cluster has its name", || {
            node.state().cluster() == Some(CLUSTER)
        })
        .await;
        node.submit(instance(&node), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        put(&node, "a").await.unwrap();
        assert_eq!(node.state().name("a"), Some(OBJECT));
        let digest = node.state().digest();
        world.crash(NodeId(0));
        let again = world.start(NodeId(0), &options, Some(CLUSTER)).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().name("a"), Some(OBJECT));
        assert!(again.status().applied_index > 0 && again.state().digest() != digest);
    });
}

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
fn a_newcomer_far_behind_gets_a_snapshot_and_is_told_so() {
    run(async {
        let world = World::default();
        let options = Options {
            snapshot_after_entries: 50,
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
            assert!(matches!(failed, Err(Error::Disk(_))), "{failed:?}");
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
            snapshot_after_entries: 40,
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
