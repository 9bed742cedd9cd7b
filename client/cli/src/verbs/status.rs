//! `status`: the cluster and each of its nodes, as the node that is asked knows it now. The JSON is the node's own
//! answer, as `vineyard_wire` defines it.

use std::time::Duration;

use vineyard_client::Client;
use vineyard_node::config::size;
use vineyard_wire::InstanceId;
use vineyard_wire::reply::{ClusterStatus, Cordon, NodeStatus, Quorum};

use crate::args::{ConnectArgs, Format, Status};
use crate::failure::{Failure, Tried};
use crate::health::{self, Health};
use crate::verbs::config;
use crate::{find, output};

/// Between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    place: &ConnectArgs,
    format: Format,
    asked: &Status,
) -> Result<(), Failure> {
    match asked.watch {
        true => watch(place, format).await,
        false => {
            let client = find::connect(place).await?;
            let status = ask(&client).await?;
            show(format, client.instance_id(), &status)?;
            match health::judge(&status) {
                Health::Ready => Ok(()),
                _ if !asked.check => Ok(()),
                health => Err(Failure::Unwell(health)),
            }
        }
    }
}

async fn ask(client: &Client) -> Result<ClusterStatus, Failure> {
    let status = client.cluster_status().await;
    status.tried(|| "ask for the cluster's status".to_owned())
}

/// Looks again and again, until the command is interrupted. A node that does not answer is said, and tried again.
async fn watch(place: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let mut kept = None;
    loop {
        match look(place, &mut kept).await {
            Ok((asked, status)) => {
                output::clear()?;
                show(format, asked, &status)?;
            }
            Err(usage @ Failure::Usage(_)) => return Err(usage),
            Err(failure) => {
                kept = None;
                output::complain_of(format, &failure);
            }
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

pub(crate) async fn look(
    place: &ConnectArgs,
    kept: &mut Option<Client>,
) -> Result<(InstanceId, ClusterStatus), Failure> {
    let client = match kept.take() {
        Some(client) => client,
        None => find::connect(place).await?,
    };
    let status = ask(&client).await?;
    let asked = client.instance_id();
    *kept = Some(client);
    Ok((asked, status))
}

fn show(format: Format, asked: InstanceId, status: &ClusterStatus) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(status),
        Format::Table => {
            output::print(&headline(status))?;
            for line in remarks(asked, status) {
                output::print(&line)?;
            }
            output::print("")?;
            output::print_table(&table(status))
        }
    }
}

/// The cluster on one line.
pub(crate) fn headline(status: &ClusterStatus) -> String {
    let cluster = &status.cluster;
    let epoch = cluster.epoch.map(|epoch| format!(" (epoch {epoch})"));
    let epoch = epoch.unwrap_or_default();
    if !health::has_quorum(status) {
        return format!(
            "cluster {}{epoch}: {}",
            cluster.id,
            no_quorum(cluster.quorum, cluster.voters)
        );
    }
    let leader = cluster.leader.map_or_else(
        || "a leader that is not known".to_owned(),
        |leader| format!("leader {}", name_of(status, leader)),
    );
    format!(
        "cluster {}{epoch}: {}, {}, {leader}, tolerates {}, commit index {}",
        cluster.id,
        count(status.nodes.len() as u64, "node"),
        count(cluster.voters, "voter"),
        count(cluster.tolerates, "failure"),
        cluster.commit_index,
    )
}

pub(crate) fn no_quorum(known: Option<Quorum>, voters: u64) -> String {
    let cannot = "names and persisted metadata cannot change";
    let Some(quorum) = known else {
        return format!("NO QUORUM, no leader now: {cannot}");
    };
    let (answering, needed) = (quorum.voters_answering, quorum.voters_needed);
    let answer = if answering == 1 { "answers" } else { "answer" };
    format!(
        "NO QUORUM for {}: {answering} of {} {answer}, {needed} needed; {cannot}",
        age(quorum.quorum_ms),
        count(voters, "voter"),
    )
}

/// Who says this, how old it is, and which nodes are cordoned or have stopped taking part.
fn remarks(asked: InstanceId, status: &ClusterStatus) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(quorum) = status.cluster.quorum {
        let (by, ms) = (name_of(status, asked), quorum.quorum_ms);
        remarks.push(match quorum.quorum {
            true => format!("as {by} knows it; a majority agreed {ms} ms ago"),
            false => format!("as {by} knows it now"),
        });
    }
    if let Some(settings) = &status.cluster.settings {
        remarks.push(format!("for {}", config::all(settings)));
    }
    if let Some(traffic) = &status.cluster.traffic {
        remarks.push(format!("between nodes: {traffic}"));
    }
    for node in &status.nodes {
        let name = name_of(status, node.instance_id);
        match node.about.cordon {
            None => {}
            Some(Cordon::Drains) => remarks.push(format!("{name} is cordoned: it takes no copies")),
            Some(Cordon::Leaves) => remarks.push(format!("{name} leaves the cluster")),
        }
        if let Some(failure) = &node.about.failure {
            remarks.push(format!("{name} takes no part any more: {failure}"));
        }
        if let Some(shortage) = &node.about.shortage {
            remarks.push(format!("the disk of {name} is short of room: {shortage}"));
        }
    }
    remarks
}

