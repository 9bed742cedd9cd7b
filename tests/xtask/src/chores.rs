//! Chores that take too long for each change: most build nodes of before, from the history of the repository.

use anyhow::{Context, Result};
use clap::Subcommand;
use vineyard_tests::binaries::BUILT;

use crate::earlier::Earlier;
use crate::peer::Peer;
use crate::python::Environment;
use crate::{io, python, shell, test};

/// The first commit whose data directories and frames a node must understand.
const FIRST: &str = "79c9b97";
/// The commit between that one and the feature levels.
const SECOND: &str = "76c53c3";
/// Tests of the first commit's Python package that are left out, by name, each with its reason.
const LEFT_OUT: &str = "tests/left_out_of_before.txt";

#[derive(Subcommand)]
pub(crate) enum Chore {
    /// Replaces nodes of an earlier commit one by one while clients go on.
    Rolling {
        #[arg(long, default_value = FIRST)]
        before: String,
    },
    /// Runs the tests of an earlier commit's clients, Rust and Python, on nodes of today.
    Client {
        #[arg(long, default_value = FIRST)]
        before: String,
    },
    /// Records the data directories of earlier commits anew, as tests/fixtures has them.
    Record,
    /// Tries many random values of every type on the Python package, with the oldest and the newest libraries.
    Examples {
        /// For each test.
        #[arg(long, default_value_t = 20_000)]
        count: u32,
    },
    /// Runs many simulated seeds: usual ones, formations, some of them twice, and every injected fault. A run that was
    /// ended goes on where it was, if the commit is the same.
    Seeds {
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        #[arg(long, default_value_t = 200)]
        formations: u64,
        #[arg(long, default_value_t = 50)]
        twice: u64,
    },
    /// Moves much through streams of a small arena: between processes, between nodes, and by released clients.
    Io(io::Options),
}

pub(crate) fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Rolling { before } => rolling(before),
        Chore::Client { before } => client(before),
        Chore::Record => record(),
        Chore::Examples { count } => python::examples(*count),
        Chore::Seeds {
            seeds,
            formations,
            twice,
        } => many_seeds(*seeds, *formations, *twice),
        Chore::Io(options) => io::run(options),
    }
}

fn many_seeds(seeds: u64, formations: u64, twice: u64) -> Result<()> {
    let until = |count: u64| format!("0..{count}");
    let commit = shell::commit()?;
    let kept = shell::target("chore")?.join(format!("seeds-{commit}.jsonl"));
    test::simulate(&["formation", "--seeds", &until(formations)])?;
    test::simulate(&["twice", "--seeds", &until(twice)])?;
    test::simulate(&["planted", "--jobs", test::JOBS, "--print"])?;
    let run = ["run", "--jobs", test::JOBS, "--seeds", &until(seeds)];
    let kept = kept.to_string_lossy();
    test::simulate(&[run.as_slice(), &["--keep", &kept]].concat())
}

fn rolling(commit: &str) -> Result<()> {
    let node = Earlier::at(commit)?.node(false)?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--quiet",
        "-p",
        "vineyard-node",
        "-p",
        "vineyardctl",
    ]))?;
    let tests = [
        "test",
        "--quiet",
        "-p",
        "vineyard-tests",
        "--test",
        "main",
        "rolling",
        "--",
        "--nocapture",
    ];
    let mut command = shell::cargo(&tests);
    shell::run(command.env("VINEYARD_TEST_BEFORE", node).env(BUILT, "1"))
}

fn client(commit: &str) -> Result<()> {
    test::build(false)?;
    let earlier = Earlier::at(commit)?;
    earlier.use_nodes_of(&shell::target("debug")?)?;
    shell::run(&mut earlier.client_tests())?;
    let package = Environment::before()?;
    package.install_from(&earlier.source().join("client/python"))?;
    package.tests_of(&earlier.source(), &Peer::ready(None)?, &left_out()?)
}

/// Tests of the earlier package that ask for what has changed since on purpose.
fn left_out() -> Result<Vec<String>> {
    let path = shell::root().join(LEFT_OUT);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split('\t').next());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

fn record() -> Result<()> {
    let (first, second) = (
        Earlier::at(FIRST)?.node(false)?,
        Earlier::at(SECOND)?.node(false)?,
    );
    let fixtures = [
        (&first, "1", "20", format!("{FIRST}-one"), false),
        (&first, "3", "5200", format!("{FIRST}-three"), false),
        (&second, "1", "20", format!("{SECOND}-one"), true),
    ];
    for (binary, nodes, entries, name, founds_by_word) in fixtures {
        let mut command = shell::cargo(&["run", "-p", "vineyard-tests", "--example"]);
        command.args(["record_directory", "--"]);
        command.arg(binary).args([nodes, entries, name.as_str()]);
        if founds_by_word {
            command.env("RECORD_WITH_FOUND", "1");
        }
        shell::run(&mut command)?;
    }
    Ok(())
}
