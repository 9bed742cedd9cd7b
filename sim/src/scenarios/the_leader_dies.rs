//! The leader is killed again and again, right after it acknowledged something; nothing acknowledged is lost, and the
//! others go on.

use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const DEATHS: usize = 6;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let mut published = Vec::new();
    for death in 0..DEATHS {
        let leads = stage
            .until(super::PATIENCE_MS, || stage.cluster.leader().is_some())
            .await;
        stage.demand(leads, "somebody leads");
        let Some(leader) = stage.cluster.leader() else {
            return;
        };
        let follower = leader % 3 + 1;
        let (there, name) = (stage.clone(), format!("name {death}"));
        let made = stage.act("writer", async move {
            let client = there.client("writer", follower).await;
            let made = insist(|| publish(&client, &name)).await;
            client.close().await;
            made.map(|id| (name, id))
        });
        match made.await {
            Some(Ok(made)) => published.push(made),
            other => stage.demand(false, &format!("publishing is answered: {other:?}")),
        }
        stage.cluster.kill(leader, death % 2 == 0);
        let passed = stage.until(super::PATIENCE_MS, || {
            stage.cluster.leader().is_some_and(|new| new != leader)
        });
        let passed = passed.await;
        stage.demand(passed, "another leads");
        stage.cluster.restart(leader);
        stage.serves(leader).await;
    }
    for node in 1..=3 {
        let (there, published) = (stage.clone(), published.clone());
        let read = stage.act("reader", async move {
            let client = there.client("reader", node).await;
            for (name, id) in published {
                let found = insist(|| client.get_name(&name)).await;
                let kept = matches!(&found, Ok(found) if *found == id);
                there.demand(kept, &format!("n{node} finds {name}: {found:?}"));
                let tree = insist(|| client.get_metadata(id)).await;
                there.demand(tree.is_ok(), &format!("n{node} knows {id}: {tree:?}"));
            }
            client.close().await;
        });
        read.await;
    }
}