/// The name of a node, with its id.
pub(crate) fn name_of(status: &ClusterStatus, instance: InstanceId) -> String {
    let node = status
        .nodes
        .iter()
        .find(|node| node.instance_id == instance);
    match node.and_then(|node| node.about.name.as_ref()) {
        Some(name) => format!("{name} ({instance})"),
        None => instance.to_string(),
    }
}

/// Whole units, the two largest: `43 s`, `5 m 3 s`, `2 d 1 h`.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} m", minutes % 60),
        () if minutes > 0 => format!("{minutes} m {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

const HEADERS: [&str; 19] = [
    "INSTANCE",
    "NAME",
    "ROLE",
    "STATE",
    "ENDPOINT",
    "SOCKET",
    "MEMORY",
    "LIMIT",
    "BLOBS",
    "OBJECTS",
    "CLIENTS",
    "WAITING",
    "DELETED",
    "LARGEST",
    "STREAMS",
    "TRANSIENT",
    "LAG",
    "UPTIME",
    "VERSION",
];
/// Where the columns end of what nodes of different builds tell.
const PIECES: usize = 14;
const STREAMS: usize = 15;

fn table(status: &ClusterStatus) -> output::Table {
    let mut table = output::Table::new(&HEADERS, &[6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]);
    for node in &status.nodes {
        table.row(row(node));
    }
    table
}

fn row(node: &NodeStatus) -> Vec<String> {
    let mut cells = vec![
        node.instance_id.to_string(),
        node.about.name.clone().unwrap_or_else(|| "-".to_owned()),
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
    cells.resize(PIECES, "-".to_owned());
    cells.extend(node.streams.map(|streams| streams.streams.to_string()));
    cells.resize(STREAMS, "-".to_owned());
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let about = &node.about;
    cells.extend([
        known(transient(node)),
        known(about.lag.map(|lag| lag.to_string())),
        known(about.uptime_ms.map(age)),
        known(about.version.clone()),
    ]);
    cells
}

/// The metadata of its objects that are not persisted.
fn transient(node: &NodeStatus) -> Option<String> {
    let (used, quota) = (
        node.about.transient_bytes?,
        node.about.transient_quota_bytes?,
    );
    Some(format!("{} of {}", size::show(used), size::show(quota)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use vineyard_wire::reply::{
        ClusterSettings, GroupStatus, Liveness, MemoryPieces, NodeAbout, NodeStats, Role,
        StreamTotals,
    };

    /// Three voters, of which one is known as unreachable.
    pub(crate) fn status() -> ClusterStatus {
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
            about: NodeAbout {
                name: Some(format!("host{id}")),
                version: (id == 0).then(|| "0.1.0".to_owned()),
                uptime_ms: (id == 0).then_some(303_000),
                lag: (id == 0).then_some(12),
                transient_bytes: (id == 0).then_some(2 << 20),
                transient_quota_bytes: (id == 0).then_some(1 << 30),
                ..NodeAbout::default()
            },
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
                quorum: Some(Quorum {
                    quorum: true,
                    quorum_ms: 45,
                    voters_answering: 3,
                    voters_needed: 2,
                }),
                epoch: None,
                settings: Some(ClusterSettings {
                    round_trip_ms: 300,
                    metadata_bytes: 3 << 20,
                    metadata_quota_bytes: 1 << 30,
                }),
                traffic: None,
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
        assert!(lines[1].contains(" 77 "), "{lines:#?}");
        assert!(lines[1].contains(" 2 MiB of 1 GiB "), "{lines:#?}");
        assert!(
            lines[1].contains("host0") && lines[1].contains(" 12 "),
            "{lines:#?}"
        );
        assert!(lines[1].ends_with("5 m 3 s  0.1.0"), "{lines:#?}");
        assert!(
            lines[2].contains("unreachable") && lines[2].trim().ends_with('-'),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_headline_says_what_may_fail() {
        let mut status = status();
        assert_eq!(
            headline(&status),
            "cluster amber: 2 nodes, 3 voters, leader host0 (i0), tolerates 1 failure, commit index 7"
        );
        status.cluster.epoch = Some(2);
        assert!(headline(&status).starts_with("cluster amber (epoch 2): 2 nodes"));
        status.cluster.epoch = None;
        let lost = status.cluster.quorum.as_mut().unwrap();
        (lost.quorum, lost.quorum_ms, lost.voters_answering) = (false, 43_210, 1);
        assert_eq!(
            headline(&status),
            "cluster amber: NO QUORUM for 43 s: 1 of 3 voters answers, 2 needed; names and persisted metadata cannot \
             change"
        );
        status.cluster.quorum = None;
        status.cluster.leader = None;
        assert!(headline(&status).contains("no leader now"));
    }

    #[test]
    fn who_says_it_and_who_has_failed_is_said() {
        let mut status = status();
        status.nodes[1].about.failure = Some("the disk failed: full".into());
        status.nodes[1].about.shortage = Some("12 MiB free".into());
        status.nodes[0].about.cordon = Some(Cordon::Drains);
        assert_eq!(
            remarks(InstanceId(0), &status),
            [
                "as host0 (i0) knows it; a majority agreed 45 ms ago",
                "for round trips of 300 ms; metadata 3 MiB of 1 GiB",
                "host0 (i0) is cordoned: it takes no copies",
                "host1 (i1) takes no part any more: the disk failed: full",
                "the disk of host1 (i1) is short of room: 12 MiB free"
            ]
        );
    }

    #[test]
    fn an_age_has_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (303, "5 m 3 s"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(age(seconds * 1000), text);
        }
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
            [
                "commit_index",
                "id",
                "leader",
                "metadata_bytes",
                "metadata_quota_bytes",
                "quorum",
                "quorum_ms",
                "round_trip_ms",
                "tolerates",
                "voters",
                "voters_answering",
                "voters_needed"
            ]
        );
        let node = &json["nodes"][0];
        assert_eq!(
            (&node["role"], &node["state"]),
            (&"leader".into(), &"up".into())
        );
        for field in "instance_id endpoint ipc_socket memory_usage memory_limit references unsealed blobs objects \
                      ipc_connections rpc_connections waiting open_fds rss deleted_bytes largest_free_bytes \
                      streams stream_chunks stream_bytes stream_waits name version uptime_ms lag \
                      transient_bytes transient_quota_bytes"
            .split_whitespace()
        {
            assert!(node.get(field).is_some(), "{field}");
        }
    }
}
