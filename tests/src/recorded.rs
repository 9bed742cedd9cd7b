//! Data directories that builds of before wrote, kept in `tests/fixtures`.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::root;

/// Where a recorded node listened. The nodes of a cluster know each other's addresses, so these are fixed: on a
/// loopback address that nothing else uses.
pub fn listen(nodes: usize, index: usize) -> String {
    format!("127.79.97.{}:{}", 10 * nodes + index, 47_190 + index)
}

/// A cluster's folders, unpacked. Tests that use the same addresses wait for each other.
#[derive(Debug)]
pub struct Recorded {
    pub folder: TempDir,
    /// What must be found: `objects`, `names`, `deleted`.
    pub expected: Value,
    _alone: File,
}

impl Recorded {
    pub fn unpack(name: &str) -> Result<Self> {
        let alone = File::create(std::env::temp_dir().join("vineyard-recorded.lock"))?;
        alone.lock()?;
        let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
        let archive = root().join(format!("tests/fixtures/{name}.tar.xz"));
        let mut tar = Command::new("tar");
        tar.args(["--no-same-owner", "-xpJf"]).arg(&archive);
        let unpacked = tar.arg("-C").arg(folder.path()).status()?;
        ensure!(
            unpacked.success(),
            "{} cannot be unpacked",
            archive.display()
        );
        let expected = read(&folder.path().join("expected.json"))?;
        Ok(Self {
            folder,
            expected,
            _alone: alone,
        })
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}
