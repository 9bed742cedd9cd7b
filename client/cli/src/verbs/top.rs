//! `top`: what each node has and does, again and again; rates are between two looks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use vineyard_client::{ClusterStatus, NodeStatus};
use vineyard_node::config::size;

use super::status::{self, name_of};
use crate::args::{ConnectArgs, Format, Top};
use crate::failure::Failure;
use crate::output;

/// What was seen at one time.
struct Look {
    at: Instant,
    status: ClusterStatus,
}

/// What a node has more of with each second; negative for less.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    memory: f64,
    blobs: f64,
    objects: f64,
}

pub(crate) async fn run(place: &ConnectArgs, format: Format, top: &Top) -> Result<(), Failure> {
    let (mut kept, mut before) = (None, None);
    let mut looks = 0;
    loop {
        match status::look(place, &mut kept).await {
            Ok((_, status)) => {
                let now = Look {
                    at: Instant::now(),
                    status,
                };
                show(format, before.as_ref(), &now)?;
                before = Some(now);
            }
            Err(usage @ Failure::Usage(_)) => return Err(usage),
            Err(failure) if top.count.is_some() => return Err(failure),
            Err(failure) => {
                kept = None;
                output::complain_of(format, &failure);
            }
        }
        looks += 1;
        if top.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        tokio::time::sleep(top.every).await;
    }
}

fn show(format: Format, before: Option<&Look>, now: &Look) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(&json!({
            "entries_per_s": entries(before, now),
            "nodes": now.status.nodes.iter().map(|n| node_json(before, now, n)).collect::<Vec<_>>(),
        })),
        Format::Table => {
            output::clear()?;
            let rate = entries(before, now).map(|rate| format!(", {rate:.1} entries/s"));
            let rate = rate.unwrap_or_default();
            output::print(&format!("{}{rate}", status::headline(&now.status)))?;
            output::print("")?;
            output::print_table(&table(before, now))
        }
    }
}

/// Entries of the log that were committed in a second.
fn entries(before: Option<&Look>, now: &Look) -> Option<f64> {
    let before = before?;
    let (old, new) = (&before.status.cluster, &now.status.cluster);
    Some(per_second(
        old.commit_index,
        new.commit_index,
        now.at - before.at,
    ))
}

fn per_second(before: u64, now: u64, passed: Duration) -> f64 {
    let more = now as f64 - before as f64;
    more / passed.as_secs_f64().max(1e-3)
}

/// `None` if the node did not tell its figures twice.
fn rates(before: Option<&Look>, now: &Look, node: &NodeStatus) -> Option<Rates> {
    let before = before?;
    let mut nodes = before.status.nodes.iter();
    let known = nodes.find(|known| known.instance_id == node.instance_id)?;
    let (old, new) = (known.stats.as_ref()?, node.stats.as_ref()?);
    let passed = now.at - before.at;
    Some(Rates {
        memory: per_second(old.memory_usage, new.memory_usage, passed),
        blobs: per_second(old.blobs, new.blobs, passed),
        objects: per_second(old.objects, new.objects, passed),
    })
}

fn node_json(before: Option<&Look>, now: &Look, node: &NodeStatus) -> Value {
    let rates = rates(before, now, node);
    json!({
        "node": node,
        "memory_per_s": rates.map(|rates| rates.memory),
        "blobs_per_s": rates.map(|rates| rates.blobs),
        "objects_per_s": rates.map(|rates| rates.objects),
    })
}

const HEADERS: [&str; 14] = [
    "NODE", "STATE", "MEMORY", "USED", "+/S", "BLOBS", "+/S", "OBJECTS", "+/S", "CLIENTS",
    "WAITING", "STREAMS", "RESIDENT", "LAG",
];

fn table(before: Option<&Look>, now: &Look) -> output::Table {
    let mut table = output::Table::new(&HEADERS, &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    for node in &now.status.nodes {
        table.row(row(&now.status, node, rates(before, now, node)));
    }
    table
}

fn row(status: &ClusterStatus, node: &NodeStatus, rates: Option<Rates>) -> Vec<String> {
    let mut cells = vec![
        name_of(status, node.instance_id),
        format!("{:?}", node.state).to_lowercase(),
    ];
    if let Some(stats) = &node.stats {
        let percent = stats.memory_usage.saturating_mul(100) / stats.memory_limit.max(1);
        let number = |rate: f64| format!("{rate:+.1}");
        let show = |rate: Option<String>| rate.unwrap_or_else(|| "-".to_owned());
        cells.extend([
            size::show(stats.memory_usage),
            format!("{percent}%"),
            show(rates.map(|rates| bytes(rates.memory))),
            stats.blobs.to_string(),
            show(rates.map(|rates| number(rates.blobs))),
            stats.objects.to_string(),
            show(rates.map(|rates| number(rates.objects))),
            (stats.ipc_connections + stats.rpc_connections).to_string(),
            stats.waiting.to_string(),
            show(node.streams.map(|streams| streams.streams.to_string())),
            size::show(stats.rss),
            show(node.about.lag.map(|lag| lag.to_string())),
        ]);
    }
    cells.resize(HEADERS.len(), "-".to_owned());
    cells
}

fn bytes(rate: f64) -> String {
    let sign = if rate < 0.0 { "-" } else { "+" };
    format!("{sign}{}", size::show(rate.abs() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::status::tests::status;

    #[test]
    fn a_rate_is_what_there_is_more_of_with_each_second() {
        let before = Look {
            at: Instant::now(),
            status: status(),
        };
        let mut now = Look {
            at: before.at + Duration::from_secs(2),
            status: status(),
        };
        let stats = now.status.nodes[0].stats.as_mut().unwrap();
        stats.memory_usage -= 2 << 20;
        stats.blobs += 5;
        now.status.cluster.commit_index += 3;
        let found = rates(Some(&before), &now, &now.status.nodes[0]).unwrap();
        assert_eq!((found.memory, found.blobs), (-1_048_576.0, 2.5));
        assert_eq!(entries(Some(&before), &now), Some(1.5));
        let lines = table(Some(&before), &now).lines();
        assert!(
            lines[1].contains("-1 MiB") && lines[1].contains("+2.5"),
            "{lines:#?}"
        );
        let silent = &now.status.nodes[1];
        assert!(rates(Some(&before), &now, silent).is_none());
        assert!(rates(None, &now, &now.status.nodes[0]).is_none());
        assert!(lines[2].ends_with('-'), "{lines:#?}");
    }
}
