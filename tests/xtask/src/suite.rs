//! The released package's own tests, run with the released client or with our package against a server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use vineyard_tests::node::Node;

use crate::peer::Peer;
use crate::shell;

/// Tests of the single-node files: core, data and shared_memory.
pub(crate) const SINGLE_NODE_TESTS: u32 = 172;
/// Tests of deploy/test_distributed and deploy/test_migration.
pub(crate) const CLUSTER_TESTS: u32 = 26;

/// Tests that cannot pass with our package on the released server, with their reasons.
const EXCEPTIONS: &str = "tests/conformance/released_server_exceptions.txt";
/// The single-node files.
const SINGLE_NODE_FILES: [&str; 3] = ["core", "data", "shared_memory"];

/// Whose `vineyard` runs the tests.
#[derive(Debug)]
pub(crate) struct Tester<'a> {
    /// Where the test files come from.
    pub(crate) peer: &'a Peer,
    /// The interpreter whose `vineyard` is used.
    pub(crate) python: PathBuf,
    /// Where reports go, below target/suite.
    pub(crate) name: &'static str,
}

impl<'a> Tester<'a> {
    /// The released client.
    pub(crate) fn released(peer: &'a Peer) -> Self {
        Self {
            peer,
            python: peer.python(),
            name: "released-client",
        }
    }
}

/// A server as the suite needs to know it.
pub(crate) struct Served<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) endpoint: &'a str,
}

/// What the suite counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Total {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// The single-node tests on `server`.
pub(crate) fn single_node(tester: &Tester, server: &Served) -> Result<()> {
    let (mut command, _) = suite(tester, "single", server)?;
    command.args(SINGLE_NODE_FILES);
    judge(&mut command, SINGLE_NODE_TESTS)
}

/// The single-node tests on a server where some of them cannot pass: these must fail, and no other.
pub(crate) fn with_exceptions(tester: &Tester, server: &Served) -> Result<()> {
    let (mut command, out) = suite(tester, "released-server", server)?;
    // Reports of an earlier run would be judged again.
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    command.args(SINGLE_NODE_FILES);
    // Its verdict is that of a run without exceptions.
    command.status()?;
    let root = shell::root();
    let mut judge = Command::new(&tester.python);
    judge.arg(root.join("tests/conformance/check_exceptions.py"));
    judge.arg(&out).arg(root.join(EXCEPTIONS));
    shell::run(judge.arg(SINGLE_NODE_TESTS.to_string()))
}

/// The tests of two nodes of one cluster.
pub(crate) fn cluster(tester: &Tester, a: &Served, b: &Served) -> Result<()> {
    let (mut command, _) = suite(tester, "cluster", a)?;
    command.env(
        "IPC_SOCKETS",
        format!("{},{}", a.socket.display(), b.socket.display()),
    );
    command.env("CLUSTER_ENDPOINT", a.endpoint).arg("deploy");
    judge(&mut command, CLUSTER_TESTS)
}

/// The test of streams on `server`; it sleeps most of its 45 s. It reads and writes in threads, and passes even if both
/// end by exceptions: these are made errors.
pub(crate) fn streams(tester: &Tester, server: &Served) -> Result<Command> {
    let mut command = streams_as_released(tester, server)?;
    let strict = "-W error::pytest.PytestUnhandledThreadExceptionWarning";
    command.env("PYTEST_ADDOPTS", strict);
    Ok(command)
}

/// The same, with exceptions of its threads left alone: the released classes raise them on every server.
pub(crate) fn streams_as_released(tester: &Tester, server: &Served) -> Result<Command> {
    let (mut command, _) = suite(tester, "streams", server)?;
    command.arg("io/test_stream");
    Ok(command)
}

/// Kills `node` under an object of the released client, and reads it with that client after a restart.
pub(crate) fn lost_bytes(peer: &Peer, node: &mut Node) -> Result<()> {
    let script = shell::root().join("tests/conformance/lost_bytes.py");
    let put = Command::new(peer.python())
        .arg(&script)
        .arg("put")
        .arg(node.socket())
        .output()?;
    let complaint = String::from_utf8_lossy(&put.stderr);
    ensure!(
        put.status.success(),
        "the released client cannot put: {complaint}"
    );
    node.kill()?;
    node.start_again()?;
    let words = String::from_utf8(put.stdout)?;
    let mut get = Command::new(peer.python());
    get.arg(&script)
        .arg("get")
        .arg(node.socket())
        .args(words.split_whitespace());
    shell::run(&mut get)
}

/// The command, and where it leaves its reports.
fn suite(tester: &Tester, name: &str, server: &Served) -> Result<(Command, PathBuf)> {
    let mut command = Command::new(shell::root().join("tests/conformance/run_released_suite.sh"));
    command
        .arg(tester.peer.folder())
        .arg(&tester.python)
        .arg(server.socket)
        .arg(server.endpoint);
    let out = shell::target("suite")?.join(tester.name).join(name);
    command.env("OUT", &out);
    Ok((command, out))
}

fn judge(command: &mut Command, expected: u32) -> Result<()> {
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    print!("{text}");
    let total = total(&text).context("the suite printed no total")?;
    let wanted = Total {
        passed: expected,
        failed: 0,
        skipped: 0,
    };
    ensure!(total == wanted, "expected {wanted:?}, got {total:?}");
    Ok(())
}

/// Reads `TOTAL passed P failed F skipped S`.
fn total(text: &str) -> Option<Total> {
    let line = text.lines().rev().find(|line| line.starts_with("TOTAL "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse().ok();
    Some(Total {
        passed: number(2)?,
        failed: number(4)?,
        skipped: number(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_line_is_read() {
        let text =
            "core/test_client passed 7 failed 0 skipped 0\nTOTAL passed 9 failed 1 skipped 2\n";
        assert_eq!(
            total(text),
            Some(Total {
                passed: 9,
                failed: 1,
                skipped: 2
            })
        );
        assert_eq!(total("no total"), None);
    }
}
