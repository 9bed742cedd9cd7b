//! The demo's last act: the leader is killed, nothing that was acknowledged is lost, and it comes back.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use vineyard_client::Client;
use vineyard_wire::ObjectId;
use xxhash_rust::xxh3::xxh3_128;

use super::nodes::{self, Nodes, is_whole, wait_for};
use super::story::Story;
use super::{COPY, GLOBAL, LATER, ORIGINAL, PART_BYTES, Stored, get_name, put_random, read};
use crate::failure::{Failure, Tried};

const NAMES: [&str; 3] = [ORIGINAL, COPY, GLOBAL];

/// What the dead node has to find when it is back.
pub(super) struct Dead {
    number: usize,
    later: Stored,
    commit_index: u64,
}

/// Kills the leader, then reads and writes on the other two. `large` are the original and its copy on node 2; `parts`
/// are those of the global object, on nodes 1, 2 and 3.
pub(super) async fn kill(
    story: &mut Story,
    nodes: &mut Nodes,
    large: &[Stored; 2],
    parts: &[Stored],
) -> Result<Dead, Failure> {
    story.step("Kill the leader with kill -9")?;
    let (number, names) = leader(nodes).await?;
    story.equal(
        "the names are those that were given",
        &names[COPY],
        &large[1].id,
    )?;
    nodes.stop(number, Signal::SIGKILL).await?;
    story.did(format!("node {number} was the leader and is dead"))?;
    let survivors: Vec<usize> = (1..=nodes::COUNT).filter(|one| *one != number).collect();
    for survivor in &survivors {
        let client = nodes.client(*survivor).await?;
        let mut found = BTreeMap::new();
        for name in NAMES {
            found.insert(name.to_owned(), get_name(&client, name).await?);
        }
        story.did(format!(
            "asked node {survivor} for each of {} names",
            NAMES.len()
        ))?;
        story.equal("each is what it was", &found, &names)?;
    }
    read_parts(story, nodes, number, parts).await?;
    if number != 2 {
        let copy = read(&nodes.client(2).await?, large[1].id).await?;
        story.did("read the copy on node 2")?;
        story.equal("it is whole", &xxh3_128(&copy), &large[1].checksum)?;
    }
    let client = nodes.client(survivors[0]).await?;
    let (created, checksum) = put_random(story, &client, PART_BYTES).await?;
    let later = Stored {
        id: created.id,
        checksum,
    };
    client
        .persist(later.id)
        .await
        .tried(|| format!("persist {}", later.id))?;
    client
        .put_name(later.id, LATER)
        .await
        .tried(|| format!("name {}", later.id))?;
    story.did(format!(
        "persisted it and named it {LATER}, with two of three nodes"
    ))?;
    let status = client
        .cluster_status()
        .await
        .tried(|| "ask for the status".to_owned())?;
    Ok(Dead {
        number,
        later,
        commit_index: status.cluster.commit_index,
    })
}

/// Who leads, and every name as it is now.
async fn leader(nodes: &mut Nodes) -> Result<(usize, BTreeMap<String, ObjectId>), Failure> {
    let client = nodes.client(1).await?;
    let status = wait_for(&client, "a leader", is_whole).await?;
    let leading = |instance| {
        status
            .nodes
            .iter()
            .find(|node| node.instance_id == instance)
    };
    let node = status.cluster.leader.and_then(leading);
    let number = node.and_then(|node| nodes.number_of(&node.ipc_socket));
    let number =
        number.ok_or_else(|| Failure::Demo(format!("the leader is unknown: {status:?}")))?;
    let names = list(&client).await?;
    match NAMES.iter().find(|name| !names.contains_key(**name)) {
        None => Ok((number, names)),
        Some(name) => Err(Failure::Demo(format!("{name} is not among the names"))),
    }
}

async fn list(client: &Client) -> Result<BTreeMap<String, ObjectId>, Failure> {
    client
        .list_names("demo/*", false, 100)
        .await
        .tried(|| "list the names".to_owned())
}

/// Each part that lives is read on a node that does not hold it; the dead node's part must be an error.
async fn read_parts(
    story: &mut Story,
    nodes: &mut Nodes,
    dead: usize,
    parts: &[Stored],
) -> Result<(), Failure> {
    let survivor_beside = |owner: usize| {
        let mut others = (1..=nodes::COUNT)
            .rev()
            .filter(|one| *one != dead && *one != owner);
        others.next().expect("two of three nodes live")
    };
    for (owner, part) in (1..).zip(parts) {
        let reader = survivor_beside(owner);
        let client = nodes.client(reader).await?;
        if owner == dead {
            match client.get(part.id).await {
                Ok(_) => return Err(Failure::Demo(format!("{} outlived its node", part.id))),
                Err(error) => story.did(format!("part {owner} went with its node: {error}"))?,
            }
            continue;
        }
        let bytes = read(&client, part.id).await?;
        story.moved(format!("read part {owner} on node {reader}"), bytes.len())?;
        story.equal("it is whole", &xxh3_128(&bytes), &part.checksum)?;
    }
    Ok(())
}

/// Starts the dead node again and sees it catch up.
pub(super) async fn catch_up(
    story: &mut Story,
    nodes: &mut Nodes,
    dead: Dead,
) -> Result<(), Failure> {
    let Dead {
        number,
        later,
        commit_index,
    } = dead;
    story.step("Start the dead node again, with its data directory and no other flag")?;
    nodes.restart(number)?;
    let client = nodes.client(number).await?;
    story.did(format!("node {number} is back as {}", client.instance_id()))?;
    let caught_up = |status: &_| is_whole(status) && status.cluster.commit_index >= commit_index;
    let status = wait_for(&client, "the dead node to catch up", caught_up).await?;
    story.did(format!(
        "it knows the log up to {}",
        status.cluster.commit_index
    ))?;
    story.equal(
        "the cluster tolerates one failure again",
        &status.cluster.tolerates,
        &1,
    )?;
    let names = list(&client).await?;
    story.did(format!("it lists {} names", names.len()))?;
    story.equal(
        "it has the name given while it was dead",
        &names.get(LATER),
        &Some(&later.id),
    )?;
    let bytes = read(&client, later.id).await?;
    story.moved(format!("read {LATER} there"), bytes.len())?;
    story.equal("it is whole", &xxh3_128(&bytes), &later.checksum)
}
