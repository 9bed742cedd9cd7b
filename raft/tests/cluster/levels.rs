//! Clusters of which some nodes know less than others.

use std::collections::BTreeMap;

use vineyard_raft::command::{Applied, Command, Condition};
use vineyard_raft::features::{BASE, LATEST, PUBLISH};
use vineyard_raft::{Error, Meta, Options, Registered};
use vineyard_wire::NodeId;

use crate::steps::{OBJECT, instance, object, run, three};
use crate::world::{WAIT, World, until};

fn lowered() -> Options {
    Options {
        feature_level: BASE,
        ..Options::default()
    }
}

fn publish(name: &str) -> Command {
    let Command::Persist { records, blobs } = object(BTreeMap::new()) else {
        unreachable!("an object is made by a persist");
    };
    Command::Publish {
        records,
        blobs,
        name: name.to_owned(),
        id: OBJECT,
        condition: Condition::IfAbsent,
    }
}

async fn publishes(meta: &Meta, name: &str) -> Result<Applied, Error> {
    meta.submit(instance(meta), publish(name), WAIT).await
}

#[test]
fn what_a_member_does_not_know_is_not_proposed_and_is_once_it_is_replaced() {
    run(async {
        let (world, options) = (World::default(), Options::default());
        let mut nodes = three(&world, &options).await;
        for node in &nodes {
            world.boot(node.status().me).await.unwrap();
        }
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
            publishes(node, &format!("first {}", node.status().me))
                .await
                .unwrap();
        }
        let last = NodeId(2);
        world.crash(last);
        nodes[2] = world.start(last, &lowered(), None).await;
        assert_eq!(world.boot(last).await, Ok(Registered::WithoutLife));
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
            let refused = Err(Error::FeatureLevel {
                needed: PUBLISH,
                level: BASE,
            });
            assert_eq!(publishes(node, "second").await, refused);
        }
        // Registered while the cluster's level is low, so without its life.
        world.crash(NodeId(1));
        nodes[1] = world.start(NodeId(1), &options, None).await;
        assert_eq!(world.boot(NodeId(1)).await, Ok(Registered::WithoutLife));

        world.crash(last);
        nodes[2] = world.start(last, &options, None).await;
        world.boot(last).await.unwrap();
        nodes[1].level_reached(LATEST).await;
        assert_eq!(world.boot(NodeId(1)).await, Ok(Registered::WithLife));
        for node in &nodes {
            node.confirm(WAIT).await.unwrap();
            publishes(node, &format!("third {}", node.status().me))
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_cluster_that_a_lowered_node_founds_has_only_what_it_knows() {
    run(async {
        let world = World::default();
        let first = world.found(&lowered()).await;
        assert_eq!(world.boot(NodeId(0)).await, Ok(Registered::WithoutLife));
        let second = world.join(&first, &Options::default()).await;
        until("the second node knows the cluster", || {
            second.state().cluster().is_some()
        })
        .await;
        assert_eq!(world.boot(NodeId(1)).await, Ok(Registered::WithoutLife));
        assert_eq!(second.feature_level(), BASE);
        assert_eq!(second.status().leader, Some(NodeId(0)));
    });
}

#[test]
fn a_node_that_knows_less_than_the_cluster_is_not_admitted() {
    run(async {
        let world = World::default();
        let first = world.found(&Options::default()).await;
        assert_eq!(world.boot(NodeId(0)).await, Ok(Registered::WithLife));
        let second = world.join(&first, &Options::default()).await;
        assert_eq!(first.feature_level(), LATEST, "it said so when it joined");
        until("the second node knows the cluster", || {
            second.state().cluster().is_some()
        })
        .await;
        for node in [&first, &second] {
            let admitted = node.admit(7, "x:1".to_owned(), BASE, WAIT).await;
            let refused = Error::TooOld {
                cluster: LATEST,
                node: BASE,
            };
            assert_eq!(admitted, Err(refused));
        }
        assert_eq!(first.state().nodes().count(), 2);
    });
}
