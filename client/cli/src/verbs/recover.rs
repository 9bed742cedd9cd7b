//! `recover`: brings a cluster back whose majority is gone for ever, from the node that is asked.

use std::io::{self, IsTerminal, Write};

use serde_json::json;
use vineyard_node::config::size;
use vineyard_wire::reply::{GivenUp, Recovery};

use super::status::{age, count};
use crate::args::{ConnectArgs, Format, Recover};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    recover: &Recover,
    format: Format,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let node = client.instance_id().node();
    let tried = || format!("recover the cluster from {node}");
    let seen = client.recover_cluster(None).await.tried(tried)?;
    if format == Format::Table {
        told(&seen)
            .iter()
            .try_for_each(|line| output::print(line))?;
    }
    let confirm = match &recover.confirm {
        Some(cluster) => cluster.clone(),
        None => ask(&seen.cluster)?,
    };
    let recovering = client.recover_cluster(Some(confirm));
    let recovered = recovering.await.tried(tried)?;
    match format {
        Format::Json => output::print_json(&json!(recovered)),
        Format::Table => output::print(&format!(
            "Recovered: {node} is the only member of cluster {}, epoch {}. Add nodes with empty data directories: \
             vineyardd --join ... --token-file ...",
            recovered.cluster, recovered.epoch
        )),
    }
}

/// What is known to be lost, for people.
fn told(seen: &Recovery) -> Vec<String> {
    let mut lines = vec![format!(
        "Cluster {} has had no majority for {}. It can go on with this node alone, which has {} and {}.",
        seen.cluster,
        age(seen.quorum_ms),
        count(seen.names, "name"),
        count(seen.objects, "persisted object")
    )];
    lines.push("Given up for good:".to_owned());
    lines.extend(seen.given_up.iter().map(|other| given_up(other, seen)));
    lines.push("Lost for good:".to_owned());
    lines.push(format!(
        "  the bytes of {}, {}, a part of {}: only they had them",
        count(seen.blobs_lost, "blob"),
        size::show(seen.bytes_lost),
        count(seen.objects_lost, "persisted object")
    ));
    let written = match seen.written_ms {
        Some(ms) => format!("written {} ago", age(ms)),
        None => "written before the last snapshot".to_owned(),
    };
    lines.push(format!(
        "  whatever they agreed on after entry {}, the last in the log of this node, {written}",
        seen.last_index
    ));
    let undecided = seen.last_index - seen.agreed_index;
    if undecided > 0 {
        lines.push(format!(
            "Kept, though it is not known here that a majority agreed: the last {undecided} entries of that log"
        ));
    }
    lines.push(
        "Nodes that are given up are refused from then on; they come back with an empty data directory alone."
            .to_owned(),
    );
    lines
}

fn given_up(other: &GivenUp, seen: &Recovery) -> String {
    let GivenUp {
        node,
        name,
        endpoint,
        votes,
        answers,
        applied_index,
    } = other;
    let role = if *votes { "voter" } else { "learner" };
    let ahead = applied_index.and_then(|theirs| theirs.checked_sub(seen.last_index));
    let state = match (answers, ahead) {
        (false, _) => "does not answer".to_owned(),
        (true, Some(ahead @ 1..)) => {
            format!("ANSWERS, and has {ahead} entries that are not here: recover from it instead")
        }
        (true, _) => "ANSWERS: what it holds is given up too".to_owned(),
    };
    format!("  {node} {name} at {endpoint}, {role}, {state}")
}

/// The id of the cluster, typed by a person.
fn ask(cluster: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let reason = format!("nothing was changed: say --confirm {cluster}");
        return Err(Failure::Usage(reason));
    }
    let local = |source| Failure::local("ask on the terminal", source);
    let mut answer = String::new();
    print!("Type the id of the cluster to recover it from this node: ");
    io::stdout().flush().map_err(local)?;
    io::stdin().read_line(&mut answer).map_err(local)?;
    match answer.trim() {
        "" => Err(Failure::Interrupted),
        typed => Ok(typed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use vineyard_wire::NodeId;

    use super::*;

    #[test]
    fn what_is_lost_is_told_before() {
        let other = |node, applied_index: Option<u64>| GivenUp {
            node: NodeId(node),
            name: format!("host{node}"),
            endpoint: format!("10.0.0.{node}:9600"),
            votes: true,
            answers: applied_index.is_some(),
            applied_index,
        };
        let seen = Recovery {
            cluster: "5d1f2c3b4a59".to_owned(),
            last_index: 217,
            agreed_index: 215,
            written_ms: Some(43_000),
            names: 1,
            objects_lost: 2,
            blobs_lost: 3,
            bytes_lost: 4096,
            given_up: vec![other(1, None), other(2, Some(220))],
            ..Recovery::default()
        };
        let text = told(&seen).join("\n");
        for part in [
            "1 name and 0 persisted objects",
            "n1 host1 at 10.0.0.1:9600, voter, does not answer",
            "ANSWERS, and has 3 entries that are not here",
            "the bytes of 3 blobs, 4 KiB",
            "after entry 217",
            "written 43 s ago",
            "the last 2 entries",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
