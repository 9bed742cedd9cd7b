//! `cargo xtask check`: what must hold before anybody reads the change.

use anyhow::{Result, ensure};
use vineyard_tests::tidy;

use crate::{python, shell};

pub(crate) fn run() -> Result<()> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    shell::step("tidy");
    let untidy = tidy::check(&shell::root())?;
    for line in &untidy {
        eprintln!("{line}");
    }
    ensure!(
        untidy.is_empty(),
        "{} places break the house style",
        untidy.len()
    );
    let lint = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&mut shell::cargo(&lint))?;
    python::check()
}
