//! `cargo xtask check`: what must hold before anybody reads the change. `cargo xtask fix` mends what a machine can.

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
    package()?;
    python::check()
}

/// Changes files: formats them, and mends what the linters can.
pub(crate) fn fix() -> Result<()> {
    let mend = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ];
    shell::run(&mut shell::cargo(&mend))?;
    shell::run(&mut shell::cargo(&["fmt", "--all"]))?;
    python::fix()
}

/// What is fit to be published: the client, and what it needs.
const PUBLISHED: [&str; 5] = [
    "vineyard-env",
    "vineyard-wire",
    "vineyard-shm",
    "vineyard-net",
    "vineyard-client",
];

/// Packs what is published, as cargo does before an upload. Nothing leaves the machine.
fn package() -> Result<()> {
    let mut command = shell::cargo(&["package", "--quiet", "--offline", "--locked"]);
    // The packages were built a moment ago; to build them again from the archives takes minutes.
    command.args(["--no-verify", "--allow-dirty"]);
    for package in PUBLISHED {
        command.args(["-p", package]);
    }
    shell::run(&mut command)
}
