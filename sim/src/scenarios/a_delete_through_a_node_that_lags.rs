//! An object becomes persistent while a node is cut off; healed, but before it has caught up, that node is asked to
//! delete it. A delete that is acknowledged has deleted: the node may not ignore an id because it has not heard of it
//! yet.

use vineyard_client::DeleteOptions;

use crate::cluster::ip;
use crate::scenarios::{insist, saying};
use crate::stage::{Outcome, Settings, Stage, run};

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let leads = stage
        .until(super::PATIENCE_MS, || stage.cluster.leader().is_some())
        .await;
    stage.demand(leads, "somebody leads");
    let Some(leader) = stage.cluster.leader() else {
        return;
    };
    let lags = leader % 3 + 1;
    for other in (1..=3).filter(|other| *other != lags) {
        stage.world.net.cut(&ip(other), &ip(lags));
    }
    let there = stage.clone();
    let made = stage.act("maker", async move {
        let client = there.client("maker", leader).await;
        let id = client.put(saying("short-lived")).await?.id;
        insist(|| client.persist(id)).await.map(|()| id)
    });
    let Some(Ok(id)) = made.await else {
        return stage.demand(false, "the object is made");
    };
    stage.world.net.heal();
    let there = stage.clone();
    let deleted = stage.act("deleter", async move {
        let client = there.client("deleter", lags).await;
        client.delete(&[id], DeleteOptions::default()).await.is_ok()
    });
    let deleted = deleted.await == Some(true);
    let there = stage.clone();
    let exists = stage.act("reader", async move {
        let client = there.client("reader", leader).await;
        insist(|| client.exists(id)).await
    });
    match exists.await {
        Some(Ok(exists)) => stage.demand(!(deleted && exists), "what was deleted is gone"),
        other => stage.demand(false, &format!("the leader answers: {other:?}")),
    }
}
