//! The demo's nodes: child processes, most often of this same binary, in a folder of their own.
//!
//! Promise: whatever ends the demo (an end, a false check, a panic, Ctrl-C), dropping `Nodes` kills and reaps each
//! child and removes the folder. Names and ports are free ones, so demos do not meet.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;
use vineyard_client::{Client, Options};
use vineyard_wire::reply::{ClusterStatus, Liveness};

use crate::failure::Failure;

pub(super) const COUNT: usize = 3;
/// Longest wait for a node to do what it was told. It is far above what is usual: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// The longest socket path this system takes, less the name of the socket.
const FOLDER_BYTES_MAX: usize = 90;
const ARENA: &str = "256M";
/// Lines of a node's log that are shown when the demo fails.
const LOG_LINES: usize = 12;

pub(super) struct Nodes {
    /// What starts a node, its flags to follow: a program and its first words.
    command: Vec<OsString>,
    nodes: Vec<Node>,
    /// After the nodes, so that it is removed when nobody writes there any more.
    folder: tempfile::TempDir,
}

struct Node {
    socket: PathBuf,
    data_dir: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a child that is gone already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Nodes {
    pub(super) fn new(command: Vec<OsString>) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("vineyard-demo-");
        let base = std::env::temp_dir();
        let short = base.as_os_str().len() + "/vineyard-demo-xxxxxx".len() <= FOLDER_BYTES_MAX;
        let folder = builder.tempdir_in(if short { &base } else { Path::new("/tmp") });
        let folder = folder.map_err(|e| Failure::local("make a temporary folder", e))?;
        let node = |number: usize| Node {
            socket: folder.path().join(format!("{number}.sock")),
            data_dir: folder.path().join(format!("{number}")),
            log: folder.path().join(format!("{number}.log")),
            child: None,
        };
        Ok(Self {
            command,
            nodes: (1..=COUNT).map(node).collect(),
            folder,
        })
    }

    pub(super) fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Starts node `number` (1, 2, 3) for the first time, on a free port.
    pub(super) fn start(
        &mut self,
        number: usize,
        join: Option<(&str, &str)>,
    ) -> Result<(), Failure> {
        let socket = self.node(number).socket.display().to_string();
        let mut flags = vec![
            "--socket",
            &socket,
            "--listen",
            "127.0.0.1:0",
            "--size",
            ARENA,
        ];
        match join {
            Some((endpoint, _)) => flags.extend(["--join", endpoint]),
            None => flags.push("--found"),
        }
        self.spawn(number, &flags, join.map(|(_, token)| token))
    }

    /// Starts node `number` again, with its data directory and no other flag.
    pub(super) fn restart(&mut self, number: usize) -> Result<(), Failure> {
        self.spawn(number, &[], None)
    }

