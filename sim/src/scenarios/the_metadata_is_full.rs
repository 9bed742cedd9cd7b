//! The metadata of the cluster, or of a node's transient objects, is full: what takes more is refused with the same
//! figures by all nodes, also after a restart from a snapshot; deletes and reads go on, make room, and all goes on.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::{Client, DeleteOptions, Draft, Error};
use vineyard_raft::{features, state};
use vineyard_wire::request::Configure;
use vineyard_wire::{Code, ObjectId};

use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
const QUOTA: u64 = 256 << 10;
/// One of these takes most of a tenth of the quota.
const TEXT_BYTES: usize = 20 << 10;
const OBJECTS_MIN: usize = 10;
const OBJECTS_MAX: usize = 20;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.cluster.found_with(state::Settings {
        metadata_quota_bytes: Some(QUOTA),
        ..state::Settings::default()
    });
    stage.form_of(NODES, 0, features::LATEST).await;
    let there = stage.clone();
    let filled = stage.act("writer", async move {
        let client = there.client("writer", 2).await;
        // The founder may be killed before it says so.
        for _ in 0..super::PATIENCE_MS / 500 {
            match client.configure(Configure::default()).await {
                Ok(set) if set.metadata_quota_bytes == QUOTA => return fill(&client).await,
                _ => sleep(Duration::from_millis(500)).await,
            }
        }
        Ok(Vec::new())
    });
    let Some(Ok(ids)) = filled.await else {
        return stage.demand(false, "objects are persisted until the metadata is full");
    };
    if ids.len() < OBJECTS_MIN {
        return stage.demand(false, "as many objects fit as are to");
    }
    if stage.world.seed.is_multiple_of(2) {
        stage.cluster.kill(3, true);
        stage.cluster.restart(3);
        stage.serves(3).await;
    }
    let mut told = Vec::new();
    for node in 1..=NODES {
        let (there, first) = (stage.clone(), ids[0]);
        let refused = stage.act("full", async move {
            let client = there.client("full", node).await;
            refused(&there, &client, first).await
        });
        told.extend(refused.await.flatten());
    }
    let alike = told.len() == NODES && told.iter().all(|text| *text == told[0]);
    stage.demand(alike, &format!("all refuse alike: {told:?}"));
    let there = stage.clone();
    let after = stage.act("deletes", async move {
        let client = there.client("deletes", 1).await;
        insist(|| client.delete(&ids, DeleteOptions::default())).await?;
        insist(|| publish(&client, "after")).await?;
        insist(|| client.get_name("after")).await?;
        let told = Configure {
            metadata_quota_bytes: Some(1 << 30),
            ..Configure::default()
        };
        insist(|| client.configure(told)).await
    });
    let after = after.await;
    let used = match &after {
        Some(Ok(set)) => set.metadata_bytes,
        _ => u64::MAX,
    };
    stage.demand(used < QUOTA / 10, &format!("deletes make room: {after:?}"));
}

/// Persists objects until one is refused; the ids of those that were not, or none if none is refused.
async fn fill(client: &Client) -> Result<Vec<ObjectId>, Error> {
    let mut ids = Vec::new();
    loop {
        let id = insist(|| client.put(large())).await?.id;
        match insist(|| client.persist(id)).await {
            Ok(()) if ids.len() >= OBJECTS_MAX => return Ok(Vec::new()),
            Ok(()) => ids.push(id),
            Err(error) if is_full(&error) => return Ok(ids),
            Err(error) => return Err(error),
        }
    }
}

fn large() -> Draft {
    Draft::new("sim::Large").attribute("text", "x".repeat(TEXT_BYTES).as_str())
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Status { code: Code::NotEnoughMemory, message }
        if message.contains("the metadata of the cluster is full"))
}

/// What the node says to a persist, of which it must refuse this one; what is there is read, and can be replaced.
async fn refused(stage: &Stage, client: &Client, known: ObjectId) -> Option<String> {
    let id = insist(|| client.put(large())).await.ok()?.id;
    let refused = insist(|| client.persist(id)).await;
    let text = match &refused {
        Err(error) if is_full(error) => error.to_string(),
        other => {
            stage.demand(false, &format!("it is refused: {other:?}"));
            return None;
        }
    };
    let read = insist(|| client.get_metadata(known)).await;
    stage.demand(read.is_ok(), &format!("what is there is read: {read:?}"));
    Some(text)
}
