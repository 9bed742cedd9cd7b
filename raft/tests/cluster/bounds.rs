//! What a slow disk, a silent peer and many clients may cost, and what a leader that leaves does not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use vineyard_raft::command::{Applied, Command};
use vineyard_raft::{Error, Options};
use vineyard_wire::NodeId;

use crate::steps::{OBJECT, instance, leader_of, put, run, three};
use crate::world::{WAIT, World, until};

#[test]
fn a_disk_that_stands_still_holds_back_no_more_than_the_bound() {
    run(async {
        let (world, mut options) = (World::default(), Options::default());
        options.proposals_bytes_max = 4 << 20;
        let nodes = three(&world, &options).await;
        let leader = &nodes[leader_of(&nodes)];
        let me = leader.status().me;
        world.hold_disk(me, true);
        let term = leader.status().term;
        let text = format!("{:?}", "x".repeat(1 << 20));
        for number in 0..40 {
            let attributes = BTreeMap::from([(format!("a{number}"), text.clone())]);
            let command = Command::SetAttributes {
                id: OBJECT,
                attributes,
            };
            let submitted = leader.submit(instance(leader), command, Duration::from_millis(200));
            // The others are a majority, so it goes on until no permits are left.
            match submitted.await {
                Ok(Applied::Done) | Err(Error::Deadline { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(world.held_bytes(me) > 2 << 20, "the disk was needed");
        assert!(world.held_bytes(me) <= 5 << 20, "{}", world.held_bytes(me));
        assert_eq!(
            (leader.status().is_leader, leader.status().term),
            (true, term)
        );
        world.hold_disk(me, false);
        put(leader, "after").await.unwrap();
    });
}

#[test]
fn commands_whose_askers_left_keep_their_room_until_they_are_answered() {
    run(async {
        let (world, mut options) = (World::default(), Options::default());
        options.proposals_bytes_max = 4 << 20;
        let nodes = three(&world, &options).await;
        let asker = &nodes[(leader_of(&nodes) + 1) % 3];
        let me = asker.status().me;
        for node in &nodes {
            world.cut(me, node.status().me);
        }
        let text = format!("{:?}", "x".repeat(1 << 20));
        let large = |number: u32| Command::SetAttributes {
            id: OBJECT,
            attributes: BTreeMap::from([(format!("a{number}"), text.clone())]),
        };
        let began = Instant::now();
        for number in 0..40 {
            let submitted = asker.submit(instance(asker), large(number), WAIT);
            let left = tokio::time::timeout(Duration::from_millis(20), submitted).await;
            assert!(left.is_err(), "{left:?}");
        }
        let submitted = asker.submit(instance(asker), large(40), Duration::from_millis(500));
        let late = submitted.await.unwrap_err().to_string();
        assert!(late.contains("earlier requests of this node"), "{late}");
        // A read needs no permit.
        let confirmed = asker.confirm(Duration::from_millis(500)).await;
        let late = confirmed.unwrap_err().to_string();
        assert!(!late.contains("earlier requests"), "{late}");
        assert!(began.elapsed() < WAIT / 2, "{:?}", began.elapsed());
        world.heal();
        asker
            .submit(instance(asker), large(41), WAIT)
            .await
            .unwrap();
        tokio::time::sleep(WAIT).await;
        // Of the forty, three had permits. A caller that leaves may have asked for nothing.
        let taken = asker.state().object(OBJECT).unwrap().attributes.len();
        assert!((1..=4).contains(&taken), "{taken}");
    });
}

#[test]
fn a_crowd_of_requests_costs_no_election_and_all_are_answered() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        let term = nodes[leader].status().term;
        let mut tasks = Vec::new();
        for number in 0..6000 {
            let node = nodes[number % 3].clone();
            tasks.push(tokio::task::spawn_local(async move {
                put(&node, &format!("n{number}")).await
            }));
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(Applied::Done));
        }
        let status = nodes[leader].status();
        assert_eq!((status.is_leader, status.term), (true, term));
    });
}

#[test]
fn a_connection_that_asks_nothing_is_closed_and_the_group_goes_on() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let mut silent = world.dial(NodeId(1), NodeId(0)).await;
        let began = Instant::now();
        let read = tokio::time::timeout(WAIT * 2, silent.read_u8()).await;
        assert!(read.expect("it is closed").is_err());
        assert!(
            began.elapsed() > Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        let term = nodes[0].status().term;
        for node in &nodes {
            put(node, &format!("after {}", node.status().me))
                .await
                .unwrap();
        }
        assert_eq!(nodes[0].status().term, term);
    });
}

#[test]
fn a_leader_that_stops_hands_over_sooner_than_an_election_begins() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let mut nodes = three(&world, &options).await.to_vec();
        let election_min = Duration::from_millis(options.election_ms_min);
        for round in 0..5 {
            put(&nodes[0], &format!("before {round}")).await.unwrap();
            let leaving = nodes.swap_remove(leader_of(&nodes));
            let began = Instant::now();
            let stopping = leaving.stop();
            let stopping = async {
                stopping.await;
                began.elapsed()
            };
            let taken_over = async {
                while !nodes.iter().any(|node| node.status().is_leader) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                began.elapsed()
            };
            let (stopped, led) = tokio::join!(stopping, taken_over);
            assert!(led < election_min, "another led after {led:?}");
            assert!(stopped < election_min, "it left after {stopped:?}");
            put(&nodes[0], &format!("after {round}")).await.unwrap();
            let acknowledged = began.elapsed();
            assert!(
                acknowledged < election_min,
                "written after {acknowledged:?}"
            );
            let me = leaving.status().me;
            world.crash(me);
            nodes.push(world.start(me, &options, None).await);
            world.register(me).await.unwrap();
        }
    });
}

#[test]
fn a_leader_without_a_successor_stops_soon() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        for node in nodes.iter().filter(|node| !node.status().is_leader) {
            world.crash(node.status().me);
        }
        // At once, while it still believes that they answer; and later.
        let began = Instant::now();
        nodes[leader].stop().await;
        let took = began.elapsed();
        assert!(
            took <= Duration::from_millis(options.election_ms_min + 100),
            "{took:?}"
        );
        let alone = World::default();
        let node = alone.found(&options).await;
        until("it leads", || node.status().is_leader).await;
        let began = Instant::now();
        node.stop().await;
        assert!(began.elapsed() < Duration::from_millis(100));
    });
}
