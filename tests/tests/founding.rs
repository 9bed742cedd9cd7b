//! One identity for each data directory, also when all nodes of a cluster start at the same moment.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::{preload, wait};

/// 200 joins in all.
const ROUNDS: usize = 8;
const JOINERS: usize = 25;
const TOKEN_WITHIN: Duration = Duration::from_secs(20);
const HOLDS_WITHIN: Duration = Duration::from_secs(20);
/// The founder's disk takes its time, so that the others ask before the founding has ended.
const PRELOADED: &str = r#"
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int fdatasync(int fd) {
    struct timespec pause = {0, 60 * 1000 * 1000};
    nanosleep(&pause, 0);
    return syscall(SYS_fdatasync, fd);
}
"#;

#[test]
fn no_node_gets_the_identity_of_another_that_starts_at_the_same_time() {
    let library = tempfile::tempdir().unwrap();
    let slow = preload::compile(library.path(), PRELOADED).unwrap();
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            size: "1M".to_owned(),
            ..Plan::default()
        };
        let founder = Plan {
            listen: free_address(),
            environment: vec![slow.clone()],
            ..plan.clone()
        };
        let joins = |token| Plan {
            join: Some((founder.listen.clone(), token)),
            ..plan.clone()
        };
        let mut nodes = vec![Node::planned(&folder.path().join("0"), founder.clone()).unwrap()];
        nodes[0].launch().unwrap();
        let token = token_on_disk(&nodes[0].data_dir()).unwrap();
        for number in 1..=JOINERS {
            let folder = folder.path().join(number.to_string());
            let mut node = Node::planned(&folder, joins(token.clone())).unwrap();
            node.launch().unwrap();
            nodes.push(node);
        }
        for node in &mut nodes {
            node.wait_ready().unwrap();
        }
        let instances: Vec<u64> = nodes.iter().map(Node::instance).collect();
        let different: BTreeSet<u64> = instances.iter().copied().collect();
        assert_eq!(different.len(), nodes.len(), "round {round}: {instances:?}");
        assert_eq!(instances[0], 0, "the founder is the first");
    }
}

/// An address that was free just now. The founder's must be known before it listens.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The token as the founder's journal has it: before the node serves, nobody can ask for it.
fn token_on_disk(data_dir: &Path) -> Result<String> {
    let journal = data_dir.join("meta/log/1");
    wait::until("the founder's identity", TOKEN_WITHIN, || {
        let bytes = std::fs::read(&journal)?;
        let begins = b"{\"key\":";
        let at = bytes.windows(begins.len()).position(|part| part == begins);
        let at = at.context("no identity in the journal")?;
        let mut records = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<Value>();
        let record = records.next().context("a record")??;
        let secret = record["secret"].as_array().context("a secret")?;
        let hex: String = secret
            .iter()
            .map(|byte| format!("{:02x}", byte.as_u64().unwrap_or_default()))
            .collect();
        let cluster = record["cluster"].as_str().context("a cluster")?;
        Ok(Some(format!("vy1.{cluster}.{hex}")))
    })
}

#[test]
fn what_a_founder_is_told_for_the_cluster_holds_until_it_is_set_anew() {
    let folder = tempfile::tempdir().unwrap();
    let told = [
        "--round-trip-ms=300",
        "--metadata-quota=4M",
        "--transient-quota=1M",
    ];
    let plan = Plan {
        size: "1M".to_owned(),
        arguments: told.map(str::to_owned).to_vec(),
        ..Plan::default()
    };
    let mut node = Node::start(folder.path(), plan).unwrap();
    // A node serves before the cluster has agreed on what its founder was told.
    let holds = |node: &Node, ms: u64, quota: u64| {
        let holds = || {
            let status = node.status()?;
            let cluster = &status["cluster"];
            let all = cluster["round_trip_ms"] == ms
                && cluster["metadata_quota_bytes"] == quota
                && status["nodes"][0]["transient_quota_bytes"] == 1 << 20;
            anyhow::ensure!(all, "{status}");
            Ok(Some(()))
        };
        wait::until("what the founder was told", HOLDS_WITHIN, holds).unwrap();
    };
    holds(&node, 300, 4 << 20);
    let set = node
        .ctl_ok(&["config", "set", "metadata-quota", "8M"])
        .unwrap();
    assert!(set.contains("round trips of 300 ms; metadata"), "{set}");
    let set = node.ctl(&["config", "set", "round-trip-ms", "5"]).unwrap();
    assert_eq!(set.status.code(), Some(2));
    // The same line again, and one without it.
    node.terminate().unwrap();
    node.start_again().unwrap();
    holds(&node, 300, 8 << 20);
    node.plan_mut().arguments = Vec::new();
    node.terminate().unwrap();
    node.start_again().unwrap();
    holds(&node, 300, 8 << 20);
}
