//! The disks of a majority fail to sync: no persist and no name is ever acknowledged, until they are replaced.

use crate::disk::Health;
use crate::scenarios::{insist, publish, saying};
use crate::stage::{Outcome, Settings, Stage, run};

const TRIES: usize = 3;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let there = stage.clone();
    let before = stage.act("before", async move {
        let client = there.client("before", 1).await;
        insist(|| publish(&client, "before")).await
    });
    let Some(Ok(id)) = before.await else {
        return stage.demand(false, "publishing is answered while the disks are well");
    };
    for node in 1..=3 {
        let failing = Health {
            fails_per_mille: 1000,
            ..Health::GOOD
        };
        stage.cluster.machine(node).platter.set_health(failing);
    }
    for node in 1..=3 {
        let there = stage.clone();
        let tried = stage.act("during", async move {
            for attempt in 0..TRIES {
                let client = there.client("during", node).await;
                let Ok(created) = client.put(saying("during")).await else {
                    continue;
                };
                let persisted = client.persist(created.id).await;
                there.demand(
                    persisted.is_err(),
                    &format!("n{node}: no persist, try {attempt}"),
                );
                let client = there.client("during", node).await;
                let named = client.put_name(id, "during").await;
                there.demand(named.is_err(), &format!("n{node}: no name, try {attempt}"));
            }
        });
        tried.await;
    }
    for node in 1..=3 {
        stage.cluster.kill(node, true);
        stage.cluster.machine(node).platter.set_health(Health::GOOD);
        stage.cluster.restart(node);
    }
    let there = stage.clone();
    let after = stage.act("after", async move {
        let client = there.client("after", 2).await;
        insist(|| client.get_name("before")).await.ok()
    });
    stage.demand(
        after.await.flatten() == Some(id),
        "with new disks the cluster goes on",
    );
}
