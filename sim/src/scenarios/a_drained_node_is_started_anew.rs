//! A node is drained while all is well, and its process ends: what was persisted on it before is read from the others,
//! with the same bytes.

use vineyard_client::Error;
use vineyard_wire::ObjectId;

use crate::invariants::nothing_acknowledged_is_lost as lost;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
const DRAINED: usize = 2;
const OBJECTS: usize = 4;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    // Earlier builds do not know how to drain.
    stage
        .form_of(NODES, 0, vineyard_raft::features::LATEST)
        .await;
    let knows = || stage.cluster.is_at_latest();
    let known = stage.until(super::PATIENCE_MS, knows).await;
    stage.demand(known, "all know that all are of the latest build");
    let there = stage.clone();
    let drained = stage.act("operator", async move {
        let client = there.client("operator", DRAINED).await;
        let mut ids = Vec::new();
        for number in 0..OBJECTS {
            let name = format!("kept {number}");
            ids.push(insist(|| publish(&client, &name)).await?);
        }
        let node = client.instance_id().node();
        while !insist(|| client.drain_node(node, false)).await?.done {}
        Ok::<_, Error>(ids)
    });
    let drained = drained.await;
    let Some(Ok(ids)) = drained else {
        return stage.demand(false, &format!("n{DRAINED} is drained: {drained:?}"));
    };
    stage.cluster.kill(DRAINED, true);
    stage.cluster.restart(DRAINED);
    stage.serves(DRAINED).await;
    for reader in 1..=NODES {
        read_all(&stage, reader, ids.clone()).await;
    }
}

async fn read_all(stage: &Stage, reader: usize, ids: Vec<ObjectId>) {
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", reader).await;
        for (number, id) in ids.into_iter().enumerate() {
            let judged = match insist(|| client.get(id)).await {
                Ok(object)
                    if object
                        .blob("text_")
                        .is_some_and(|bytes| **bytes == *format!("kept {number}").as_bytes()) =>
                {
                    Ok(())
                }
                told => Err(format!(
                    "{id} was persisted before n{DRAINED} was drained, and n{reader} reads {told:?}"
                )),
            };
            there.oracle.borrow_mut().hold(lost::NAME, judged);
        }
        client.close().await;
    });
    read.await;
}
