//! `cargo xtask test`: the Rust tests, then the released client's own tests on real nodes of ours, then our Python
//! package.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use vineyard_tests::binaries::BUILT;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};

use crate::peer::Peer;
use crate::suite::{self, Served, Tester};
use crate::{dist, python, shell};

/// Arena of a node that serves the released tests. Pages are taken only when they are written.
const ARENA: &str = "2G";
const SEEDS: &str = "0..100";
const SEEDS_FORMING: &str = "0..20";
const SEEDS_TWICE: &str = "0..2";
/// Rust tests at the same time: those with real processes wait most of the time.
const TEST_THREADS: &str = "4";
/// Seeds at the same time.
pub(crate) const JOBS: &str = "2";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Slice {
    /// `cargo test --workspace`.
    Rust,
    /// The released single-node tests on one node.
    Single,
    /// The released multi-node tests on a cluster of two.
    Cluster,
    /// The released client reads bytes that died with their node.
    Lost,
    /// A share of the simulated seeds.
    Sim,
    /// The demo, twice at once.
    Demo,
    /// Our Python package in two environments, and the released tests with it.
    Python,
    /// The wheel, in an environment that has nothing else.
    Wheel,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these parts; all when absent.
    #[arg(long, value_enum)]
    slice: Vec<Slice>,
    /// Leave the released client's tests out when its package cannot be had. Said again at the end.
    #[arg(long)]
    without_peer: bool,
    /// An environment that holds the released package already.
    #[arg(long, env = "VINEYARD_PEER")]
    peer: Option<PathBuf>,
    /// Test the optimized build.
    #[arg(long)]
    release: bool,
}

