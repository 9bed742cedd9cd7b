//! Most of the cluster stands still until a persist has ended at its deadline, undecided; it returns while the object
//! is being deleted. A delete that is acknowledged stays: nothing that asks about the persist later may carry it out
//! again.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::DeleteOptions;

use crate::scenarios::{insist, saying};
use crate::stage::{Outcome, Settings, Stage, run};

/// What is undecided is asked about again within this.
const LATER: Duration = Duration::from_secs(3);

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
    pause_all_but(&stage, leader, true);
    let there = stage.clone();
    let acted = stage.act("changes its mind", async move {
        let client = there.client("changes its mind", leader).await;
        let id = client.put(saying("short-lived")).await?.id;
        let undecided = client.persist(id).await;
        there.demand(undecided.is_err(), "the persist is not decided in time");
        // Its own deadline has closed the first connection.
        let client = there.client("changes its mind", leader).await;
        pause_all_but(&there, leader, false);
        client.delete(&[id], DeleteOptions::default()).await?;
        sleep(LATER).await;
        let exists = insist(|| client.exists(id)).await?;
        there.demand(!exists, "what was deleted is gone");
        Ok::<_, vineyard_client::Error>(())
    });
    let acted = acted.await;
    stage.demand(matches!(acted, Some(Ok(()))), &format!("{acted:?}"));
}

fn pause_all_but(stage: &Stage, one: usize, paused: bool) {
    for other in (1..=3).filter(|other| *other != one) {
        stage.cluster.pause(other, paused);
    }
}
