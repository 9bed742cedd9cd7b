//! One node of ours as a process of its own, in a folder of its own, on ports the system picks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binaries::binary;
use crate::process::Process;
use crate::raw::Raw;
use crate::wait;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// How to start a node for the first time.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As `--size` takes it.
    pub size: String,
    /// As `--listen` takes it.
    pub listen: String,
    /// `(endpoint, token)` of a cluster to join.
    pub join: Option<(String, String)>,
    /// Environment of every start, for a preloaded library or a log level.
    pub environment: Vec<(OsString, OsString)>,
    /// Soft and hard limit of open descriptors of every start.
    pub descriptors: Option<u64>,
    /// More flags, of every start.
    pub arguments: Vec<String>,
    /// The binary of a build of before: one that founds without being told to.
    pub before: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            size: "256M".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            join: None,
            environment: Vec::new(),
            descriptors: None,
            arguments: Vec::new(),
            before: None,
        }
    }
}

#[derive(Debug)]
pub struct Node {
    folder: PathBuf,
    plan: Plan,
    endpoint: String,
    instance: u64,
    process: Option<Process>,
}

impl Node {
    /// Starts a node whose socket, data and log are in `folder`, and waits until it serves.
    pub fn start(folder: &Path, plan: Plan) -> Result<Self> {
        let mut node = Self::planned(folder, plan)?;
        node.start_again()?;
        Ok(node)
    }

    /// A node that has not been started yet.
    pub fn planned(folder: &Path, plan: Plan) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            plan,
            endpoint: String::new(),
            instance: 0,
            process: None,
        })
    }

    /// How the next start goes. What the data directory remembers stays.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// The same data directory, a new process.
    pub fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts the process and does not wait: a cluster that lost all its nodes is ready only when most are back.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(
            self.process.is_none(),
            "{} runs already",
            self.folder.display()
        );
        let program = match &self.plan.before {
            Some(before) => before.clone(),
            None => binary("vineyardd")?,
        };
        let mut command = limited(&program, self.plan.descriptors);
        command.arg("--data-dir").arg(self.data_dir());
        // The data directory remembers the rest: a restart needs no other flag.
        if self.endpoint.is_empty() {
            command.arg("--socket").arg(self.socket());
            command.args(["--size", &self.plan.size, "--listen", &self.plan.listen]);
            match &self.plan.join {
                Some((endpoint, token)) => {
                    command.args(["--join", endpoint]);
                    // A build of before takes it as an argument alone.
                    match self.plan.before {
                        Some(_) => command.args(["--token", token]),
                        None => command.env("VINEYARD_TOKEN", token),
                    };
                }
                None if self.plan.before.is_some() => {}
                None => drop(command.arg("--found")),
            }
        }
        command.args(&self.plan.arguments);
        command.envs(self.plan.environment.iter().cloned());
        let name = self.folder.display().to_string();
        self.process = Some(Process::start(
            &name,
            &mut command,
            &self.folder.join("log"),
        )?);
        Ok(())
    }

    /// Waits until the node answers a register, which says where it listens.
    pub fn wait_ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("not started")?;
        let socket = self.folder.join("sock");
        let name = process.name().to_owned();
        let registered = wait::until(&format!("{name} to serve"), READY_WITHIN, || {
            process.check_running()?;
            let registered = Raw::unix(&socket)?.register()?;
            // A node that joins answers what it waits for.
            ensure!(registered["rpc_endpoint"].is_string(), "{registered}");
            Ok(Some(registered))
        });
        let registered =
            registered.with_context(|| format!("log of {name}:\n{}", process.log_end()))?;
        let endpoint = registered["rpc_endpoint"]
            .as_str()
            .context("no rpc_endpoint")?;
        self.endpoint = endpoint.to_owned();
        self.instance = registered["instance_id"]
            .as_u64()
            .context("no instance_id")?;
        Ok(())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// `host:port` where it listens. Kept over restarts.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The id of the life it is in; each start has its own.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn process(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .with_context(|| format!("{} does not run", self.folder.display()))
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// How the process ended, if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let process = self.process.as_mut().context("does not run")?;
        let ended = process.ended()?;
        if ended.is_some() {
            self.process = None;
        }
        Ok(ended)
    }

    /// As `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("does not run")?;
        process.kill()
    }

    /// SIGTERM.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().context("does not run")?;
        process.terminate(ENDS_WITHIN)
    }

    /// Runs `vineyardctl` against this node.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("vineyardctl")?);
        command.args(arguments).arg("--socket").arg(self.socket());
        command.output().with_context(|| format!("{command:?}"))
    }

    /// What `vineyardctl` prints, which must have succeeded.
    pub fn ctl_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.ctl(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "vineyardctl {arguments:?}: {}: {complaint}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// `vineyardctl status -o json`.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.ctl_ok(&["status", "-o", "json"])?,
        )?)
    }

    /// This node's own line of the status.
    pub fn figures(&self) -> Result<Value> {
        let status = self.status()?;
        let nodes = status["nodes"]
            .as_array()
            .context("no nodes in the status")?;
        let mine = nodes
            .iter()
            .find(|node| node["instance_id"] == self.instance);
        mine.cloned()
            .with_context(|| format!("{} is not in {status}", self.endpoint))
    }

    /// What a new node needs to join this one's cluster.
    pub fn invitation(&self) -> Result<(String, String)> {
        Ok((self.endpoint.clone(), self.ctl_ok(&["token"])?))
    }
}

/// A command that runs `program` with at most so many open descriptors.
fn limited(program: &Path, descriptors: Option<u64>) -> Command {
    let Some(descriptors) = descriptors else {
        return Command::new(program);
    };
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$0" && exec "$@""#]);
    command.arg(descriptors.to_string()).arg(program);
    command
}
