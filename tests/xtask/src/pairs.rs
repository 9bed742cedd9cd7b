//! `cargo xtask pairs`: this build beside an earlier one, turn by turn in the same seconds.
//!
//! Two figures of a busy machine that were taken minutes apart say little. Here both builds run at once, and each row
//! goes back and forth between them, so that what disturbs one disturbs the other. A row fails if the whole interval in
//! which the median ratio lies with 95 % certainty is below what noise explains.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::statistics::median;

use crate::earlier::Earlier;
use crate::peer::Peer;
use crate::python::Environment;
use crate::{shell, test};

/// Room for the copies that each turn leaves. Pages are taken only when they are written.
const ARENA: &str = "3G";
const CLUSTER_NODES: usize = 3;
/// A ratio below this is not explained by two processes of one build.
const RATIO_MIN: f64 = 0.97;
const SCRIPT: &str = "tests/bench/pairs.py";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The commit of the earlier build.
    #[arg(long, default_value = "79c9b97")]
    before: String,
    /// Turns of each side in each row.
    #[arg(long, default_value_t = 60)]
    turns: usize,
    /// Only rows whose name has this in it.
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let peer = Peer::ready(None)?;
    test::build(true)?;
    test::ours_is(true)?;
    let earlier = Earlier::at(&options.before)?;
    let node = earlier.node(true)?;
    let (old_package, package) = (Environment::before()?, Environment::oldest()?);
    old_package.install_from(&earlier.source().join("client/python"))?;
    package.install()?;
    let clients = [
        ("the released client", [peer.python(), peer.python()]),
        ("our packages", [old_package.python(), package.python()]),
    ];
    let base = shell::target("bench")?;
    let plans = [Some(node), None].map(|before| Plan {
        size: ARENA.to_owned(),
        before,
        ..Plan::default()
    });
    let mut slower = Vec::new();
    let folder = tempfile::Builder::new().prefix("p").tempdir_in(&base)?;
    let [before, ours] = &plans;
    let nodes = [
        Node::start(&folder.path().join("0"), before.clone())?,
        Node::start(&folder.path().join("1"), ours.clone())?,
    ];
    let places = nodes.each_ref().map(|node| {
        [
            "NODE".into(),
            node.socket().display().to_string(),
            node.endpoint().to_owned(),
        ]
    });
    for (client, pythons) in &clients {
        let title = format!("{client}, one node");
        slower.extend(compare(options, &title, pythons, &places)?);
    }
    drop(nodes);
    let clusters = [
        Cluster::start(CLUSTER_NODES, before)?,
        Cluster::start(CLUSTER_NODES, ours)?,
    ];
    let places = clusters.each_ref().map(|cluster| {
        let socket = |at: usize| cluster.nodes[at].socket().display().to_string();
        ["CLUSTER".into(), socket(1), socket(2)]
    });
    for (client, pythons) in &clients {
        let title = format!("{client}, {CLUSTER_NODES} nodes");
        slower.extend(compare(options, &title, pythons, &places)?);
    }
    ensure!(
        slower.is_empty(),
        "slower than before: {}",
        slower.join("; ")
    );
    Ok(())
}

/// Measures every row on both sides, prints the table, and returns the names of the rows that are slower.
fn compare(
    options: &Options,
    title: &str,
    pythons: &[PathBuf; 2],
    places: &[[String; 3]; 2],
) -> Result<Vec<String>> {
    println!(
        "{title:32} {:>12} {:>12}  {:>6}  95 %",
        "before us", "now us", "ratio"
    );
    let mut sides = [
        Side::start(&pythons[0], &places[0])?,
        Side::start(&pythons[1], &places[1])?,
    ];
    let wanted = |row: &&String| {
        options
            .only
            .as_ref()
            .is_none_or(|only| row.contains(only.as_str()))
    };
    let rows: Vec<String> = sides[1].rows.keys().filter(wanted).cloned().collect();
    let mut slower = Vec::new();
    for row in rows {
        let mut medians = [Vec::new(), Vec::new()];
        for turn in 0..=options.turns {
            let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
            for at in order {
                let took = sides[at].run(&row)?;
                // The first turn warms up.
                if turn > 0 {
                    medians[at].extend(median(&took));
                }
            }
        }
        let [before, now] = &medians;
        let mut ratios: Vec<f64> = before
            .iter()
            .zip(now)
            .map(|(before, now)| before / now)
            .collect();
        let (low, ratio, high) = interval(&mut ratios).context("a row has turns")?;
        let verdict = if high < RATIO_MIN { "SLOWER" } else { "" };
        println!(
            "{row:32} {:12.1} {:12.1}  {ratio:6.2}  {low:.2} to {high:.2} {verdict}",
            median(before).unwrap_or_default(),
            median(now).unwrap_or_default(),
        );
        if high < RATIO_MIN {
            slower.push(format!("{title}: {row}"));
        }
    }
    println!();
    Ok(slower)
}

/// The median, and the order statistics between which the true one lies with 95 % certainty, whatever the distribution.
fn interval(ratios: &mut [f64]) -> Option<(f64, f64, f64)> {
    ratios.sort_by(f64::total_cmp);
    let count = ratios.len() as f64;
    let spread = 1.96 * count.sqrt() / 2.0;
    let low = (count / 2.0 - spread).floor().max(0.0) as usize;
    let high = (count / 2.0 + spread).ceil() as usize;
    let last = ratios.len().checked_sub(1)?;
    Some((ratios[low], median(ratios)?, ratios[high.min(last)]))
}

/// A process that runs rows of one build.
struct Side {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    rows: BTreeMap<String, u32>,
}

impl Side {
    fn start(python: &Path, place: &[String; 3]) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(shell::root().join(SCRIPT)).args(place);
        for variable in ["VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT", "PYTHONPATH"] {
            command.env_remove(variable);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take().context("a pipe was asked for")?;
        let answers = process.stdout.take().context("a pipe was asked for")?;
        let mut side = Self {
            process,
            asks,
            answers: BufReader::new(answers),
            rows: BTreeMap::new(),
        };
        side.rows = serde_json::from_str(&side.line()?)?;
        Ok(side)
    }

    /// What each run of the row took, in microseconds.
    fn run(&mut self, row: &str) -> Result<Vec<f64>> {
        writeln!(self.asks, "{row}")?;
        let line = self.line().with_context(|| row.to_owned())?;
        Ok(serde_json::from_str(&line)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the script ended");
        Ok(line)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_around_the_median_and_within_what_was_measured() {
        let mut ratios: Vec<f64> = (1..=60).rev().map(f64::from).collect();
        let (low, ratio, high) = interval(&mut ratios).unwrap();
        assert_eq!((low, ratio, high), (23.0, 30.5, 39.0));
        assert_eq!(interval(&mut [2.0]), Some((2.0, 2.0, 2.0)));
        assert_eq!(interval(&mut []), None);
    }
}
