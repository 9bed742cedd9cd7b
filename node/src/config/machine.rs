//! The facts of the machine and of the process that defaults depend on, taken once at the start.
//!
//! `here()` reads files and the environment. All code that depends on the facts takes them as arguments.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reads the machine before the node exists"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::memory::Memory;

/// What `resolve` may know of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub memory: Memory,
    pub current_dir: PathBuf,
    pub temp_dir: PathBuf,
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `/var/run` can be written: sockets of a service go there.
    pub run_dir_writable: bool,
    /// Environment variables that begin with `VINEYARD_`.
    pub variables: BTreeMap<String, String>,
}

impl Machine {
    /// This machine, as it is now.
    pub fn here() -> Self {
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            memory: Memory::read(&|path| std::fs::read_to_string(path).ok()),
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            temp_dir: std::env::temp_dir(),
            home: path("HOME"),
            data_home: path("XDG_DATA_HOME").filter(|p| p.is_absolute()),
            run_dir_writable: writable(Path::new("/var/run")),
            variables: std::env::vars_os()
                .filter_map(text)
                .filter(|(name, _)| name.starts_with("VINEYARD_"))
                .collect(),
        }
    }
}

fn writable(dir: &Path) -> bool {
    nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_a_place_to_work() {
        let machine = Machine::here();
        assert!(machine.memory.usable_bytes() > Some(1 << 20));
        assert!(machine.current_dir.is_absolute() && machine.temp_dir.is_absolute());
    }
}
