//! `demo`: the main job on three real processes, step by step, each check real.
//!
//! It is a client like any other: what it shows, it asks the nodes for. `nodes` starts and ends them, `story` tells,
//! and the steps are below, in the order in which they run.
#![allow(
    clippy::disallowed_methods,
    reason = "it starts processes and owns a folder, outside any node"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;

use nix::sys::signal::Signal;
use vineyard_client::{Blob, Client, Created, Draft};
use vineyard_wire::ObjectId;
use xxhash_rust::xxh3::xxh3_128;

use crate::args::Format;
use crate::failure::{Failure, Tried};
use crate::output;
use crate::tree::{self, Part};

mod leader;
mod nodes;
mod story;

use nodes::{Nodes, is_whole, wait_for};
use story::Story;

const LARGE_BYTES: usize = 64 << 20;
const PART_BYTES: usize = 4 << 20;
const TYPENAME: &str = "demo::Bytes";
const BUFFER: &str = "buffer_";

const ORIGINAL: &str = "demo/original";
const COPY: &str = "demo/copy";
const GLOBAL: &str = "demo/global";
const LATER: &str = "demo/later";

/// A stored object and what its bytes must be.
#[derive(Clone, Copy, Debug)]
struct Stored {
    id: ObjectId,
    checksum: u128,
}

pub(crate) async fn run(format: Format, node_command: Vec<OsString>) -> Result<(), Failure> {
    let mut story = Story::new(format);
    let mut nodes = Nodes::new(node_command)?;
    let folder = nodes.folder();
    if let Err(failure) = play(&mut story, &mut nodes).await {
        output::show(&format!("\nWhat the nodes logged last:\n{}", nodes.logs()));
        return Err(failure);
    }
    drop(nodes);
    story.step("Look around")?;
    story.check(
        &format!("{folder} is gone"),
        !std::path::Path::new(&folder).exists(),
    )?;
    story.end()
}

async fn play(story: &mut Story, nodes: &mut Nodes) -> Result<(), Failure> {
    start_three_nodes(story, nodes).await?;
    let original = put_on_node_1(story, nodes).await?;
    get_on_node_3(story, nodes, original).await?;
    let copy = migrate_to_node_2(story, nodes, original).await?;
    let parts = make_a_global_object(story, nodes).await?;
    let dead = leader::kill(story, nodes, &[original, copy], &parts).await?;
    leader::catch_up(story, nodes, dead).await?;
    stop_all(story, nodes).await
}

async fn start_three_nodes(story: &mut Story, nodes: &mut Nodes) -> Result<(), Failure> {
    story.step("Start three nodes, each a process of its own")?;
    nodes.start(1, None)?;
    let first = nodes.client(1).await?;
    let endpoint = first.rpc_endpoint().to_owned();
    story.did(format!(
        "node 1 is {}, at {endpoint}: a cluster of one",
        first.instance_id()
    ))?;
    let token = first
        .token()
        .await
        .tried(|| "ask node 1 for the join token".to_owned())?;
    for number in 2..=nodes::COUNT {
        nodes.start(number, Some((&endpoint, &token)))?;
    }
    for number in 2..=nodes::COUNT {
        let joined = nodes.client(number).await?;
        let (instance, endpoint) = (joined.instance_id(), joined.rpc_endpoint());
        story.did(format!("node {number} joined as {instance}, at {endpoint}"))?;
    }
    let status = wait_for(&first, "three voters", is_whole).await?;
    let cluster = status.cluster;
    story.did(format!(
        "cluster {} has {} voters",
        cluster.id, cluster.voters
    ))?;
    story.equal("it tolerates one failure", &cluster.tolerates, &1)
}

async fn put_on_node_1(story: &mut Story, nodes: &mut Nodes) -> Result<Stored, Failure> {
    story.step(
        "Put 64 MiB of random bytes on node 1 through shared memory, persist and name them",
    )?;
    let client = nodes.client(1).await?;
    let (created, checksum) = put_random(story, &client, LARGE_BYTES).await?;
    let id = created.id;
    client.persist(id).await.tried(|| format!("persist {id}"))?;
    story.did(format!("persisted {id}: on the disks of a majority"))?;
    client
        .put_name(id, ORIGINAL)
        .await
        .tried(|| format!("name {id}"))?;
    story.did(format!("named it {ORIGINAL}"))?;
    Ok(Stored { id, checksum })
}

async fn get_on_node_3(
    story: &mut Story,
    nodes: &mut Nodes,
    original: Stored,
) -> Result<(), Failure> {
    story.step("Get them by name on node 3, over the network")?;
    let client = nodes.client(3).await?;
    let id = get_name(&client, ORIGINAL).await?;
    story.did(format!("{ORIGINAL} is {id}"))?;
    let bytes = read(&client, id).await?;
    story.moved(
        format!("read {} MiB from node 1", bytes.len() >> 20),
        bytes.len(),
    )?;
    story.equal(
        "the checksum is that of the original",
        &xxh3_128(&bytes),
        &original.checksum,
    )
}

