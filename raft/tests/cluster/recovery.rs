//! A cluster that lost its majority for ever goes on from the node that is left.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use vineyard_raft::{Error, Meta, Options, Survey};
use vineyard_wire::NodeId;

use crate::disk::put_epoch;
use crate::steps::{OBJECT, leader_of, put, run, three};
use crate::world::{WAIT, World, until};

const FIRST: NodeId = NodeId(0);
const OTHERS: [NodeId; 2] = [NodeId(1), NodeId(2)];

async fn recover(meta: &Meta) -> Result<Survey, Error> {
    meta.recover(2, vec![put_epoch(2)], WAIT).await
}

/// The node that is left of three, once it knows.
async fn survivor(world: &World, options: &Options) -> Meta {
    let [survivor, ..] = three(world, options).await;
    put(&survivor, "kept").await.unwrap();
    for node in OTHERS {
        world.crash(node);
    }
    until("no quorum", || !survivor.status().has_quorum).await;
    survivor
}

async fn grows_to_three(world: &World, options: &Options, survivor: &Meta) {
    let next = world.join(survivor, options).await;
    let last = world.join(&next, options).await;
    until("three voters", || last.status().voters.len() == 3).await;
    put(&last, "of three").await.unwrap();
    survivor.confirm(WAIT).await.unwrap();
    assert_eq!(survivor.state().name("of three"), Some(OBJECT));
}

#[test]
fn the_node_that_is_left_goes_on_and_takes_new_ones() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let survivor = survivor(&world, &options).await;
        let survey = recover(&survivor).await.unwrap();
        let others = survey.state.nodes().map(|node| node.id);
        assert_eq!(others.collect::<Vec<_>>(), [FIRST, OTHERS[0], OTHERS[1]]);
        assert_eq!(survivor.status().voters, [FIRST]);
        let state = survivor.state();
        assert_eq!(state.name("kept"), Some(OBJECT));
        assert!(OTHERS.iter().all(|node| state.is_removed(*node)));
        assert_eq!(world.disk(FIRST).epoch(), 2);
        put(&survivor, "after").await.unwrap();
        grows_to_three(&world, &options, &survivor).await;
        world.crash(FIRST);
        let again = world.start(FIRST, &options, None).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().name("after"), Some(OBJECT));
    });
}

#[test]
fn those_that_were_left_behind_keep_to_themselves() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let survivor = survivor(&world, &options).await;
        recover(&survivor).await.unwrap();
        put(&survivor, "after").await.unwrap();
        let mut old = Vec::new();
        for node in OTHERS {
            old.push(world.start(node, &options, None).await);
        }
        until("the old majority", || old[0].status().has_quorum).await;
        put(&old[1], "of the old").await.unwrap();
        tokio::time::sleep(WAIT).await;
        assert_eq!(survivor.status().voters, [FIRST]);
        assert_eq!(survivor.state().name("of the old"), None);
        assert_eq!(old[0].state().name("after"), None);
        grows_to_three(&world, &options, &survivor).await;
    });
}

#[test]
fn nothing_is_recovered_while_a_majority_answers() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let refused =
            |answer: Result<Survey, Error>| matches!(answer, Err(Error::NotRecoverable { .. }));
        assert!(refused(nodes[1].survey(WAIT).await));
        assert!(refused(recover(&nodes[1]).await));
        assert_eq!(world.disk(NodeId(1)).epoch(), 1);
        put(&nodes[1], "goes on").await.unwrap();
    });
}

#[test]
fn what_only_the_node_that_is_left_had_in_its_log_stays() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = three(&world, &options).await;
        let leader = leader_of(&nodes);
        for node in &nodes {
            let node = node.status().me;
            if node != nodes[leader].status().me {
                world.crash(node);
            }
        }
        let survivor = nodes[leader].clone();
        let writer = survivor.clone();
        let undecided = tokio::task::spawn_local(async move { put(&writer, "undecided").await });
        until("no quorum", || !survivor.status().has_quorum).await;
        let survey = recover(&survivor).await.unwrap();
        assert!(survey.last_index > survey.agreed_index);
        assert!(survey.written_unix_ms.is_some());
        assert_eq!(survey.state.name("undecided"), Some(OBJECT));
        assert_eq!(survivor.state().name("undecided"), Some(OBJECT));
        let answer = undecided.await.unwrap();
        assert!(matches!(answer, Err(Error::Deadline { .. })), "{answer:?}");
    });
}

#[test]
fn the_state_never_goes_back_and_survives_snapshots() {
    run(async {
        let options = Options {
            snapshot_after_entries: Some(20),
            entries_kept: 0,
            ..Options::default()
        };
        let world = World::default();
        let [survivor, ..] = three(&world, &options).await;
        for number in 0..50 {
            put(&survivor, &format!("name {number}")).await.unwrap();
        }
        for node in OTHERS {
            world.crash(node);
        }
        until("no quorum", || !survivor.status().has_quorum).await;
        let before = survivor.state().applied();
        let watching = survivor.clone();
        let lowest = tokio::task::spawn_local(async move {
            let mut lowest = u64::MAX;
            while watching.status().voters.len() != 1 {
                lowest = lowest.min(watching.state().applied());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            lowest
        });
        recover(&survivor).await.unwrap();
        assert!(lowest.await.unwrap() >= before);
        for number in 50..100 {
            put(&survivor, &format!("name {number}")).await.unwrap();
        }
        world.crash(FIRST);
        let again = world.start(FIRST, &options, None).await;
        again.confirm(WAIT).await.unwrap();
        assert_eq!(again.state().names().count(), 100);
        assert_eq!(again.status().voters, [FIRST]);
    });
}

#[test]
fn a_cut_at_any_write_leaves_the_cluster_of_before_or_the_new_one() {
    run(async {
        let mut epochs = Vec::new();
        for writes in 0..6 {
            let (world, options) = (World::default(), Options::default());
            let survivor = survivor(&world, &options).await;
            world.disk(FIRST).fail_after(writes);
            let recovering = tokio::time::timeout(WAIT, recover(&survivor)).await;
            let recovered = matches!(recovering, Ok(Ok(_)));
            world.crash(FIRST);
            world.mend_disk(FIRST);
            let epoch = world.disk(FIRST).epoch();
            let again = world.start(FIRST, &options, None).await;
            let voters = again.status().voters.len();
            match epoch {
                1 => {
                    assert!(!recovered, "told before it was durable");
                    assert_eq!(voters, 3, "cut after {writes} writes");
                    recover_again(&again).await;
                }
                _ => assert_eq!(voters, 1, "cut after {writes} writes"),
            }
            again.confirm(WAIT).await.unwrap();
            assert_eq!(again.state().name("kept"), Some(OBJECT));
            assert!(OTHERS.iter().all(|node| again.state().is_removed(*node)));
            epochs.push(epoch);
        }
        assert!(epochs.contains(&1) && epochs.contains(&2), "{epochs:?}");
    });
}

async fn recover_again(meta: &Meta) {
    let recovered = recover(meta).await;
    assert!(recovered.is_ok(), "{:?}", recovered.err());
}

#[test]
fn a_connection_of_before_is_not_served() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let survivor = survivor(&world, &options).await;
        world.start(OTHERS[0], &options, None).await;
        let mut kept = world.dial(OTHERS[0], FIRST).await;
        let mut late = world.dial(OTHERS[0], FIRST).await;
        recover(&survivor).await.unwrap();
        for stream in [&mut kept, &mut late] {
            let read = tokio::time::timeout(WAIT, stream.read_u8()).await;
            assert!(matches!(read, Ok(Err(_))), "it is closed");
        }
    });
}
