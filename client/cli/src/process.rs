//! The process of a node on this machine, as the kernel shows it: how it was started, and what bounds it.
//!
//! Promise: it only reads. What this user may not see is an error that says so.
#![allow(
    clippy::disallowed_methods,
    reason = "it looks at a process of this machine"
)]

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use vineyard_node::config::machine::Machine;
use vineyard_node::config::memory::Memory;
use vineyard_node::config::settings::{Settings, settings};

/// The verb of this command line that is a node.
const NODE: &str = "node";

pub(crate) struct Process {
    pub(crate) pid: i32,
    folder: PathBuf,
}

impl Process {
    /// The process that listens at `socket`.
    pub(crate) async fn at(socket: &Path) -> io::Result<Self> {
        let pid = UnixStream::connect(socket).await?.peer_cred()?.pid();
        let unseen =
            || io::Error::other("its process is in another container, or on another machine");
        let pid = pid.filter(|pid| *pid > 0).ok_or_else(unseen)?;
        Ok(Self {
            pid,
            folder: PathBuf::from(format!("/proc/{pid}")),
        })
    }

    /// The user that it runs as.
    pub(crate) fn user(&self) -> io::Result<u32> {
        Ok(fs::metadata(&self.folder)?.uid())
    }

    /// The settings that a restart with the same command line would use.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let looked = self.flags().and_then(|flags| Ok((flags, self.machine()?)));
        let (flags, machine) = looked.map_err(|error| format!("process {}: {error}", self.pid))?;
        settings(flags, &machine).map_err(|error| error.to_string())
    }

    /// What bounds its memory.
    pub(crate) fn memory(&self) -> Memory {
        let here = self.folder.display().to_string();
        Memory::read(&|path| {
            let path = path.replacen("/proc/self", &here, 1);
            fs::read_to_string(path).ok()
        })
    }

    /// How many files it may open now, and at most.
    pub(crate) fn descriptors(&self) -> Option<(u64, u64)> {
        let limits = fs::read_to_string(self.folder.join("limits")).ok()?;
        descriptors(&limits)
    }

    /// The file that its log is written to, if it is one.
    pub(crate) fn log_file(&self) -> Option<PathBuf> {
        let path = fs::read_link(self.folder.join("fd/2")).ok()?;
        fs::metadata(&path).ok()?.is_file().then_some(path)
    }

    fn flags(&self) -> io::Result<Vec<String>> {
        let line = fs::read(self.folder.join("cmdline"))?;
        Ok(flags(&words(&line)))
    }

    /// What it knows of its machine.
    fn machine(&self) -> io::Result<Machine> {
        let variables = words(&fs::read(self.folder.join("environ"))?);
        let variables = variables.iter().filter_map(|word| word.split_once('='));
        let named = |wanted: &str| {
            let mut all = variables.clone();
            let found = all.find(|(name, value)| *name == wanted && !value.is_empty());
            found.map(|(_, value)| PathBuf::from(value))
        };
        Ok(Machine {
            memory: self.memory(),
            current_dir: fs::read_link(self.folder.join("cwd"))?,
            temp_dir: named("TMPDIR").unwrap_or_else(|| "/tmp".into()),
            home: named("HOME"),
            data_home: named("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            variables: variables
                .clone()
                .filter(|(name, _)| name.starts_with("VINEYARD_"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Machine::here()
        })
    }
}

fn words(text: &[u8]) -> Vec<String> {
    let words = text.split(|byte| *byte == 0);
    let words = words.filter(|word| !word.is_empty());
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The node's flags on a command line that started it, in one of the ways there are.
fn flags(line: &[String]) -> Vec<String> {
    let is_verb = |index: usize| line.get(index).is_some_and(|word| word == NODE);
    let is_flag = |index: usize| line.get(index).is_some_and(|word| word.starts_with('-'));
    let before = match () {
        () if is_verb(1) => 2,
        // Behind an interpreter and its script.
        () if is_verb(2) && !is_flag(1) => 3,
        () => 1,
    };
    line.iter().skip(before).cloned().collect()
}

fn descriptors(limits: &str) -> Option<(u64, u64)> {
    let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_stand_behind_the_program_or_the_verb() {
        for line in [
            "vineyardd --size=1M",
            "vineyardctl node --size=1M",
            "python vineyardctl node --size=1M",
        ] {
            let line = words(line.replace(' ', "\0").as_bytes());
            assert_eq!(flags(&line), ["--size=1M"], "{line:?}");
        }
        let last = words(b"vineyardd\0--name\0node\0");
        assert_eq!(flags(&last), ["--name", "node"]);
    }

    #[test]
    fn the_limits_of_a_process_are_read() {
        let text = "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(descriptors(text), Some((1024, 4096)));
        assert!(descriptors("").is_none());
        let me = Process {
            pid: 0,
            folder: "/proc/self".into(),
        };
        assert!(me.descriptors().is_some() && me.memory().machine_bytes.is_some());
    }
}
