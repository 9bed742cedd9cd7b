//! A node's memory against its machine and its own control group, with real processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::Uid;
use vineyard_tests::binaries::binary;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::skips::skipped;

const LIMIT_BYTES: u64 = 200 << 20;

/// A control group of the first or second version with a limit, removed when dropped.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// Below the group that this test runs in, as a service manager would make it.
    fn make(name: &str) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |controller: &str| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, group) = rest.split_once(':')?;
                (controllers == controller).then_some(group)
            })
        };
        let name = format!("vineyard-{name}-{}", std::process::id());
        for (mount, controller, limit) in [
            ("/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "", "memory.max"),
        ] {
            let Some(group) = own(controller) else {
                continue;
            };
            let folder = PathBuf::from(format!("{mount}{}/{name}", group.trim_end_matches('/')));
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let made = Self { folder };
            if fs::write(made.folder.join(limit), LIMIT_BYTES.to_string()).is_ok() {
                return Some(made);
            }
        }
        None
    }

    /// A script that runs a node in the group.
    fn node(&self, folder: &Path) -> PathBuf {
        let script = folder.join("in-group");
        let procs = self.folder.join("cgroup.procs").display().to_string();
        let node = binary("vineyardd").unwrap().display().to_string();
        fs::write(
            &script,
            format!("#!/bin/sh\necho $$ > {procs} && exec {node} \"$@\"\n"),
        )
        .unwrap();
        let chmod = Command::new("chmod").arg("+x").arg(&script).status();
        assert!(chmod.unwrap().success());
        script
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).ok();
    }
}

fn refused(size: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output: Output = Command::new("timeout")
        .args(["--signal=TERM", "20"])
        .arg(binary("vineyardd").unwrap())
        .args(["--found", "--size", size, "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

#[test]
fn an_arena_beyond_the_machine_is_refused_with_both_figures() {
    let said = refused("1000T");
    let machine = fs::read_to_string("/proc/meminfo").unwrap();
    assert!(machine.contains("MemTotal"));
    assert!(
        said.contains("1000 TiB") && said.contains("GiB of memory"),
        "{said}"
    );
}

#[test]
fn the_default_size_is_half_of_the_own_control_group() {
    let test = "the_default_size_is_half_of_the_own_control_group";
    let group = Group::make("half");
    let needs = [
        ("root", Uid::effective().is_root()),
        ("to make a control group", group.is_some()),
    ];
    if skipped(test, &needs) {
        return;
    }
    let group = group.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        size: "0".to_owned(),
        arguments: vec!["--found".to_owned()],
        before: Some(group.node(folder.path())),
        ..Plan::default()
    };
    let mut node = Node::start(&folder.path().join("n"), plan).unwrap();
    let figures = node.figures().unwrap();
    assert_eq!(figures["memory_limit"], LIMIT_BYTES / 2, "{figures}");
    let log = fs::read_to_string(node.folder().join("log")).unwrap();
    assert!(
        log.contains("200 MiB") && log.contains("control group"),
        "{log}"
    );
    assert!(node.terminate().unwrap().success());
}
