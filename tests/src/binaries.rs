//! Where the product's binaries are: built once per test process, so that a test never runs a stale one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// Set by xtask, which has built them already.
pub const BUILT: &str = "VINEYARD_BINARIES_BUILT";

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(PathBuf::from).unwrap_or(tests)
}

static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Fixes the folder of the binaries, which are built already.
pub fn use_folder(folder: PathBuf) -> Result<()> {
    let known = FOLDER.get_or_init(|| Ok(folder.clone()));
    ensure!(
        known.as_ref() == Ok(&folder),
        "binaries were taken from {known:?} before"
    );
    Ok(())
}

/// The path of one of our binaries, of the same profile as the running program.
pub fn binary(name: &str) -> Result<PathBuf> {
    match FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) => bail!("{error}"),
    }
}

/// The path of one of the client's examples, as `binary`.
pub fn example(name: &str) -> Result<PathBuf> {
    static EXAMPLES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || -> Result<PathBuf> {
        let folder = profile_folder()?;
        cargo_build(&folder, &["-p", "vineyard-client", "--examples"])?;
        Ok(folder.join("examples"))
    };
    match EXAMPLES.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> Result<PathBuf> {
    let folder = profile_folder()?;
    let packages = ["vineyard-node", "vineyardctl", "vineyard-sim"];
    let chosen: Vec<&str> = packages.iter().flat_map(|one| ["-p", one]).collect();
    cargo_build(&folder, &chosen)?;
    Ok(folder)
}

/// Builds what is chosen into `folder`, unless xtask has.
fn cargo_build(folder: &Path, chosen: &[&str]) -> Result<()> {
    if std::env::var_os(BUILT).is_some() {
        return Ok(());
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet"]);
    cargo.args(chosen);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    ensure!(cargo.status()?.success(), "{chosen:?} do not build");
    Ok(())
}

/// `target/debug` or `target/release`: test executables live in `deps` below it, examples in `examples`.
fn profile_folder() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let mut above = exe.ancestors();
    let folder = above.find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    folder
        .map(PathBuf::from)
        .with_context(|| format!("{} is not in a target folder", exe.display()))
}
