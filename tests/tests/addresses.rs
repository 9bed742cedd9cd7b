//! Nodes that were stopped and are started at new addresses, all at once: they find each other, and nothing is lost.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::{preload, wait};

/// Names are readable this soon after the last node was started.
const READABLE_WITHIN: Duration = Duration::from_secs(10);
/// Names end in `.test`; what they mean now is in a file, a line for each: name, address.
const PRELOADED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    lookup real = (lookup)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = node ? strlen(node) : 0;
    if (length < 5 || strcmp(node + length - 5, ".test") != 0) return real(node, service, hints, found);
    char name[256], address[256];
    FILE *hosts = fopen(getenv("VINEYARD_TEST_HOSTS"), "r");
    if (!hosts) return EAI_NONAME;
    while (fscanf(hosts, "%255s %255s", name, address) == 2) {
        if (strcmp(name, node) == 0) {
            fclose(hosts);
            return real(address, service, hints, found);
        }
    }
    fclose(hosts);
    return EAI_NONAME;
}
"#;

#[test]
fn nodes_that_all_moved_find_each_other_by_what_join_names() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    let token = cluster.nodes[0].ctl_ok(&["token"]).unwrap();
    publish(&cluster.nodes[1]);
    kill_all(&mut cluster);
    let addresses = free_addresses(cluster.nodes.len());
    let seeds = addresses.join(",");
    for (node, address) in cluster.nodes.iter_mut().zip(&addresses) {
        let moved = ["--listen", address, "--join", &seeds];
        node.plan_mut().arguments = moved.map(str::to_owned).to_vec();
        node.plan_mut().environment = vec![("VINEYARD_TOKEN".into(), token.clone().into())];
    }
    start_all_and_read(&mut cluster);
}

/// The founder has no seeds of before, nobody gives a token again, and only one new address is named.
#[test]
fn one_new_address_that_all_know_is_enough() {
    let mut cluster = Cluster::start(3, &Plan::default()).unwrap();
    publish(&cluster.nodes[1]);
    kill_all(&mut cluster);
    let addresses = free_addresses(cluster.nodes.len());
    for (node, address) in cluster.nodes.iter_mut().zip(&addresses) {
        let moved = ["--listen", address, "--join", &addresses[2]];
        node.plan_mut().arguments = moved.map(str::to_owned).to_vec();
    }
    start_all_and_read(&mut cluster);
}

#[test]
fn nodes_that_all_moved_behind_their_names_find_each_other() {
    let library = tempfile::tempdir().unwrap();
    let resolver = preload::compile(library.path(), PRELOADED).unwrap();
    let hosts = library.path().join("hosts");
    let names = ["a.test", "b.test", "c.test"];
    point(&hosts, &names, "127.0.0.1");
    let variable = ("VINEYARD_TEST_HOSTS".into(), hosts.clone().into());
    let folder = tempfile::tempdir().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for name in names {
        let plan = Plan {
            environment: vec![resolver.clone(), variable.clone()],
            arguments: vec!["--advertise".to_owned(), name.to_owned()],
            join: nodes.first().map(|first| first.invitation().unwrap()),
            ..Plan::default()
        };
        nodes.push(Node::start(&folder.path().join(name), plan).unwrap());
    }
    for (node, name) in nodes.iter().zip(names) {
        assert!(node.endpoint().starts_with(name), "{}", node.endpoint());
    }
    let mut cluster = Cluster::of(nodes, folder);
    cluster.wait_settled().unwrap();
    publish(&cluster.nodes[1]);
    kill_all(&mut cluster);
    point(&hosts, &names, "127.0.0.2");
    for node in &mut cluster.nodes {
        let (_, port) = node.endpoint().rsplit_once(':').unwrap();
        // The name is remembered.
        node.plan_mut().arguments = vec![format!("--listen=127.0.0.2:{port}")];
    }
    start_all_and_read(&mut cluster);
}

#[test]
fn a_node_that_listens_everywhere_is_dialled_at_what_it_advertises() {
    let everywhere = Plan {
        listen: "0.0.0.0:0".to_owned(),
        arguments: vec!["--advertise=localhost".to_owned()],
        ..Plan::default()
    };
    let mut cluster = Cluster::start(3, &everywhere).unwrap();
    publish(&cluster.nodes[2]);
    for node in &mut cluster.nodes {
        node.plan_mut().arguments.clear();
        assert!(node.endpoint().starts_with("localhost:"));
    }
    kill_all(&mut cluster);
    start_all_and_read(&mut cluster);
    assert!(cluster.nodes[1].endpoint().starts_with("localhost:"));
}

/// It has no id yet, but it is there, and says what it waits for.
#[test]
fn a_joining_node_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_addresses(1).remove(0);
    let founder = Plan {
        listen: address.clone(),
        ..Plan::default()
    };
    let mut founder = Node::start(&folder.path().join("founder"), founder).unwrap();
    let token = founder.ctl_ok(&["token"]).unwrap();
    founder.terminate().unwrap();
    let joiner = Plan {
        join: Some((address.clone(), token)),
        ..Plan::default()
    };
    let mut joiner = Node::planned(&folder.path().join("joiner"), joiner).unwrap();
    joiner.launch().unwrap();
    let awaited = format!("joining: {address} refused the connection");
    let said = wait::until("what it waits for", READABLE_WITHIN, || {
        let status = joiner.ctl(&["status"])?;
        let said = String::from_utf8_lossy(&status.stderr).into_owned();
        anyhow::ensure!(
            !status.status.success() && said.contains(&awaited),
            "{said}"
        );
        Ok(Some(said))
    });
    println!("{}", said.unwrap());
    founder.start_again().unwrap();
    joiner.wait_ready().unwrap();
}

fn publish(node: &Node) {
    let file = node.folder().join("file");
    std::fs::write(&file, "bytes").unwrap();
    node.ctl_ok(&["put", file.to_str().unwrap(), "--name", "kept"])
        .unwrap();
}

fn kill_all(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
}

fn start_all_and_read(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.launch().unwrap();
    }
    let started = Instant::now();
    for node in &mut cluster.nodes {
        node.wait_ready().unwrap();
        wait::until("the name", READABLE_WITHIN, || {
            node.ctl_ok(&["name", "get", "kept"]).map(Some)
        })
        .unwrap();
    }
    println!("names were readable after {:?}", started.elapsed());
    cluster.wait_settled().unwrap();
}

/// Addresses that were free just now: they must be known before anybody listens there.
pub(crate) fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    listeners.iter().map(address).collect()
}

fn point(hosts: &Path, names: &[&str], address: &str) {
    let lines = names.iter().map(|name| format!("{name} {address}\n"));
    std::fs::write(hosts, lines.collect::<String>()).unwrap();
}
