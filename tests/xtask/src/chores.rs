//! Chores that need the history of the repository: they build nodes of before.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use vineyard_tests::binaries::BUILT;

use crate::shell::{self, root};

/// The first commit whose data directories and frames a node must understand.
const FIRST: &str = "79c9b97";
/// The commit between that one and the feature levels.
const SECOND: &str = "76c53c3";

#[derive(Subcommand)]
pub(crate) enum Chore {
    /// Replaces nodes of an earlier commit one by one while clients go on.
    Rolling {
        #[arg(long, default_value = FIRST)]
        before: String,
    },
    /// Records the data directories of earlier commits anew, as tests/fixtures has them.
    Record,
}

pub(crate) fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Rolling { before } => rolling(before),
        Chore::Record => record(),
    }
}

fn rolling(commit: &str) -> Result<()> {
    let node = node_of(commit)?;
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

fn record() -> Result<()> {
    let (first, second) = (node_of(FIRST)?, node_of(SECOND)?);
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

/// The `vineyardd` of a commit, built in folders of its own.
fn node_of(commit: &str) -> Result<PathBuf> {
    let folder = shell::target(&format!("before/{commit}"))?;
    let source = folder.join("source");
    if !source.exists() {
        std::fs::create_dir(&source)?;
        let mut archive = Command::new("git");
        archive.current_dir(root()).args(["archive", commit]);
        let mut archive = archive.stdout(Stdio::piped()).spawn()?;
        let tar = archive.stdout.take().context("git has an output")?;
        let unpacked = Command::new("tar")
            .arg("-xC")
            .arg(&source)
            .stdin(tar)
            .status()?;
        ensure!(
            unpacked.success() && archive.wait()?.success(),
            "the history has no commit {commit}"
        );
    }
    let target = folder.join("target");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(&source).env("CARGO_TARGET_DIR", &target);
    build.args([
        "build",
        "--quiet",
        "-p",
        "vineyard-node",
        "--bin",
        "vineyardd",
    ]);
    shell::run(&mut build)?;
    Ok(target.join("debug/vineyardd"))
}
