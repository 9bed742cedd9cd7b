//! Nodes of an earlier build are replaced one by one while a client publishes: nothing acknowledged is lost, and when
//! the last one is replaced, the cluster uses what the new build knows.

use vineyard_client::{PutBlob, PutObject};
use vineyard_raft::features;

use crate::content;
use crate::scenarios::{PATIENCE_MS, insist};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
/// Of an earlier build at the start; the last node is of the latest.
const OLDER: usize = 2;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form_of(NODES, OLDER, features::LIVES).await;
    let level = stage.cluster.board(NODES).borrow().feature_level;
    stage.demand(
        level <= features::LIVES,
        &format!("with nodes of before the level is not {level}"),
    );
    let mut names = vec!["all".to_owned()];
    publish_at(&stage, NODES, "all").await;
    for node in 1..=OLDER {
        stage.cluster.kill(node, true);
        let name = format!("without n{node}");
        publish_at(&stage, NODES, &name).await;
        names.push(name);
        stage.cluster.restart(node);
        stage.serves(node).await;
    }
    let risen = || {
        let at_latest = |node| stage.cluster.board(node).borrow().feature_level == features::LATEST;
        (1..=NODES).all(at_latest)
    };
    let risen = stage.until(PATIENCE_MS, risen).await;
    stage.demand(risen, "the level rises when the last node is replaced");
    publish_at(&stage, 1, "risen").await;
    names.push("risen".to_owned());
    for node in 1..=NODES {
        let (there, names) = (stage.clone(), names.clone());
        let read = stage.act("reader", async move {
            let client = there.client("reader", node).await;
            for name in names {
                let found = insist(|| client.get_name(&name)).await;
                let is_there = match &found {
                    Ok(id) => insist(|| client.get_metadata(*id)).await.is_ok(),
                    Err(_) => false,
                };
                there.demand(is_there, &format!("n{node} finds {name}: {found:?}"));
            }
            client.close().await;
        });
        read.await;
    }
}

/// Makes, persists and names an object in one request to `node`, until it is acknowledged.
async fn publish_at(stage: &Stage, node: usize, name: &str) {
    let (there, name) = (stage.clone(), name.to_owned());
    let made = stage.act("publisher", async move {
        let client = there.client("publisher", node).await;
        let (content, blobs) = content::tree_of(super::saying(&name));
        let made = insist(|| {
            client.put_object(PutObject {
                content: content.clone(),
                blobs: blobs.iter().map(|blob| PutBlob::Bytes(blob)).collect(),
                persist: true,
                name: Some(name.clone()),
            })
        });
        let made = made.await;
        there.demand(made.is_ok(), &format!("{name} is published: {made:?}"));
        client.close().await;
    });
    made.await;
}
