//! The group's times are in proportion to the round trip that is set.

use std::time::Duration;

use tokio::time::Instant;
use vineyard_raft::command::Command;
use vineyard_raft::state::Settings;
use vineyard_raft::{Meta, Options, ROUND_TRIP_MS};
use vineyard_wire::NodeId;

use crate::steps::{instance, leader_of, put, run, three};
use crate::world::{WAIT, World, until};

const TIMES: u64 = 6;

async fn set_round_trip(node: &Meta) {
    let settings = Settings {
        round_trip_ms: Some(TIMES * ROUND_TRIP_MS),
        ..Settings::default()
    };
    let command = Command::Configure {
        settings,
        if_unset: false,
    };
    node.submit(instance(node), command, WAIT).await.unwrap();
}

async fn booted(world: &World, options: &Options) -> Vec<Meta> {
    let nodes = three(world, options).await.to_vec();
    for node in &nodes {
        world.boot(node.status().me).await.unwrap();
    }
    nodes
}

/// For how long the others have no leader after the present one has crashed.
async fn gap(world: &World, nodes: &mut Vec<Meta>) -> Duration {
    let leader = nodes.swap_remove(leader_of(nodes));
    world.crash(leader.status().me);
    let began = Instant::now();
    while !nodes.iter().any(|node| node.status().is_leader) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[test]
fn an_election_and_the_word_of_a_lost_majority_take_as_long_as_the_round_trip_asks() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let mut nodes = booted(&world, &options).await;
        let election_min = Duration::from_millis(options.election_ms_min);
        set_round_trip(&nodes[1]).await;
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
            assert_eq!(node.state().round_trip_ms(), TIMES * ROUND_TRIP_MS);
        }
        let term = nodes[0].status().term;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(nodes[0].status().term, term, "the change costs no election");
        let took = gap(&world, &mut nodes).await;
        assert!(took >= 6 * election_min, "{took:?}");
        assert!(took <= 20 * election_min + 10 * election_min, "{took:?}");
        world.crash(nodes.swap_remove(1 - leader_of(&nodes)).status().me);
        let began = Instant::now();
        until("the last one says that it is alone", || {
            !nodes[0].status().has_quorum
        })
        .await;
        let said = began.elapsed();
        let usual = 2 * Duration::from_millis(options.election_ms_max);
        assert!(said > 2 * usual && said <= 6 * usual, "{said:?}");
    });
}

#[test]
fn a_restart_goes_on_at_the_pace_that_was_set_before_it_hears_a_leader() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let nodes = booted(&world, &options).await;
        set_round_trip(&nodes[0]).await;
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
        }
        for node in 0..3 {
            world.crash(NodeId(node));
        }
        let alone = world.start(NodeId(1), &options, None).await;
        until("it has read its log", || {
            world.second(NodeId(1)) == Duration::from_secs(TIMES)
        })
        .await;
        assert_eq!(alone.status().leader_now(), None);
        let again = world.start(NodeId(2), &options, None).await;
        put(&again, "afterwards").await.unwrap();
    });
}
