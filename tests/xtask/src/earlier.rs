//! An earlier commit of this repository: its source, and its node, in folders of their own under target/before.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use vineyard_tests::binaries::BUILT;

use crate::shell::{self, root};

pub(crate) struct Earlier {
    folder: PathBuf,
}

impl Earlier {
    /// Unpacks the source of `commit`, once.
    pub(crate) fn at(commit: &str) -> Result<Self> {
        let folder = shell::target(&format!("before/{commit}"))?;
        let earlier = Self { folder };
        let source = earlier.source();
        if source.exists() {
            return Ok(earlier);
        }
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
        Ok(earlier)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Has its tests start the nodes and the command line of another build, which founds a cluster only when told to,
    /// and says differently that it is ready.
    pub(crate) fn use_nodes_of(&self, build: &Path) -> Result<()> {
        let target = self.source().join("target/debug");
        std::fs::create_dir_all(&target)?;
        let node = format!(
            "#!/bin/bash\ncase \"$*\" in\n*--join*|*--help*|*--version*) found= ;;\n*) found=--found ;;\nesac\n\
             for (( at = 1; at < $#; at++ )); do\n\
             [ \"${{!at}}\" = --data-dir ] && next=$((at + 1)) && [ -e \"${{!next}}/node.json\" ] && found=\ndone\n\
             exec {}/vineyardd \"$@\" $found\n",
            build.display()
        );
        let command_line = format!("#!/bin/sh\nexec {}/vineyardctl \"$@\"\n", build.display());
        for (name, script) in [("vineyardd", node), ("vineyardctl", command_line)] {
            let path = target.join(name);
            std::fs::write(&path, script)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        let fixtures = self.source().join("client/python/tests/conftest.py");
        let text = std::fs::read_to_string(&fixtures)?;
        let ready = text.replace("a node: vineyardd --join", "a node: .*vineyardd --join");
        ensure!(
            ready.contains("a node: .*vineyardd --join"),
            "{} does not wait for the line that says that a node is ready",
            fixtures.display()
        );
        std::fs::write(&fixtures, ready)?;
        Ok(())
    }

    /// The tests of its Rust client against real nodes.
    pub(crate) fn client_tests(&self) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(self.source())
            .env_remove("CARGO_TARGET_DIR")
            .env(BUILT, "1");
        command.args(["test", "--quiet", "-p", "vineyard-tests", "--test", "main"]);
        command.arg("client::");
        command
    }

    /// The path of its `vineyardd`, built now if it was not.
    pub(crate) fn node(&self, release: bool) -> Result<PathBuf> {
        let mut build = Command::new(env!("CARGO"));
        build
            .current_dir(self.source())
            .env_remove("CARGO_TARGET_DIR");
        build.args(["build", "--quiet", "-p", "vineyard-node"]);
        build.args(["--bin", "vineyardd"]);
        let profile = if release {
            build.arg("--release");
            "release"
        } else {
            "debug"
        };
        shell::run(&mut build)?;
        Ok(self.source().join("target").join(profile).join("vineyardd"))
    }
}
