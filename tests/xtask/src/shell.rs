//! Running programs, with what is run and how long it took on the screen.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub(crate) use vineyard_tests::binaries::root;

/// Runs `command` and lets it print; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    step(&line);
    let started = Instant::now();
    let status = command.status().with_context(|| line.clone())?;
    ensure!(status.success(), "{line}: {status}");
    eprintln!("   {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// One of several things to do at the same time.
pub(crate) type Work<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Does all of it at the same time: what one waits for, another uses. The first error, if there is one, after all have
/// ended.
pub(crate) fn at_once(works: Vec<Work>) -> Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        let ends: Vec<_> = running.into_iter().map(|work| work.join()).collect();
        ends.into_iter()
            .try_for_each(|end| end.expect("work ends with an error, not a panic"))
    })
}

/// Announces what comes next.
pub(crate) fn step(what: &str) {
    eprintln!("-> {what}");
}

/// `cargo` with these arguments, in the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(arguments);
    command
}

/// The commit that is checked out, shortened, with a mark if files differ from it.
pub(crate) fn commit() -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(root())
        .args(["describe", "--always", "--dirty", "--exclude=*"]);
    let output = git.output().context("git")?;
    ensure!(output.status.success(), "git: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A folder below `target`, made if it is not there.
pub(crate) fn target(name: &str) -> Result<PathBuf> {
    let base =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = base.join(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
