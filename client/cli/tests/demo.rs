//! The demo holds, also beside another one, and leaves nothing behind.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it drives real processes"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vineyardctl"))
        .args(["demo", "-o", "json"])
        .env("TMPDIR", folder)
        // It must not reach the demo's own nodes.
        .env("VINEYARD_SIZE", "nonsense")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn two_demos_at_once_hold_and_leave_nothing_behind() {
    let folder = tempfile::Builder::new()
        .prefix("vdemo-")
        .tempdir_in("/tmp")
        .unwrap();
    let demos = [start(folder.path()), start(folder.path())];
    for demo in demos {
        let output = demo.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["ok"], true, "{told}");
        assert!(told["steps"].as_array().unwrap().len() >= 8, "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    use nix::sys::signal::{Signal, kill};
    let folder = tempfile::Builder::new()
        .prefix("vdemo-")
        .tempdir_in("/tmp")
        .unwrap();
    let mut demo = start(folder.path());
    let begun = std::time::Instant::now();
    let sockets = || {
        let inner = std::fs::read_dir(folder.path())
            .unwrap()
            .next()?
            .unwrap()
            .path();
        Some(inner.join("2.sock")).filter(|path| path.exists())
    };
    while sockets().is_none() && demo.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed().as_secs() < 60,
            "the demo does not start its nodes"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill(
        nix::unistd::Pid::from_raw(demo.id().cast_signed()),
        Signal::SIGINT,
    )
    .unwrap();
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
