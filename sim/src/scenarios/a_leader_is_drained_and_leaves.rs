//! The leader of four is drained of all it has and leaves: its objects are read elsewhere under their ids, another
//! node leads and votes, and the node that left ends and says so.

use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::{Client, Error};
use vineyard_wire::{Code, NodeId};

use crate::scenarios::{insist, publish, saying};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// At an event, before it is missed.
const LOOKS: usize = 25;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    // Earlier builds do not know how to leave.
    stage
        .form_of(NODES, 0, vineyard_raft::features::LATEST)
        .await;
    let voters = |of: usize| stage.cluster.board(of).borrow().voters.clone();
    let three = stage
        .until(super::PATIENCE_MS, || voters(1).len() == 3)
        .await;
    stage.demand(three, "three of four vote");
    stage
        .until(super::PATIENCE_MS, || stage.cluster.leader().is_some())
        .await;
    let Some(leaver) = stage.cluster.leader() else {
        return stage.demand(false, "somebody leads");
    };
    let other = leaver % NODES + 1;
    let there = stage.clone();
    let made = stage.act("operator", async move {
        let client = there.client("operator", leaver).await;
        let named = insist(|| publish(&client, "named")).await?;
        let transient = client.put(saying("transient")).await?.id;
        let node = client.instance_id().node();
        drain(&client, node).await?;
        leave(&client).await?;
        Ok::<_, Error>((node, named, transient))
    });
    let made = made.await;
    let Some(Ok((node, named, transient))) = made else {
        return stage.demand(false, &format!("the leader leaves: {made:?}"));
    };
    let ended = || stage.cluster.board(leaver).borrow().failure.is_some();
    let has_ended = stage.until(super::PATIENCE_MS, ended).await;
    let failure = stage.cluster.board(leaver).borrow().failure.clone();
    let says_why = failure.as_ref().is_some_and(|why| why.contains("left"));
    stage.demand(
        has_ended && says_why,
        &format!("n{leaver} ends, and says why: {failure:?}"),
    );
    let is_replaced = || voters(other).len() == 3 && !voters(other).contains(&node);
    let replaced = stage.until(super::PATIENCE_MS, is_replaced).await;
    stage.demand(replaced, "the fourth votes in its place");
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", other).await;
        for id in [named, transient] {
            insist(|| client.get(id)).await?;
        }
        insist(|| publish(&client, "after")).await?;
        describe_all(&client).await?;
        is_told(&client, node).await
    });
    let read = read.await;
    let whole = matches!(read, Some(Ok(_)));
    let told = matches!(read, Some(Ok(true)));
    stage.demand(told, &format!("that it left is an event: {read:?}"));
    stage.demand(whole, &format!("nothing was lost with it: {read:?}"));
}

/// Each member says what it sees, when another one is asked.
async fn describe_all(client: &Client) -> Result<(), Error> {
    let status = insist(|| client.cluster_status()).await?;
    for member in status.nodes {
        let node = Some(member.instance_id.node());
        let told = insist(|| client.describe_node(node, None)).await?;
        assert_eq!(told.instance_id, member.instance_id, "it speaks for itself");
    }
    Ok(())
}

/// Whether the node that is asked tells in time that `node` is no member any more.
async fn is_told(client: &Client, node: NodeId) -> Result<bool, Error> {
    for _ in 0..LOOKS {
        let listed = insist(|| client.list_events(0, u64::MAX)).await?;
        let mut events = listed.events.iter();
        if events.any(|event| event.kind == "node_removed" && event.node == Some(node)) {
            return Ok(true);
        }
        sleep(PAUSE).await;
    }
    Ok(false)
}

/// Asks until nothing is left that only `node` has.
async fn drain(client: &Client, node: NodeId) -> Result<(), Error> {
    loop {
        let progress = insist(|| client.drain_node(node, true)).await?;
        if progress.done {
            return Ok(());
        }
    }
}

async fn leave(client: &Client) -> Result<(), Error> {
    loop {
        match client.leave_cluster(false).await {
            Err(Error::Status {
                code: Code::VineyardServerNotReady | Code::IoError,
                ..
            }) => sleep(PAUSE).await,
            left => return left.map(drop),
        }
    }
}
