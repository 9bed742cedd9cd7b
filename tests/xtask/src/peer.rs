//! The released package: an environment of its own under target/peer, made once per version of its recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell;

#[derive(Debug)]
pub(crate) struct Peer {
    folder: PathBuf,
}

impl Peer {
    /// The environment at `given`, or the one under target, made now if its recipe changed since.
    pub(crate) fn ready(given: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = given {
            let peer = Self {
                folder: fs::canonicalize(&folder).context("the peer's folder")?,
            };
            ensure!(
                peer.server().is_file(),
                "no released vineyard in {}",
                folder.display()
            );
            return Ok(peer);
        }
        let recipe_path = shell::root().join("tests/conformance/setup_peer.sh");
        let recipe = fs::read_to_string(&recipe_path)?;
        let peer = Self {
            folder: shell::target("peer")?,
        };
        let stamp = peer.folder.join("made-by");
        if fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == recipe)
            && peer.server().is_file()
        {
            return Ok(peer);
        }
        shell::run(Command::new(&recipe_path).arg(&peer.folder))
            .context("the released package cannot be had; --without-peer leaves its tests out")?;
        fs::write(&stamp, &recipe)?;
        Ok(peer)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// The released server.
    pub(crate) fn server(&self) -> PathBuf {
        let below = "site-packages/vineyard/bdist/vineyardd";
        let lib = self.folder.join("lib");
        let pythons = fs::read_dir(&lib).into_iter().flatten().flatten();
        let mut servers = pythons.map(|python| python.path().join(below));
        servers
            .find(|server| server.is_file())
            .unwrap_or_else(|| lib.join(below))
    }
}