async fn migrate_to_node_2(
    story: &mut Story,
    nodes: &mut Nodes,
    original: Stored,
) -> Result<Stored, Failure> {
    story.step("Migrate them to node 2 and read them there with node 1 stopped")?;
    let client = nodes.client(2).await?;
    let id = client
        .migrate(original.id)
        .await
        .tried(|| format!("migrate {}", original.id))?;
    story.moved(format!("node 2 has a copy of its own, {id}"), LARGE_BYTES)?;
    story.check("the copy has an id of its own", id != original.id)?;
    client.persist(id).await.tried(|| format!("persist {id}"))?;
    client
        .put_name(id, COPY)
        .await
        .tried(|| format!("name {id}"))?;
    story.did(format!("persisted it and named it {COPY}"))?;
    nodes.stop(1, Signal::SIGTERM).await?;
    story.did("node 1 ended cleanly")?;
    let bytes = read(&client, id).await?;
    story.did(format!(
        "mapped {} MiB on node 2, no copy",
        bytes.len() >> 20
    ))?;
    story.equal(
        "the checksum is that of the original",
        &xxh3_128(&bytes),
        &original.checksum,
    )?;
    let found = get_name(&nodes.client(3).await?, COPY).await?;
    story.did("looked the copy up on node 3, with two of three nodes")?;
    story.equal("node 3 knows it", &found, &id)?;
    nodes.restart(1)?;
    let back = nodes.client(1).await?;
    story.did(format!(
        "node 1 is back as {}, from its data directory alone",
        back.instance_id()
    ))?;
    wait_for(&back, "node 1 to be a voter again", is_whole).await?;
    story.did("three voters again")?;
    match back.get(original.id).await {
        Ok(_) => Err(Failure::Demo(format!(
            "{} was read after its node restarted",
            original.id
        ))),
        Err(error) => story.did(format!(
            "the original's bytes went with node 1's memory: {error}"
        )),
    }?;
    Ok(Stored {
        id,
        checksum: original.checksum,
    })
}

/// Returns the parts, that of node 1 first.
async fn make_a_global_object(
    story: &mut Story,
    nodes: &mut Nodes,
) -> Result<Vec<Stored>, Failure> {
    story.step("Make one global object with a part on each node")?;
    let mut parts = Vec::new();
    let mut draft = Draft::new("demo::Global").global();
    for number in 1..=nodes::COUNT {
        let client = nodes.client(number).await?;
        let (Created { id, .. }, checksum) = put_random(story, &client, PART_BYTES).await?;
        client.persist(id).await.tried(|| format!("persist {id}"))?;
        story.did(format!(
            "persisted it: part {number} is {id}, on node {number}"
        ))?;
        draft = draft.link(format!("part_{number}"), id);
        parts.push(Stored { id, checksum });
    }
    let client = nodes.client(1).await?;
    let id = client
        .put(draft)
        .await
        .tried(|| "make the global object".to_owned())?
        .id;
    client.persist(id).await.tried(|| format!("persist {id}"))?;
    client
        .put_name(id, GLOBAL)
        .await
        .tried(|| format!("name {id}"))?;
    story.did(format!(
        "made {id} of them, persisted it and named it {GLOBAL}"
    ))?;
    let client = nodes.client(2).await?;
    let whole = get_name(&client, GLOBAL).await?;
    let whole = client.get(whole).await.tried(|| format!("read {whole}"))?;
    story.moved(
        "got it by name on node 2, each part from its node",
        nodes::COUNT * PART_BYTES,
    )?;
    for (number, part) in (1..).zip(&parts) {
        let member = whole.member(&format!("part_{number}"));
        let bytes = member.and_then(|member| whole.blob_of(member, BUFFER));
        let found = bytes.map(|bytes| xxh3_128(bytes));
        story.equal(
            &format!("part {number} is whole"),
            &found,
            &Some(part.checksum),
        )?;
    }
    Ok(parts)
}

async fn stop_all(story: &mut Story, nodes: &mut Nodes) -> Result<(), Failure> {
    story.step("Stop all three")?;
    for number in 1..=nodes::COUNT {
        nodes.stop(number, Signal::SIGTERM).await?;
        story.did(format!("node {number} ended cleanly"))?;
    }
    story.equal("no socket is left", &nodes.sockets_left(), &Vec::new())
}

/// Random bytes, made right in the shared memory of `client`'s node.
async fn put_random(
    story: &mut Story,
    client: &Client,
    size: usize,
) -> Result<(Created, u128), Failure> {
    let writer = client.create_blob(size).await;
    let mut writer = writer.tried(|| format!("make room for {size} bytes"))?;
    let random = File::open("/dev/urandom").and_then(|mut r| r.read_exact(writer.as_mut_slice()));
    random.map_err(|e| Failure::local("read random bytes", e))?;
    let instance = client.instance_id();
    story.did(format!(
        "filled {} MiB of {instance}'s shared memory with random bytes",
        size >> 20
    ))?;
    let checksum = xxh3_128(writer.as_mut_slice());
    let blob = writer.seal().await.tried(|| "seal the blob".to_owned())?;
    let part = Part {
        id: blob.id(),
        bytes: size,
    };
    let tree = tree::object(TYPENAME, instance, &[(BUFFER.to_owned(), part)]);
    let created = client
        .create_metadata(tree)
        .await
        .tried(|| "make the object".to_owned())?;
    story.did(format!("took their checksum, sealed them: {}", created.id))?;
    Ok((created, checksum))
}

/// The bytes of an object that `put_random` made, or of a copy of it.
async fn read(client: &Client, id: ObjectId) -> Result<Blob, Failure> {
    let object = client.get(id).await.tried(|| format!("read {id}"))?;
    let bytes = object.blob(BUFFER).cloned();
    bytes.ok_or_else(|| Failure::Demo(format!("{id} has no {BUFFER}")))
}

async fn get_name(client: &Client, name: &str) -> Result<ObjectId, Failure> {
    client
        .get_name(name)
        .await
        .tried(|| format!("look up {name}"))
}
