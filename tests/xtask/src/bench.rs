//! `cargo xtask bench`: the released client on the released server and on ours, and our Python package on ours, one
//! after the other on one machine.
//!
//! Each round starts both servers afresh on the same real disk. A row that is missing, an error instead of a figure and
//! a ratio below the required one all fail.

mod floors;
mod io;
mod report;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use vineyard_tests::binaries::BUILT;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};

use crate::peer::Peer;
use crate::python::Environment;
use crate::released::Released;
use crate::{shell, test};
use report::{Report, Side};

const ROUNDS: usize = 3;
const ARENA: &str = "2G";
/// As many as peer.md measured: a majority of three fsyncs on both sides.
const CLUSTER_NODES: usize = 3;
/// Prints the seconds, and fails if a library of values came along.
const IMPORT: &str = "import sys, time; t = time.perf_counter(); import vineyard; print(time.perf_counter() - t); \
    sys.exit('pandas' in sys.modules)";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One round with fewer repetitions: does it run, not how fast is it.
    #[arg(long)]
    quick: bool,
    /// Also print the results as JSON.
    #[arg(long)]
    json: bool,
    /// An environment that holds the released package already.
    #[arg(long, env = "VINEYARD_PEER")]
    peer: Option<PathBuf>,
    /// Run the released server on both sides: shows what the machine's noise does to the ratios.
    #[arg(long)]
    noise: bool,
    /// Streams and files instead, also beside the libraries that read and write without shared memory.
    #[arg(long, conflicts_with = "noise")]
    io: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.io {
        return io::run(options);
    }
    let peer = Peer::ready(options.peer.clone())?;
    if !options.noise {
        test::build(true)?;
        test::ours_is(true)?;
    }
    let base = shell::target("bench")?;
    on_a_real_disk(&base)?;
    let package = if options.noise {
        None
    } else {
        // The same libraries as the peer's.
        let environment = Environment::oldest()?;
        environment.install()?;
        Some(environment)
    };
    let bench = Bench {
        options,
        peer,
        package,
        base,
    };
    let mut report = Report {
        floors: floors::measure(&bench.base)?,
        ..Report::default()
    };
    for round in 0..if options.quick { 1 } else { ROUNDS } {
        for side in [Side::Released, Side::Ours] {
            shell::step(&format!("round {}, {}, one node", round + 1, side.name()));
            bench.single_node(side, &mut report)?;
            shell::step(&format!(
                "round {}, {}, {CLUSTER_NODES} nodes",
                round + 1,
                side.name()
            ));
            bench.cluster(side, &mut report)?;
        }
        if let Some(package) = &bench.package {
            shell::step(&format!("round {}, our package on our node", round + 1));
            bench.package(package, &mut report)?;
            shell::step(&format!("round {}, our nodes with TLS", round + 1));
            bench.encrypted(&mut report)?;
        }
    }
    if !options.noise {
        report.client = bench.our_client()?;
    }
    let json = report.to_json();
    let results = bench.base.join("results.json");
    fs::write(&results, serde_json::to_string_pretty(&json)?)?;
    let with_package = bench.package.is_some();
    report.print(with_package);
    if options.json {
        println!("{json}");
    }
    let failed = report.failed(with_package);
    ensure!(
        failed.is_empty(),
        "{} rows fail: {}",
        failed.len(),
        failed.join(", ")
    );
    ensure!(report.broken.is_empty(), "{}", report.broken.join("; "));
    Ok(())
}

struct Bench<'a> {
    options: &'a Options,
    peer: Peer,
    /// Where our package is; absent where only noise is measured.
    package: Option<Environment>,
    base: PathBuf,
}

