//! A cut leaves the leader with the minority. The majority goes on; the minority acknowledges nothing and denies
//! nothing, but serves its own machine; healed, both agree.

use vineyard_client::Error;
use vineyard_wire::Code;

use crate::cluster::ip;
use crate::invariants::local_stays_local;
use crate::scenarios::{insist, publish, saying};
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
    let Some(minority) = stage.cluster.leader() else {
        return;
    };
    let majority = minority % 3 + 1;
    let there = stage.clone();
    let before = stage.act("before", async move {
        let client = there.client("before", majority).await;
        insist(|| publish(&client, "before")).await
    });
    stage.demand(
        matches!(before.await, Some(Ok(_))),
        "publishing is answered before the cut",
    );
    for other in (1..=3).filter(|other| *other != minority) {
        stage.world.net.cut(&ip(minority), &ip(other));
        stage.world.net.cut(&ip(other), &ip(minority));
    }
    let there = stage.clone();
    stage
        .act("alone", async move { alone(&there, minority).await })
        .await;
    let there = stage.clone();
    let during = stage.act("during", async move {
        let client = there.client("during", majority).await;
        insist(|| publish(&client, "during")).await
    });
    let during = during.await.and_then(Result::ok);
    stage.demand(during.is_some(), "the majority goes on");
    stage.world.net.heal();
    let there = stage.clone();
    let after = stage.act("after", async move {
        let client = there.client("after", minority).await;
        insist(|| client.get_name("during")).await.ok()
    });
    stage.demand(after.await.flatten() == during, "the minority catches up");
}

async fn alone(stage: &Stage, minority: usize) {
    let client = stage.client("alone", minority).await;
    let put = client.put(saying("local")).await;
    let hold = |judged| {
        stage
            .oracle
            .borrow_mut()
            .hold(local_stays_local::NAME, judged)
    };
    hold(local_stays_local::judge("put", &put));
    let Ok(created) = put else { return };
    let got = client.get(created.id).await;
    hold(local_stays_local::judge("get", &got));
    let persisted = client.persist(created.id).await;
    stage.demand(persisted.is_err(), "a minority acknowledges no persist");
    let client = stage.client("alone", minority).await;
    let absent = client.get_name("nothing").await;
    let denied = matches!(
        &absent,
        Err(Error::Status {
            code: Code::ObjectNotExists,
            ..
        })
    );
    stage.demand(
        !denied && absent.is_err(),
        "a minority does not say that there is no such name",
    );
}
