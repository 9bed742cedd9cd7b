//! `cargo xtask chore io`: what takes too long for each change of streams and files.

use anyhow::Result;
use clap::Args;
use vineyard_tests::binaries::BUILT;
use vineyard_tests::node::{Node, Plan};

use crate::peer::Peer;
use crate::python::Environment;
use crate::suite::{self, Served, Tester};
use crate::{python, shell, test};

/// Moves bytes from one process to another with any package of the name, and judges what each keeps.
const MUCH: &str = "tests/conformance/much_streamed.py";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What flows through each stream.
    #[arg(long, default_value_t = 10_000_000_000)]
    bytes: u64,
    /// The size of the arena it flows through.
    #[arg(long, default_value = "256M")]
    arena: String,
    /// At how many points of a write to each storage the writer is killed, and fails.
    #[arg(long, default_value_t = 20)]
    points: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    test::build(false)?;
    much_by_rust(options)?;
    much_by_python(options)?;
    python::dying_writers(options.points)?;
    let peer = Peer::ready(None)?;
    released_streams(&peer)?;
    python::released_io(&peer)
}

/// The released test of streams with the released client on our node.
fn released_streams(peer: &Peer) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let node = Node::start(&folder.path().join("0"), Plan::default())?;
    let server = Served {
        socket: &node.socket(),
        endpoint: node.endpoint(),
    };
    let mut command = suite::streams_as_released(&Tester::released(peer), &server)?;
    shell::run(&mut command)
}

/// Between two processes, and between two nodes.
fn much_by_rust(options: &Options) -> Result<()> {
    let tests = ["test", "-p", "vineyard-tests", "--test", "main", "much"];
    let mut command = shell::cargo(&tests);
    command
        .args(["--", "--nocapture", "--test-threads=1"])
        .env("VINEYARD_TEST_STREAM_BYTES", options.bytes.to_string())
        .env("VINEYARD_TEST_STREAM_ARENA", &options.arena);
    shell::run(command.env(BUILT, "1"))
}

/// Between two processes: of the released client, and of our package.
fn much_by_python(options: &Options) -> Result<()> {
    let package = Environment::oldest()?;
    package.install()?;
    let peer = Peer::ready(None)?;
    let plan = Plan {
        size: options.arena.clone(),
        ..Plan::default()
    };
    for python in [peer.python(), package.python()] {
        let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
        let node = Node::start(&folder.path().join("0"), plan.clone())?;
        let mut command = package.run_with(&python);
        command.arg(MUCH).arg(node.socket());
        shell::run(command.arg(options.bytes.to_string()))?;
    }
    Ok(())
}