impl Bench<'_> {
    fn single_node(&self, side: Side, report: &mut Report) -> Result<()> {
        let folder = self.folder()?;
        if side == Side::Released || self.options.noise {
            let released = Released::start(&self.peer, folder.path(), 1, ARENA)?;
            let server = &released.servers()[0];
            self.api_bench(side, &server.socket, &server.endpoint, report);
        } else {
            let node = Node::start(&folder.path().join("0"), plan())?;
            self.api_bench(side, &node.socket(), node.endpoint(), report);
        }
        Ok(())
    }

    fn cluster(&self, side: Side, report: &mut Report) -> Result<()> {
        let folder = self.folder()?;
        if side == Side::Released || self.options.noise {
            let released = Released::start(&self.peer, folder.path(), CLUSTER_NODES, ARENA)?;
            let sockets = [0, 1].map(|at: usize| released.servers()[at].socket.clone());
            self.cluster_bench(side, &sockets, report);
        } else {
            let cluster = Cluster::start_in(folder, CLUSTER_NODES, &plan())?;
            self.cluster_bench(
                side,
                &[0, 1].map(|at: usize| cluster.nodes[at].socket()),
                report,
            );
        }
        Ok(())
    }

    /// The rows of a cluster once more, beside those that `cluster` has measured in plain.
    fn encrypted(&self, report: &mut Report) -> Result<()> {
        let plan = Plan {
            arguments: vec!["--require-tls".to_owned()],
            ..plan()
        };
        let cluster = Cluster::start_in(self.folder()?, CLUSTER_NODES, &plan)?;
        let mut command = self.script(&self.peer.python(), "cluster_bench.py");
        let sockets = [0, 1].map(|at: usize| cluster.nodes[at].socket());
        match self.figures(command.args(sockets)) {
            Ok(figures) => report.encrypted.add(Side::Ours, &figures),
            Err(error) => report.broken.push(format!("with TLS: {error:#}")),
        }
        Ok(())
    }

    /// Our package on our node, with the same script; and what importing it takes.
    fn package(&self, package: &Environment, report: &mut Report) -> Result<()> {
        let folder = self.folder()?;
        let node = Node::start(&folder.path().join("0"), plan())?;
        let mut command = self.script(&package.python(), "api_bench.py");
        match self.api_figures(&mut command, &node.socket(), node.endpoint()) {
            Ok(figures) => report.package.add(Side::Ours, &figures),
            Err(error) => report.broken.push(format!("our package: {error:#}")),
        }
        let mut import = self.command(&package.python());
        let output = import
            .args(["-c", IMPORT])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "`import vineyard` fails or loads pandas"
        );
        let seconds = String::from_utf8(output.stdout)?.trim().parse()?;
        report.imports.push(seconds);
        Ok(())
    }

    fn api_bench(&self, side: Side, socket: &Path, endpoint: &str, report: &mut Report) {
        let mut command = self.script(&self.peer.python(), "api_bench.py");
        match self.api_figures(&mut command, socket, endpoint) {
            Ok(figures) => {
                report.servers.add(side, &figures);
                if side == Side::Released {
                    report.package.add(side, &figures);
                }
            }
            Err(error) => report.broken.push(format!("{}: {error:#}", side.name())),
        }
    }

    fn api_figures(&self, command: &mut Command, socket: &Path, endpoint: &str) -> Result<Value> {
        command.arg(socket).arg(endpoint);
        if self.options.quick {
            command.arg("--quick");
        }
        self.figures(command)
    }

    /// A script that fails fails the bench, at the end: the other rows are still worth reading.
    fn cluster_bench(&self, side: Side, sockets: &[PathBuf; 2], report: &mut Report) {
        let mut command = self.script(&self.peer.python(), "cluster_bench.py");
        match self.figures(command.args(sockets)) {
            Ok(figures) => {
                report.servers.add(side, &figures);
                if side == Side::Ours {
                    // Of one kind of node each column: this one is plain.
                    report.encrypted.add(Side::Released, &figures);
                }
            }
            Err(error) => report.broken.push(format!("{}: {error:#}", side.name())),
        }
    }

    /// Runs our own client's bench on a node of ours and on a cluster.
    fn our_client(&self) -> Result<Value> {
        shell::step("our client on our node");
        let arguments = [
            "run",
            "--release",
            "-q",
            "-p",
            "vineyard-tests",
            "--example",
            "client_bench",
            "--",
        ];
        let mut command = shell::cargo(&arguments);
        if self.options.quick {
            command.arg("--quick");
        }
        let output = command.env(BUILT, "1").stderr(Stdio::inherit()).output()?;
        ensure!(
            output.status.success(),
            "the bench of our client failed: {}",
            output.status
        );
        serde_json::from_slice(&output.stdout)
            .context("the bench of our client prints one JSON object")
    }

    fn script(&self, python: &Path, name: &str) -> Command {
        let mut command = self.command(python);
        command.arg(shell::root().join("tests/bench").join(name));
        command
    }

    fn command(&self, python: &Path) -> Command {
        let mut command = Command::new(python);
        for variable in [
            "VINEYARD_IPC_SOCKET",
            "VINEYARD_RPC_ENDPOINT",
            "VINEYARD_CONFIG",
            "PYTHONPATH",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// What a script measured, as it wrote it.
    fn figures(&self, command: &mut Command) -> Result<Value> {
        let json = self.base.join("figures.json");
        // A script that failed must not be credited with the figures of the one before.
        if json.exists() {
            fs::remove_file(&json)?;
        }
        command
            .arg("--json")
            .arg(&json)
            .stdout(Stdio::from(std::io::stderr()));
        shell::run(command)?;
        Ok(serde_json::from_str(&fs::read_to_string(&json)?)?)
    }

    fn folder(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new()
            .prefix("r")
            .rand_bytes(4)
            .tempdir_in(&self.base)?)
    }
}

fn plan() -> Plan {
    Plan {
        size: ARENA.to_owned(),
        ..Plan::default()
    }
}

/// An fsync on a RAM disk costs nothing and would prove nothing.
fn on_a_real_disk(folder: &Path) -> Result<()> {
    let output = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(folder)
        .output()?;
    let kind = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success() && kind != "tmpfs",
        "{} is on {kind}",
        folder.display()
    );
    Ok(())
}
