//! The facts of the machine and of the process that defaults depend on, taken once at the start.
//!
//! `here()` reads files and the environment. All code that depends on the facts takes them as arguments.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reads the machine before the node exists"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `resolve` may know of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What this process may use: the smallest of its control group's limit and the physical memory.
    pub memory_bytes: Option<u64>,
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
            memory_bytes: memory_bytes(),
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

fn memory_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let group = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|text| text.trim().parse::<u64>().ok());
    let physical = read("/proc/meminfo").and_then(|text| total_bytes(&text));
    match (group, physical) {
        (Some(group), Some(physical)) => Some(group.min(physical)),
        (group, physical) => group.or(physical),
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_memory_is_read_from_meminfo() {
        assert_eq!(
            total_bytes("MemTotal:       24689764 kB\nMemFree: 1 kB\n"),
            Some(24_689_764 << 10)
        );
        assert_eq!(total_bytes("nothing"), None);
    }

    #[test]
    fn this_machine_has_memory_and_a_place_to_work() {
        let machine = Machine::here();
        assert!(machine.memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(machine.current_dir.is_absolute() && machine.temp_dir.is_absolute());
    }
}
