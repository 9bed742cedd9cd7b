//! `cargo xtask scale`: many objects put, listed, persisted in batches and deleted. The last must cost what the first
//! did.
//!
//! The machine changes its speed more within one run than any cost grows, so it is done several times, each on a new
//! node, and the medians of the ratios are judged.
#![allow(
    clippy::disallowed_methods,
    reason = "it measures a real node on the real clock; nothing here is replayed"
)]

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vineyard_client::{Client, DeleteOptions, Draft, Options};
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::shared_memory::allocated_bytes;
use vineyard_tests::statistics::median;
use vineyard_tests::wait;

const OBJECTS: usize = 100_000;
const ROUNDS: usize = 5;
/// The first and the last of so many parts are compared.
const PARTS: usize = 10;
const RATIO_MAX: f64 = 1.2;
const BATCH: usize = 100;
/// Times that each part is listed, when it has just been put.
const LISTINGS: usize = 5;
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
    let mut rows: [Vec<Cost>; 4] = Default::default();
    for number in 1..=ROUNDS {
        println!("round {number} of {ROUNDS}");
        for (row, cost) in rows.iter_mut().zip(round(objects).await?) {
            println!("  {cost}");
            row.push(cost);
        }
    }
    let mut grown = Vec::new();
    println!("medians of {ROUNDS}");
    for row in &rows {
        let ratios: Vec<f64> = row.iter().map(Cost::ratio).collect();
        let ratio = median(&ratios).context("no round")?;
        let line = format!("{}: ratio {ratio:.2}", row[0].what);
        println!("  {line}");
        if ratio > RATIO_MAX {
            grown.push(line);
        }
    }
    ensure!(grown.is_empty(), "costs grow: {}", grown.join("; "));
    Ok(())
}

/// Median costs of one object, us, among the first ones and among the last.
struct Cost {
    what: &'static str,
    first: f64,
    last: f64,
}

impl Cost {
    /// The costs of parts of equal size, in their order.
    fn of(what: &'static str, costs: &[f64]) -> Self {
        let part = costs.len() / PARTS;
        let middle = |costs: &[f64]| median(costs).expect("a part is not empty");
        Self {
            what,
            first: middle(&costs[..part]),
            last: middle(&costs[costs.len() - part..]),
        }
    }

    fn ratio(&self) -> f64 {
        self.last / self.first
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, first, last) = (self.what, self.first, self.last);
        let ratio = self.ratio();
        write!(
            f,
            "{what}: {first:.1} us each at first, {last:.1} us at last, ratio {ratio:.2}"
        )
    }
}

/// Everything once, on a node of its own.
async fn round(objects: usize) -> Result<[Cost; 4]> {
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        size: "2G".to_owned(),
        ..Plan::default()
    };
    let node = Node::start(&folder.path().join("n"), plan)?;
    let socket = node.socket().display().to_string();
    let mut options = Options::default();
    options.deadline = DEADLINE;
    let client = Client::connect_ipc(&socket, &options).await?;
    let before = allocated_bytes(node.process()?.pid())?;

    let costs = measure(&client, objects).await?;

    let used = client.instance_status().await?.memory_usage;
    ensure!(
        used == 0,
        "{used} bytes in use after {objects} objects were deleted"
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
        "  memory in use 0 bytes; shared memory {before} bytes at first, {remains} after a trim"
    );
    client.close().await;
    Ok(costs)
}

/// Puts and lists, persists, lists all and deletes.
async fn measure(client: &Client, objects: usize) -> Result<[Cost; 4]> {
    let mut ids = Vec::with_capacity(objects);
    let (mut puts, mut lists, mut persists, mut deletes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let part = objects / PARTS;
    for number in 0..PARTS {
        let typename = format!("scale::Row{number}");
        for row in 0..part {
            let draft = Draft::new(&typename)
                .attribute("row", row)
                .blob("buffer_", [7; BLOB_BYTES]);
            let started = Instant::now();
            ids.push(client.put(draft).await?.id);
            puts.push(each(started, 1));
        }
        for _ in 0..LISTINGS {
            let started = Instant::now();
            list(client, &typename, part).await?;
            lists.push(each(started, part));
        }
    }
    for batch in ids.chunks(BATCH) {
        let started = Instant::now();
        client.persist_many(batch).await?;
        persists.push(each(started, batch.len()));
    }
    list(client, "scale::*", ids.len()).await?;
    for batch in ids.chunks(BATCH) {
        let started = Instant::now();
        client.delete(batch, DeleteOptions::default()).await?;
        deletes.push(each(started, batch.len()));
    }
    Ok([
        Cost::of("put", &puts),
        Cost::of("list", &lists),
        Cost::of("persist, in batches", &persists),
        Cost::of("delete, in batches", &deletes),
    ])
}

async fn list(client: &Client, pattern: &str, count: usize) -> Result<()> {
    let listed = client.list_metadatas(pattern, false, u64::MAX).await?;
    ensure!(listed.len() == count, "{} listed of {count}", listed.len());
    Ok(())
}

fn each(started: Instant, count: usize) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / count as f64
}
