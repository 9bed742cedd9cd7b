//! `cargo xtask dist wheel`: the one wheel of our Python package, for Python 3.11 and later and a glibc of 2.28 and
//! later.
//!
//! The crates are those of any optimized build; only the last link differs: zig has the symbols of old glibc versions.
//! maturin audits which symbols the extension asks for, and refuses a wheel whose tag promises too much.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::python::Environment;
use crate::shell;

const GLIBC: &str = "2.28";
const PLATFORM: &str = "manylinux_2_28";
const PYTHON: &str = "cp311-abi3";
/// What the quick start uses beside the package, which requires nothing.
const QUICK_START_USES: &str = "numpy";

/// Makes the wheel, and returns where it is.
pub(crate) fn wheel() -> Result<PathBuf> {
    let tools = Environment::wheel()?;
    let folder = shell::target("dist")?;
    let linker = linker(&tools, &folder)?;
    let fresh = tempfile::Builder::new()
        .prefix("wheel-")
        .tempdir_in(&folder)?;
    let mut maturin = tools.run();
    maturin
        .args(["-m", "maturin", "build", "--release", "--locked"])
        .args(["--manifest-path", "client/python/Cargo.toml"])
        .args(["--compatibility", PLATFORM, "--out"])
        .arg(fresh.path())
        .arg("--")
        .arg(format!("-Clinker={}", linker.display()));
    shell::run(&mut maturin)?;
    let made = only_file(fresh.path())?;
    let name = made
        .file_name()
        .and_then(|name| name.to_str())
        .context("a wheel has a name")?;
    let tag = format!("-{PYTHON}-{PLATFORM}_{}.whl", std::env::consts::ARCH);
    ensure!(name.ends_with(&tag), "{name} does not end with {tag}");
    let wheel = folder.join(name);
    fs::rename(&made, &wheel)?;
    eprintln!("   {}", wheel.display());
    Ok(wheel)
}

/// Installs the wheel where nothing else is but what the quick start uses, and runs the README's quick start there.
pub(crate) fn test(wheel: &Path) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("bare-").tempdir()?;
    let bare = folder.path().join("python");
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&bare))?;
    let mut install = Command::new(bare.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]);
    shell::run(install.arg(wheel).arg(QUICK_START_USES))?;
    shell::step("the quick start with the wheel");
    Environment::oldest()?.quick_start(&bare.join("bin"))
}

/// A program that links as `cc` does, against an old glibc.
fn linker(tools: &Environment, folder: &Path) -> Result<PathBuf> {
    let programs = tools.programs();
    let script = format!(
        "#!/bin/sh\nPATH=\"{0}:$PATH\" exec \"{0}/maturin\" zig cc -- -target {1}-linux-gnu.{GLIBC} \"$@\"\n",
        programs.display(),
        std::env::consts::ARCH,
    );
    let path = folder.join("linker");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    ensure!(files.len() == 1, "one wheel was expected: {files:?}");
    Ok(files[0].path())
}
