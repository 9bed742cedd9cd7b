//! Several nodes of ours that are one cluster, in one folder that goes with them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::node::{Node, Plan};
use crate::wait;

const SETTLES_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    // Declared last: the folder is removed after the processes are gone.
    folder: TempDir,
}

impl Cluster {
    /// Starts `count` nodes, and returns once all are members and those that can be are voters.
    pub fn start(count: usize, plan: &Plan) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
        Self::start_in(folder, count, plan)
    }

    /// As `start`, in a folder of the caller's choice.
    pub fn start_in(folder: TempDir, count: usize, plan: &Plan) -> Result<Self> {
        let mut nodes = vec![Node::start(&folder.path().join("0"), plan.clone())?];
        for index in 1..count {
            let plan = Plan {
                join: Some(nodes[0].invitation()?),
                ..plan.clone()
            };
            nodes.push(Node::start(&folder.path().join(index.to_string()), plan)?);
        }
        let cluster = Self { nodes, folder };
        cluster.wait_settled()?;
        Ok(cluster)
    }

    /// Nodes that were started one by one, in `folder`.
    pub fn of(nodes: Vec<Node>, folder: TempDir) -> Self {
        Self { nodes, folder }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Waits until every running node sees a leader, all that run as up, and the full set of voters: 1, 3 or 5.
    pub fn wait_settled(&self) -> Result<()> {
        let voters = match self.nodes.len() {
            0..=2 => 1,
            3 | 4 => 3,
            _ => 5,
        };
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.runs()).collect();
        // A node that came back is another instance: its earlier life may still count as up where that is not known.
        let lives: BTreeSet<_> = running.iter().map(|node| node.instance()).collect();
        for node in &running {
            let awaited = format!("{voters} voters, seen by {}", node.endpoint());
            wait::until(&awaited, SETTLES_WITHIN, || {
                let status = node.status()?;
                let nodes = status["nodes"]
                    .as_array()
                    .context("no nodes in the status")?;
                let up = nodes.iter().filter(|node| node["state"] == "up");
                let up: BTreeSet<_> = up.filter_map(|node| node["instance_id"].as_u64()).collect();
                let cluster = &status["cluster"];
                let led = cluster["leader"].is_u64() && cluster["voters"] == voters;
                ensure!(led && up == lives, "{cluster} and {up:?} up of {lives:?}");
                Ok(Some(()))
            })?;
        }
        Ok(())
    }

    /// The index of the node that leads now, asked of any node that runs.
    pub fn leader(&self) -> Result<usize> {
        wait::until("a leader that runs", SETTLES_WITHIN, || {
            let asked = self
                .nodes
                .iter()
                .find(|node| node.runs())
                .context("no node runs")?;
            let status = asked.status()?;
            let nodes = status["nodes"]
                .as_array()
                .context("no nodes in the status")?;
            let leader = nodes.iter().find(|node| {
                node["instance_id"] == status["cluster"]["leader"] && !node["instance_id"].is_null()
            });
            let Some(leader) = leader else {
                return Ok(None);
            };
            let index = self
                .nodes
                .iter()
                .position(|node| leader["endpoint"] == node.endpoint());
            Ok(index.filter(|index| self.nodes[*index].runs()))
        })
    }
}
