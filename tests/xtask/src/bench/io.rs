//! `cargo xtask bench --io`: streams and files. Our package and our Rust client on our node, the released client on
//! both servers, and the libraries that read and write the same without shared memory, in the same rounds.
//!
//! A row that is missing, an error instead of a figure and a ratio below the required one all fail.

mod rows;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vineyard_tests::binaries::BUILT;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Node;

use super::{ARENA, Bench, CLUSTER_NODES, Options, on_a_real_disk, plan};
use crate::peer::Peer;
use crate::python::Environment;
use crate::released::Released;
use crate::{shell, test};
use rows::{OURS, RELEASED, RELEASED_ON_OURS, RUST};
use table::Table;

const ROUNDS: usize = 5;
const STREAMS: &str = "io_streams.py";
const FILES: &str = "io_files.py";

pub(super) fn run(options: &Options) -> Result<()> {
    let peer = Peer::ready(options.peer.clone())?;
    test::build(true)?;
    test::ours_is(true)?;
    let package = Environment::bench()?;
    package.install()?;
    let base = shell::target("bench")?;
    on_a_real_disk(&base)?;
    let bench = Bench {
        options,
        peer,
        package: None,
        base,
    };
    let files = bench.base.join("io");
    let mut make = bench.script(&package.python(), FILES);
    make.arg("--make").arg(&files);
    shell::run(quick(options, &mut make))?;
    let io = Io {
        bench,
        package,
        files,
    };
    let mut table = Table::default();
    for round in 1..=if options.quick { 1 } else { ROUNDS } {
        shell::step(&format!("round {round}"));
        io.released(&mut table)?;
        io.ours(&mut table)?;
        io.between_nodes(&mut table)?;
    }
    let json = table.to_json();
    let results = io.bench.base.join("io.json");
    fs::write(&results, serde_json::to_string_pretty(&json)?)?;
    table.print();
    if options.json {
        println!("{json}");
    }
    let failed = table.failed();
    ensure!(
        failed.is_empty(),
        "{} rows fail: {}",
        failed.len(),
        failed.join("; ")
    );
    Ok(())
}

struct Io<'a> {
    bench: Bench<'a>,
    package: Environment,
    /// What is read.
    files: PathBuf,
}

impl Io<'_> {
    fn released(&self, table: &mut Table) -> Result<()> {
        let folder = self.bench.folder()?;
        let released = Released::start(&self.bench.peer, folder.path(), 1, ARENA)?;
        let server = &released.servers()[0];
        let python = self.bench.peer.python();
        self.streams(RELEASED, &python, &server.socket, table);
        let mut command = self.files(&python, &server.socket, &server.endpoint);
        self.measure(RELEASED, &mut command, table);
        Ok(())
    }

    fn ours(&self, table: &mut Table) -> Result<()> {
        let folder = self.bench.folder()?;
        let node = Node::start(&folder.path().join("0"), plan())?;
        let (socket, python) = (node.socket(), self.package.python());
        self.streams(RELEASED_ON_OURS, &self.bench.peer.python(), &socket, table);
        self.streams(OURS, &python, &socket, table);
        let mut command = self.files(&python, &socket, node.endpoint());
        self.measure(OURS, command.arg("--beside"), table);
        let figures = self.rust(&socket)?;
        table.add(RUST, &figures);
        Ok(())
    }

    fn between_nodes(&self, table: &mut Table) -> Result<()> {
        let cluster = Cluster::start_in(self.bench.folder()?, CLUSTER_NODES, &plan())?;
        let mut command = self.bench.script(&self.package.python(), STREAMS);
        command.arg(cluster.nodes[0].socket());
        command.arg("--there").arg(cluster.nodes[1].socket());
        self.measure(OURS, &mut command, table);
        Ok(())
    }

    fn streams(&self, side: &'static str, python: &Path, socket: &Path, table: &mut Table) {
        let mut command = self.bench.script(python, STREAMS);
        self.measure(side, command.arg(socket), table);
    }

    fn files(&self, python: &Path, socket: &Path, endpoint: &str) -> Command {
        let mut command = self.bench.script(python, FILES);
        command.arg(socket).arg(endpoint).arg(&self.files);
        // The released package starts the programs of its environment by their names.
        let programs = python.parent().map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = programs.into_iter().chain(std::env::split_paths(&path));
        let paths = std::env::join_paths(paths);
        command.env("PATH", paths.expect("a path of a path has no colon"));
        command
    }

    /// A script that fails fails the bench, at the end: the other rows are still worth reading.
    fn measure(&self, side: &'static str, command: &mut Command, table: &mut Table) {
        match self.bench.figures(quick(self.bench.options, command)) {
            Ok(figures) => table.add(side, &figures),
            Err(error) => table.broken(format!("{side}: {error:#}")),
        }
    }

    /// Our Rust client, whose two sides are processes of their own as well.
    fn rust(&self, socket: &Path) -> Result<Value> {
        let example = ["-p", "vineyard-tests", "--example", "stream_bench", "--"];
        let mut command = shell::cargo(&["run", "--release", "-q"]);
        command.args(example).arg(socket).env(BUILT, "1");
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(
            output.status.success(),
            "the bench of our Rust client failed: {}",
            output.status
        );
        serde_json::from_slice(&output.stdout)
            .context("the bench of our Rust client prints one JSON object")
    }
}

fn quick<'a>(options: &Options, command: &'a mut Command) -> &'a mut Command {
    if options.quick {
        command.arg("--quick");
    }
    command
}