impl Options {
    fn wants(&self, slice: Slice) -> bool {
        self.slice.is_empty() || self.slice.contains(&slice)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    build(options.release)?;
    if options.wants(Slice::Rust) {
        let mut command = shell::cargo(&["test", "--workspace", "--exclude", "vineyard-python"]);
        if options.release {
            command.arg("--release");
        }
        command.env("RUST_TEST_THREADS", TEST_THREADS);
        shell::run(command.env(BUILT, "1"))?;
    }
    if options.wants(Slice::Sim) {
        simulated()?;
    }
    if options.wants(Slice::Demo) {
        demo()?;
    }
    if !options.without_peer {
        released_tests(options)?;
    }
    if options.wants(Slice::Python) || options.wants(Slice::Wheel) {
        let wheel = dist::wheel()?;
        if options.wants(Slice::Wheel) {
            dist::test(&wheel)?;
        }
        if options.wants(Slice::Python) {
            python_package(options, &wheel)?;
        }
    }
    eprintln!(
        "xtask test: passed in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    if options.without_peer {
        eprintln!(
            "LEFT OUT by --without-peer: the released client's own tests, with it and with our package, and what both read \
             of each other"
        );
    }
    Ok(())
}

fn released_tests(options: &Options) -> Result<()> {
    if ![Slice::Single, Slice::Cluster, Slice::Lost]
        .iter()
        .any(|slice| options.wants(*slice))
    {
        return Ok(());
    }
    let peer = Peer::ready(options.peer.clone())?;
    ours_is(options.release)?;
    let plan = plan();
    // One after the other: a released test measures the shared memory of the whole machine.
    if options.wants(Slice::Single) {
        released_on_one_node(&peer, &plan)?;
    }
    if options.wants(Slice::Cluster) {
        released_on_a_cluster(&peer, &plan)?;
    }
    if options.wants(Slice::Lost) {
        released_after_a_kill(&peer, &plan)?;
    }
    Ok(())
}

fn released_on_one_node(peer: &Peer, plan: &Plan) -> Result<()> {
    shell::step("the released client on one node of ours");
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let node = Node::start(&folder.path().join("0"), plan.clone())?;
    let socket = node.socket();
    let served = Served {
        socket: &socket,
        endpoint: node.endpoint(),
    };
    suite::single_node(&Tester::released(peer), &served)
}

fn released_on_a_cluster(peer: &Peer, plan: &Plan) -> Result<()> {
    shell::step("the released client on a cluster of two of ours");
    let cluster = Cluster::start(2, plan)?;
    let sockets: Vec<PathBuf> = cluster.nodes.iter().map(Node::socket).collect();
    let served = |at: usize| Served {
        socket: &sockets[at],
        endpoint: cluster.nodes[at].endpoint(),
    };
    suite::cluster(&Tester::released(peer), &served(0), &served(1))
}

fn released_after_a_kill(peer: &Peer, plan: &Plan) -> Result<()> {
    shell::step("the released client reads bytes that died");
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let mut node = Node::start(&folder.path().join("0"), plan.clone())?;
    suite::lost_bytes(peer, &mut node)
}

fn python_package(options: &Options, wheel: &Path) -> Result<()> {
    let peer = if options.without_peer {
        None
    } else {
        Some(Peer::ready(options.peer.clone())?)
    };
    ours_is(options.release)?;
    python::test(peer.as_ref(), &plan(), wheel)
}

fn plan() -> Plan {
    Plan {
        size: ARENA.to_owned(),
        ..Plan::default()
    }
}

/// A share of the seeds that fits; the rest is `cargo xtask chore seeds`.
fn simulated() -> Result<()> {
    simulate(&["formation", "--seeds", SEEDS_FORMING])?;
    simulate(&["run", "--seeds", SEEDS, "--jobs", JOBS])?;
    simulate(&["twice", "--seeds", SEEDS_TWICE])?;
    simulate(&["planted", "--jobs", JOBS, "--print"])
}

/// Runs the simulator, optimized.
pub(crate) fn simulate(arguments: &[&str]) -> Result<()> {
    let simulator = ["run", "--release", "--quiet", "-p", "vineyard-sim", "--"];
    shell::run(shell::cargo(&simulator).args(arguments))
}

/// Two demos at once, which must not disturb each other and must leave nothing behind.
fn demo() -> Result<()> {
    let build = ["build", "--release", "--quiet", "-p", "vineyardctl"];
    shell::run(&mut shell::cargo(&build))?;
    let folder = tempfile::Builder::new().prefix("demo-").tempdir()?;
    let start = || {
        let mut command = shell::cargo(&["run", "--release", "--quiet", "--", "demo"]);
        command
            .env("TMPDIR", folder.path())
            .spawn()
            .context("the demo")
    };
    shell::step("two demos at once");
    let mut both = [start()?, start()?];
    let ends = both.each_mut().map(|demo| demo.wait());
    for end in ends {
        ensure!(end?.success(), "a demo failed");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "the demos left {left:?}");
    Ok(())
}

/// `cargo xtask kill-leader`: the full measure of what the tests do with two kills.
pub(crate) fn kill_leader(kills: u32) -> Result<()> {
    build(true)?;
    let tests = [
        "test",
        "--release",
        "-p",
        "vineyard-tests",
        "--test",
        "main",
        "kill_leader",
        "--",
        "--nocapture",
    ];
    let mut command = shell::cargo(&tests);
    shell::run(
        command
            .env("VINEYARD_TEST_KILLS", kills.to_string())
            .env(BUILT, "1"),
    )
}

/// `cargo xtask scale`: the cost of the last objects against that of the first.
pub(crate) fn scale(objects: u32) -> Result<()> {
    build(true)?;
    let mut command = shell::cargo(&[
        "run",
        "--release",
        "-p",
        "vineyard-tests",
        "--example",
        "scale",
        "--",
    ]);
    shell::run(command.arg(objects.to_string()).env(BUILT, "1"))
}

/// The binaries that the tests start.
pub(crate) fn build(release: bool) -> Result<()> {
    let packages = [
        "-p",
        "vineyard-node",
        "-p",
        "vineyardctl",
        "-p",
        "vineyard-sim",
    ];
    let mut command = shell::cargo(&["build"]);
    command.args(packages);
    if release {
        command.arg("--release");
    }
    shell::run(&mut command)
}

/// Tells the harness which build to start. xtask itself may be of another profile.
pub(crate) fn ours_is(release: bool) -> Result<()> {
    let profile = if release { "release" } else { "debug" };
    vineyard_tests::binaries::use_folder(shell::target(profile)?)
}
