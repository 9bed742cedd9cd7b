//! `cargo xtask scale`: many objects put, persisted in batches, listed and deleted. The last must cost what the first did.
#![allow(
    clippy::disallowed_methods,
    reason = "it measures a real node on the real clock; nothing here is replayed"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vineyard_client::{Client, DeleteOptions, Draft, Options, World};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::shared_memory::allocated_bytes;
use vineyard_tests::statistics::median;
use vineyard_tests::wait;
use vineyard_wire::ObjectId;

const OBJECTS: usize = 100_000;
/// The first and the last of so many parts are compared.
const PARTS: usize = 10;
const RATIO_MAX: f64 = 1.2;
const BATCH: usize = 100;
const BLOB_BYTES: usize = 1024;
/// Shared memory that may remain after a trim: pages that are partly used, and the arena's first ones.
const REMAINS_BYTES_MAX: u64 = 1 << 20;
const RETURNS_WITHIN: Duration = Duration::from_secs(10);
/// Long enough for the reply that lists everything.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let objects = std::env::args()
        .nth(1)
        .map_or(Ok(OBJECTS), |text| text.parse())?;
    ensure!(
        objects >= PARTS * BATCH,
        "fewer objects than {PARTS} parts of a batch say nothing"
    );
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        size: "2G".to_owned(),
        ..Plan::default()
    };
    let node = Node::start(&folder.path().join("n"), plan)?;
    let socket = node.socket().display().to_string();
    let options = Options {
        deadline: DEADLINE,
        ..Options::default()
    };
    let client = Client::connect_ipc(&World::system(), &socket, &options).await?;
    let before = allocated_bytes(node.process()?.pid())?;

    let ids = measure(&client, objects).await?;

    let used = client.instance_status().await?.memory_usage;
    ensure!(
        used == 0,
        "{used} bytes in use after {} objects were deleted",
        ids.len()
    );
    client.memory_trim().await?;
    let pid = node.process()?.pid();
    let remains = wait::until("shared memory to return", RETURNS_WITHIN, || {
        let now = allocated_bytes(pid)?;
        ensure!(
            now <= before + REMAINS_BYTES_MAX,
            "{now} bytes, {before} at first"
        );
        Ok(Some(now))
    })?;
    println!(
        "memory in use 0 bytes; shared memory {before} bytes at first, {remains} after a trim"
    );
    client.close().await;
    Ok(())
}

/// Puts, persists, lists and deletes, and fails if a cost grew. The ids that were.
async fn measure(client: &Client, objects: usize) -> Result<Vec<ObjectId>> {
    let (mut ids, mut costs, mut grown) = (Vec::with_capacity(objects), Vec::new(), Vec::new());
    for row in 0..objects {
        let draft = Draft::new("scale::Row")
            .attribute("row", row)
            .blob("buffer_", [7; BLOB_BYTES]);
        let started = Instant::now();
        ids.push(client.put(draft).await?.id);
        costs.push(started.elapsed().as_secs_f64() * 1e6);
    }
    grown.extend(judge("put", &costs));

    costs.clear();
    for batch in ids.chunks(BATCH) {
        let started = Instant::now();
        client.persist_many(batch).await?;
        costs.push(started.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
    }
    grown.extend(judge("persist, in batches", &costs));

    costs.clear();
    for limit in [objects / PARTS, objects] {
        let started = Instant::now();
        let listed = client
            .list_metadatas("scale::*", false, limit as u64)
            .await?;
        ensure!(listed.len() == limit, "{} listed of {limit}", listed.len());
        costs.push(started.elapsed().as_secs_f64() * 1e6 / limit as f64);
    }
    grown.extend(compare("list, a part and all", costs[0], costs[1]));

    costs.clear();
    for batch in ids.chunks(BATCH) {
        let started = Instant::now();
        client.delete(batch, DeleteOptions::default()).await?;
        costs.push(started.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
    }
    grown.extend(judge("delete, in batches", &costs));
    ensure!(grown.is_empty(), "costs grow: {}", grown.join("; "));
    Ok(ids)
}

/// Compares the first part of the costs with the last.
fn judge(what: &str, costs: &[f64]) -> Option<String> {
    let part = costs.len() / PARTS;
    let middle = |costs: &[f64]| median(costs).expect("a part is not empty");
    compare(
        what,
        middle(&costs[..part]),
        middle(&costs[costs.len() - part..]),
    )
}

fn compare(what: &str, first: f64, last: f64) -> Option<String> {
    let ratio = last / first;
    let line =
        format!("{what}: {first:.1} us each at first, {last:.1} us at last, ratio {ratio:.2}");
    println!("{line}");
    (ratio > RATIO_MAX).then_some(line)
}
