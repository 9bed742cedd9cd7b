//! `status`: the cluster and each of its nodes. The JSON is the node's own answer, as `vineyard_wire` defines it.

use vineyard_node::config::size;
use vineyard_wire::reply::{ClusterStatus, GroupStatus, NodeStatus};

use crate::args::{ConnectArgs, Format};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(place: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let status = client
        .cluster_status()
        .await
        .tried(|| "ask for the cluster's status".to_owned())?;
    match format {
        Format::Json => output::print_json(&status),
        Format::Table => {
            output::print(&headline(&status.cluster, status.nodes.len()))?;
            output::print("")?;
            output::print_table(&table(&status))
        }
    }
}

fn headline(cluster: &GroupStatus, nodes: usize) -> String {
    let leader = match cluster.leader {
        Some(leader) => format!("leader {leader}"),
        None => "no leader now: names and persisted metadata cannot change".to_owned(),
    };
    let (voters, failures) = (cluster.voters, cluster.tolerates);
    format!(
        "cluster {}: {}, {}, {leader}, tolerates {}, commit index {}",
        cluster.id,
        count(nodes as u64, "node"),
        count(voters, "voter"),
        count(failures, "failure"),
        cluster.commit_index,
    )
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

const HEADERS: [&str; 14] = [
    "INSTANCE", "ROLE", "STATE", "ENDPOINT", "SOCKET", "MEMORY", "LIMIT", "BLOBS", "OBJECTS",
    "CLIENTS", "WAITING", "DELETED", "LARGEST", "STREAMS",
];

fn table(status: &ClusterStatus) -> output::Table {
    let mut table = output::Table::new(&HEADERS, &[5, 6, 7, 8, 9, 10, 11, 12, 13]);
    for node in &status.nodes {
        table.row(row(node));
    }
    table
}

fn row(node: &NodeStatus) -> Vec<String> {
    let mut cells = vec![
        node.instance_id.to_string(),
        format!("{:?}", node.role).to_lowercase(),
        format!("{:?}", node.state).to_lowercase(),
        node.endpoint.clone(),
        node.ipc_socket.clone(),
    ];
    if let Some(stats) = &node.stats {
        cells.extend([
            size::show(stats.memory_usage),
            size::show(stats.memory_limit),
            stats.blobs.to_string(),
            stats.objects.to_string(),
            (stats.ipc_connections + stats.rpc_connections).to_string(),
            stats.waiting.to_string(),
        ]);
    }
    if let Some(pieces) = &node.pieces {
        cells.extend([
            size::show(pieces.deleted_bytes),
            size::show(pieces.largest_free_bytes),
        ]);
    }
    if let Some(streams) = &node.streams {
        cells.resize(HEADERS.len() - 1, "-".to_owned());
        cells.push(streams.streams.to_string());
    }
    cells.resize(HEADERS.len(), "-".to_owned());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use vineyard_wire::InstanceId;
    use vineyard_wire::reply::{Liveness, MemoryPieces, NodeStats, Role, StreamTotals};

    fn status() -> ClusterStatus {
        let node = |id: u64, stats| NodeStatus {
            instance_id: InstanceId(id),
            role: if id == 0 { Role::Leader } else { Role::Voter },
            state: if id == 0 {
                Liveness::Up
            } else {
                Liveness::Unreachable
            },
            endpoint: format!("127.0.0.1:960{id}"),
            ipc_socket: format!("/run/v{id}.sock"),
            stats,
            pieces: (id == 0).then_some(MemoryPieces {
                deleted_bytes: 8 << 20,
                largest_free_bytes: 256 << 10,
            }),
            streams: (id == 0).then_some(StreamTotals {
                streams: 77,
                ..Default::default()
            }),
        };
        let stats = NodeStats {
            memory_usage: 3 << 29,
            memory_limit: 8 << 30,
            ..Default::default()
        };
        ClusterStatus {
            cluster: GroupStatus {
                id: "amber".into(),
                leader: Some(InstanceId(0)),
                voters: 3,
                tolerates: 1,
                commit_index: 7,
            },
            nodes: vec![node(0, Some(stats)), node(1, None)],
        }
    }

    #[test]
    fn a_table_has_a_line_per_node_and_dashes_for_silence() {
        let lines: Vec<String> = table(&status()).lines();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(
            lines[1].contains("leader") && lines[1].contains("1.5 GiB"),
            "{lines:#?}"
        );
        assert!(
            lines[1].contains(&size::show(8 << 20)) && lines[1].contains(&size::show(256 << 10)),
            "{lines:#?}"
        );
        assert!(lines[1].ends_with(" 77"), "{lines:#?}");
        assert!(
            lines[2].contains("unreachable") && lines[2].trim().ends_with('-'),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_headline_says_what_may_fail() {
        let mut status = status();
        let text = headline(&status.cluster, 2);
        assert_eq!(
            text,
            "cluster amber: 2 nodes, 3 voters, leader i0, tolerates 1 failure, commit index 7"
        );
        status.cluster.leader = None;
        assert!(headline(&status.cluster, 2).contains("no leader now"));
    }

    /// The names that scripts rely on.
    #[test]
    fn the_json_has_the_documented_fields() {
        let json = serde_json::to_value(status()).unwrap();
        let names = |value: &serde_json::Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&json["cluster"]),
            ["commit_index", "id", "leader", "tolerates", "voters"]
        );
        let node = &json["nodes"][0];
        assert_eq!(
            (&node["role"], &node["state"]),
            (&"leader".into(), &"up".into())
        );
        for field in "instance_id endpoint ipc_socket memory_usage memory_limit references unsealed blobs objects \
                      ipc_connections rpc_connections waiting open_fds rss deleted_bytes largest_free_bytes \
                      streams stream_chunks stream_bytes stream_waits"
            .split_whitespace()
        {
            assert!(node.get(field).is_some(), "{field}");
        }
    }
}
