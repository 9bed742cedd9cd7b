//! Our client on our node: what a call costs without Python. Prints one JSON object, a row a case.
#![allow(
    clippy::disallowed_methods,
    reason = "it measures real nodes on the real clock; nothing here is replayed"
)]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use vineyard_client::{Client, Draft, Options};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;
use vineyard_tests::statistics::{median, quantile};

const SMALL_BYTES: usize = 1024;
const BIG_BYTES: usize = 256 << 20;
const CALLS: usize = 1000;
const CALLS_QUICK: usize = 100;
/// The first calls open connections and warm pages; they are not counted.
const WARM_CALLS: usize = 20;
const TRANSFERS: usize = 5;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run()))
    {
        Ok(rows) => {
            println!("{}", Value::Object(rows));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("client_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Map<String, Value>> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut bench = Bench {
        calls: if quick { CALLS_QUICK } else { CALLS },
        rows: Map::new(),
    };
    let plan = Plan {
        size: "2G".to_owned(),
        ..Plan::default()
    };
    let cluster = Cluster::start(3, &plan)?;
    let options = Options::default();
    let socket = |at: usize| cluster.nodes[at].socket().display().to_string();
    let here = Client::connect_ipc(&socket(0), &options).await?;
    let there = Client::connect_ipc(&socket(1), &options).await?;
    let remote = Client::connect_rpc(cluster.nodes[0].endpoint(), &options).await?;

    bench.local(&here).await?;
    bench.durable(&here).await?;
    bench.over_tcp(&here, &remote).await?;
    bench.large(&here, &remote).await?;
    bench.between(&here, &there).await?;
    Ok(bench.rows)
}

struct Bench {
    calls: usize,
    rows: Map<String, Value>,
}

/// Repeats a call and notes what it costs.
macro_rules! latency {
    ($bench:expr, $name:expr, $calls:expr, $call:expr) => {{
        let mut times = Vec::new();
        for call in 0..$calls + WARM_CALLS {
            let started = Instant::now();
            std::hint::black_box($call);
            if call >= WARM_CALLS {
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        $bench.note($name, &times);
    }};
}

impl Bench {
    async fn local(&mut self, here: &Client) -> Result<()> {
        let bytes = [7; SMALL_BYTES];
        latency!(
            self,
            "put_blob 1 KiB",
            self.calls,
            here.put_blob(&bytes).await?
        );
        let blob = here.put_blob(&bytes).await?;
        latency!(
            self,
            "get_blob 1 KiB",
            self.calls,
            here.get_blob(blob).await?
        );
        latency!(self, "put 1 KiB", self.calls, here.put(small()).await?);
        let id = here.put(small()).await?.id;
        latency!(self, "get 1 KiB", self.calls, here.get(id).await?);
        latency!(
            self,
            "get_metadata",
            self.calls,
            here.get_metadata(id).await?
        );
        latency!(self, "exists", self.calls, here.exists(id).await?);
        Ok(())
    }

    async fn durable(&mut self, here: &Client) -> Result<()> {
        let calls = self.calls / 2;
        latency!(self, "put 1 KiB + persist, 3 nodes", calls, {
            let id = here.put(small()).await?.id;
            here.persist(id).await?;
        });
        let id = here.put(small()).await?.id;
        here.persist(id).await?;
        latency!(
            self,
            "put_name, 3 nodes",
            calls,
            here.put_name(id, "bench").await?
        );
        latency!(
            self,
            "get_name, 3 nodes",
            calls,
            here.get_name("bench").await?
        );
        let mut batch = Vec::new();
        for _ in 0..100 {
            batch.push(here.put(small()).await?.id);
        }
        let started = Instant::now();
        here.persist_many(&batch).await?;
        let each = started.elapsed().as_secs_f64() * 1e6 / batch.len() as f64;
        self.note("persist_many of 100, each", &[each]);
        Ok(())
    }

    async fn over_tcp(&mut self, here: &Client, remote: &Client) -> Result<()> {
        let bytes = [7; SMALL_BYTES];
        latency!(
            self,
            "rpc put_blob 1 KiB",
            self.calls,
            remote.put_blob(&bytes).await?
        );
        let blob = here.put_blob(&bytes).await?;
        latency!(
            self,
            "rpc get_blob 1 KiB",
            self.calls,
            remote.get_blob(blob).await?
        );
        let id = here.put(small()).await?.id;
        latency!(self, "rpc get 1 KiB", self.calls, remote.get(id).await?);
        Ok(())
    }

    async fn large(&mut self, here: &Client, remote: &Client) -> Result<()> {
        let bytes = vec![7; BIG_BYTES];
        let (mut puts, mut gets, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TRANSFERS {
            let started = Instant::now();
            let blob = here.put_blob(&bytes).await?;
            puts.push(rate(started));
            let started = Instant::now();
            let got = here.get_blob(blob).await?;
            ensure!(
                got.iter().step_by(4096).all(|byte| *byte == 7),
                "wrong bytes"
            );
            gets.push(rate(started));
            let started = Instant::now();
            ensure!(
                remote.get_blob(blob).await?.len() == BIG_BYTES,
                "wrong size"
            );
            fetches.push(rate(started));
            drop(got);
            here.delete(&[blob], vineyard_client::DeleteOptions::default())
                .await?;
        }
        self.note_rate("put_blob 256 MiB", &puts);
        self.note_rate("get_blob 256 MiB, a byte a page", &gets);
        self.note_rate("rpc get_blob 256 MiB", &fetches);
        Ok(())
    }

    async fn between(&mut self, here: &Client, there: &Client) -> Result<()> {
        let mut times = Vec::new();
        for call in 0..self.calls / 4 + WARM_CALLS {
            let id = here.put(small()).await?.id;
            here.persist(id).await?;
            let started = Instant::now();
            there.migrate(id).await?;
            if call >= WARM_CALLS {
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        self.note("migrate 1 KiB", &times);
        let mut rates = Vec::new();
        for _ in 0..TRANSFERS {
            let id = here
                .put(Draft::new("bench::Big").blob("buffer_", vec![7; BIG_BYTES]))
                .await?
                .id;
            here.persist(id).await?;
            let started = Instant::now();
            let copy = there.migrate(id).await?;
            rates.push(rate(started));
            let options = vineyard_client::DeleteOptions::default();
            there.delete(&[copy], options).await?;
            here.delete(&[id], options).await?;
        }
        self.note_rate("migrate 256 MiB", &rates);
        Ok(())
    }

    fn note(&mut self, name: &str, times: &[f64]) {
        let row = json!({"us": median(times), "p99": quantile(times, 0.99), "n": times.len()});
        self.rows.insert(name.to_owned(), row);
    }

    fn note_rate(&mut self, name: &str, rates: &[f64]) {
        self.rows.insert(
            name.to_owned(),
            json!({"gbps": median(rates), "n": rates.len()}),
        );
    }
}

fn small() -> Draft {
    Draft::new("bench::Small")
        .attribute("shape_", "[128]")
        .blob("buffer_", [7; SMALL_BYTES])
}

fn rate(started: Instant) -> f64 {
    BIG_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9
}
