//! Two of three die for ever, and the third has not got what they agreed on last. It goes on alone in a new epoch; it
//! may be killed in the middle of that. The others return after all, agree among themselves, and stay apart. New nodes
//! join. What was acknowledged in an epoch may be lost by the next epoch alone.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::{Client, Error};
use vineyard_wire::Code;

use crate::chance::Chance;
use crate::invariants::nothing_acknowledged_is_lost;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const SURVIVOR: usize = 1;
const LOST: [usize; 2] = [2, 3];
const NEW: [usize; 2] = [4, 5];
/// Simulated milliseconds from when the recovery is asked for until the process is killed, at most.
const KILLED_MS_MAX: u64 = 40;
/// Long enough for a disk to have what its node knows.
const SYNCED: Duration = Duration::from_secs(1);
/// Long enough for nodes to try each other in vain.
const APART: Duration = Duration::from_secs(8);

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let mut chance = Chance::stream(stage.world.seed, "recovery");
    let power = chance.happens(500);
    // Earlier builds do not know that nodes are removed.
    stage.form_of(3, 0, vineyard_raft::features::LATEST).await;
    let three = || stage.cluster.board(SURVIVOR).borrow().voters.len() == 3;
    let formed = stage.until(super::PATIENCE_MS, three).await;
    stage.demand(formed, "three vote");
    names(&stage, LOST[0], "kept", &[]).await;
    names(&stage, SURVIVOR, "", &["kept"]).await;
    is_refused_at_once(&stage).await;
    names(&stage, SURVIVOR, "", &["kept"]).await;
    sleep(SYNCED).await;
    stage.cluster.kill(SURVIVOR, power);
    names(&stage, LOST[0], "unseen", &[]).await;
    let epoch_of = |number: usize| stage.cluster.board(number).borrow().epoch;
    let acknowledged_in = epoch_of(LOST[0]);
    for number in LOST {
        stage.cluster.kill(number, power);
    }
    stage.cluster.restart(SURVIVOR);
    let is_killed = chance.happens(500);
    recover(&stage, is_killed.then(|| chance.below(KILLED_MS_MAX))).await;
    names(&stage, SURVIVOR, "after", &["kept"]).await;
    are_absent(&stage, SURVIVOR, &["unseen"]).await;
    if epoch_of(SURVIVOR) == acknowledged_in {
        let lost = format!("unseen was acknowledged and is lost, both in epoch {acknowledged_in}");
        let mut oracle = stage.oracle.borrow_mut();
        return oracle.hold(nothing_acknowledged_is_lost::NAME, Err(lost));
    }
    for number in LOST {
        stage.cluster.restart(number);
    }
    names(&stage, LOST[1], "of the old", &["kept", "unseen"]).await;
    sleep(APART).await;
    are_absent(&stage, SURVIVOR, &["unseen", "of the old"]).await;
    are_absent(&stage, LOST[0], &["after"]).await;
    for number in NEW {
        stage.join(number);
        stage.serves(number).await;
    }
    let grown = stage.until(super::PATIENCE_MS, three).await;
    stage.demand(grown, "three vote again");
    names(&stage, NEW[1], "of three", &["kept", "after"]).await;
    are_absent(&stage, NEW[0], &["unseen", "of the old"]).await;
}

/// Publishes a name through a node, which finds the names `known` then.
async fn names(stage: &Stage, node: usize, new: &'static str, known: &'static [&'static str]) {
    let there = stage.clone();
    let named = stage.act("writer", async move {
        let client = there.client("writer", node).await;
        if !new.is_empty() {
            insist(|| publish(&client, new)).await?;
        }
        for name in known {
            insist(|| client.get_name(name)).await?;
        }
        Ok::<_, Error>(())
    });
    let named = named.await;
    let what = format!("n{node} names {new:?} and knows {known:?}: {named:?}");
    stage.demand(matches!(named, Some(Ok(()))), &what);
}

async fn are_absent(stage: &Stage, node: usize, absent: &'static [&'static str]) {
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", node).await;
        for name in absent {
            let found = insist(|| client.get_name(name)).await;
            let is_absent = matches!(
                &found,
                Err(Error::Status { code, .. }) if *code == Code::ObjectNotExists
            );
            there.demand(is_absent, &format!("n{node} has no {name}: {found:?}"));
        }
    });
    read.await;
}

/// Two of three start at the same moment: a majority is there, whether or not it has a leader yet.
async fn is_refused_at_once(stage: &Stage) {
    for number in [SURVIVOR, LOST[0], LOST[1]] {
        stage.cluster.kill(number, true);
    }
    for number in [SURVIVOR, LOST[0]] {
        stage.cluster.restart(number);
        stage.serves(number).await;
    }
    let there = stage.clone();
    let refused = stage.act("operator", async move {
        let client = there.client("operator", SURVIVOR).await;
        client.recover_cluster(None).await
    });
    let refused = refused.await;
    let is_refused =
        matches!(&refused, Some(Err(Error::Status { code, .. })) if *code == Code::Invalid);
    stage.demand(is_refused, &format!("a majority answers: {refused:?}"));
    stage.cluster.restart(LOST[1]);
    stage.serves(LOST[1]).await;
}

/// Asks until the cluster is recovered. The process is killed once after so many milliseconds, if at all.
async fn recover(stage: &Stage, killed_after_ms: Option<u64>) {
    if let Some(ms) = killed_after_ms {
        let there = stage.clone();
        stage.world.schedule.start("hasty operator", async move {
            let client = there.client("hasty operator", SURVIVOR).await;
            let asked = ask(&client).await;
            there.world.trace.note(
                crate::trace::Kind::Event,
                "hasty operator",
                format_args!("{asked:?}"),
            );
        });
        stage.serves(SURVIVOR).await;
        sleep(Duration::from_millis(ms)).await;
        stage.cluster.kill(SURVIVOR, false);
        stage.cluster.restart(SURVIVOR);
    }
    let there = stage.clone();
    let recovered = stage.act("operator", async move {
        let client = there.client("operator", SURVIVOR).await;
        insist(|| async {
            match ask(&client).await {
                // It was recovered before the kill.
                Err(Error::Status { message, .. }) if message.contains("a majority") => Ok(()),
                recovered => recovered,
            }
        })
        .await
    });
    let recovered = recovered.await;
    let what = format!("the cluster is recovered: {recovered:?}");
    stage.demand(matches!(recovered, Some(Ok(()))), &what);
}

async fn ask(client: &Client) -> Result<(), Error> {
    let seen = client.recover_cluster(None).await?;
    client.recover_cluster(Some(seen.cluster)).await.map(|_| ())
}