    /// The token is in the environment, where only this user sees it.
    fn spawn(&mut self, number: usize, flags: &[&str], token: Option<&str>) -> Result<(), Failure> {
        let (program, words) = self
            .command
            .split_first()
            .expect("a command begins with a program");
        let mut command = Command::new(program);
        command.args(words);
        let node = &mut self.nodes[number - 1];
        assert!(
            node.child.is_none(),
            "a node is started when it does not run"
        );
        let fault = |doing: &str, source| Failure::local(format!("{doing} node {number}"), source);
        let log = File::options().create(true).append(true).open(&node.log);
        let log = log.map_err(|e| fault("open the log of", e))?;
        command.arg("--data-dir").arg(&node.data_dir).args(flags);
        // What the user's shell says of other nodes must not reach these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VINEYARD_") {
                command.env_remove(name);
            }
        }
        command.envs(token.map(|token| ("VINEYARD_TOKEN", token)));
        let output = log.try_clone().map_err(|e| fault("open the log of", e))?;
        command.stdin(Stdio::null()).stdout(output).stderr(log);
        node.child = Some(command.spawn().map_err(|e| fault("start", e))?);
        Ok(())
    }

    /// A client of node `number` over its Unix socket, as soon as the node answers.
    pub(super) async fn client(&mut self, number: usize) -> Result<Client, Failure> {
        let options = Options::default();
        let socket = self.node(number).socket.display().to_string();
        let begun = Instant::now();
        loop {
            self.must_run(number)?;
            match Client::connect_ipc(&socket, &options).await {
                Ok(client) => return Ok(client),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(Failure::Demo(format!(
                        "node {number} does not answer: {error}"
                    )));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Fails if node `number` has ended, with what it said last.
    fn must_run(&mut self, number: usize) -> Result<(), Failure> {
        match self.exited(number)? {
            None => Ok(()),
            Some(status) => Err(Failure::Demo(format!(
                "node {number} ended on its own: {status}"
            ))),
        }
    }

    fn exited(&mut self, number: usize) -> Result<Option<ExitStatus>, Failure> {
        let child = self.nodes[number - 1]
            .child
            .as_mut()
            .expect("the node was started");
        child
            .try_wait()
            .map_err(|e| Failure::local(format!("look at node {number}"), e))
    }

    /// Ends node `number` with `signal`: `SIGTERM` must end it cleanly, `SIGKILL` at once.
    pub(super) async fn stop(&mut self, number: usize, signal: Signal) -> Result<(), Failure> {
        let child = self.nodes[number - 1]
            .child
            .as_ref()
            .expect("the node was started");
        let process = Pid::from_raw(child.id().cast_signed());
        let fault =
            |e: nix::Error| Failure::local(format!("signal node {number}"), io::Error::from(e));
        kill(process, signal).map_err(fault)?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.exited(number)? {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::Demo(format!(
                    "node {number} did not end after {signal}"
                )));
            }
            tokio::time::sleep(POLL).await;
        };
        self.nodes[number - 1].child = None;
        let expected = match signal {
            Signal::SIGKILL => status.signal() == Some(Signal::SIGKILL as i32),
            _ => status.success(),
        };
        if expected {
            return Ok(());
        }
        Err(Failure::Demo(format!(
            "node {number} ended after {signal} with {status}"
        )))
    }

    /// The sockets that are still in the folder.
    pub(super) fn sockets_left(&self) -> Vec<&Path> {
        self.nodes
            .iter()
            .map(|node| node.socket.as_path())
            .filter(|path| path.exists())
            .collect()
    }

    /// The number of the node whose socket is `path`.
    pub(super) fn number_of(&self, path: &str) -> Option<usize> {
        let found = self
            .nodes
            .iter()
            .position(|node| node.socket == Path::new(path));
        found.map(|index| index + 1)
    }

    /// The last lines each node logged, to explain a failure.
    pub(super) fn logs(&self) -> String {
        let mut text = String::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let log = std::fs::read_to_string(&node.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&format!("--- node {}\n", index + 1));
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                text.push_str(&format!("{line}\n"));
            }
        }
        text
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }
}

/// Asks until `client`'s node answers with a status that is `wanted`.
pub(super) async fn wait_for(
    client: &Client,
    what: &str,
    wanted: impl Fn(&ClusterStatus) -> bool,
) -> Result<ClusterStatus, Failure> {
    let begun = Instant::now();
    loop {
        let status = client.cluster_status().await;
        if let Ok(status) = &status
            && wanted(status)
        {
            return Ok(status.clone());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::Demo(format!(
                "waited {PATIENCE:?} for {what}; last: {status:?}"
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// All nodes are up and vote, and one leads.
pub(super) fn is_whole(status: &ClusterStatus) -> bool {
    let up = status
        .nodes
        .iter()
        .filter(|node| node.state == Liveness::Up);
    let (voters, count) = (status.cluster.voters, COUNT as u64);
    status.cluster.leader.is_some() && voters == count && up.count() == COUNT
}
