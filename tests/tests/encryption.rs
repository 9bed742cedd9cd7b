//! Nodes encrypt what they send each other, and refuse who does not.
//!
//! All listen on loopback addresses, which `--require-tls` does not exempt.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vineyard_client::blocking::Client;
use vineyard_client::{Draft, Options, Security};
use vineyard_raft::features;
use vineyard_tests::capture::Capture;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;
use vineyard_wire::peer::{Challenge, Hello, MAGIC, Purpose, VERSION};
use vineyard_wire::{frame, peer};

const WITHIN: Duration = Duration::from_secs(30);

fn plan(arguments: &[&str]) -> Plan {
    Plan {
        arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        size: "64M".to_owned(),
        ..Plan::default()
    }
}

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.folder().join("log")).unwrap()
}

fn wait_for_line(node: &Node, line: &str) {
    wait::until(line, WITHIN, || {
        let log = log(node);
        ensure!(log.contains(line), "{log}");
        Ok(Some(()))
    })
    .unwrap();
}

fn traffic(node: &Node) -> Result<String> {
    let status = node.status()?;
    let traffic = status["cluster"]["traffic"].as_str();
    Ok(traffic.context("status does not say")?.to_owned())
}

/// Two nodes that dial each other over wires that keep what they see.
fn captured(flag: &str) -> (Cluster, Vec<Capture>) {
    let folder = tempfile::Builder::new()
        .prefix("vineyard-")
        .tempdir()
        .unwrap();
    let (mut nodes, mut wires): (Vec<Node>, _) = (Vec::new(), Vec::new());
    for index in 0..2 {
        let wire = Capture::start().unwrap();
        let join = nodes
            .first()
            .map(|founder: &Node| founder.invitation().unwrap());
        let plan = Plan {
            join,
            ..plan(&[flag, "--advertise", wire.address()])
        };
        let mut node = Node::planned(&folder.path().join(index.to_string()), plan).unwrap();
        node.launch().unwrap();
        let settings = node.data_dir().join("node.json");
        let bound = wait::until("the node to listen", WITHIN, || {
            let settings: Value = serde_json::from_slice(&std::fs::read(&settings)?)?;
            let bound = settings["listen"]
                .as_str()
                .filter(|bound| !bound.ends_with(":0"));
            Ok(bound.map(str::to_owned))
        });
        wire.pass_to(&bound.unwrap());
        node.wait_ready().unwrap();
        nodes.push(node);
        wires.push(wire);
    }
    let cluster = Cluster::of(nodes, folder);
    cluster.wait_settled().unwrap();
    (cluster, wires)
}

/// What no one else may see: bytes of an object, its name, and the token.
fn exchange(cluster: &Cluster) -> Vec<Vec<u8>> {
    let [one, other] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    let bytes = b"a line of an object that nobody else may read\n".repeat(20_000);
    let file = cluster.folder().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let (name, file) = ("name-of-the-object", file.display().to_string());
    let id = one.ctl_ok(&["put", &file, "--name", name]).unwrap();
    let id = u64::from_str_radix(&id[1..], 16).unwrap();
    let mut caller = Raw::unix(&other.socket()).unwrap();
    caller.register().unwrap();
    let moved = caller
        .ask(&json!({"type": "migrate_object_request", "object_id": id}))
        .unwrap();
    let id = format!("o{:016x}", moved["object_id"].as_u64().unwrap());
    let copy = cluster.folder().join("copy").display().to_string();
    other.ctl_ok(&["get", &id, "--output", &copy]).unwrap();
    assert!(std::fs::read(&copy).unwrap() == bytes, "another content");
    let token = one.ctl_ok(&["token"]).unwrap();
    let secret = token.rsplit_once('.').unwrap().1;
    let raw = (0..secret.len() / 2).map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16));
    vec![
        bytes[..64].to_vec(),
        name.as_bytes().to_vec(),
        secret.as_bytes().to_vec(),
        raw.map(Result::unwrap).collect(),
    ]
}

/// Kills the nodes, and waits until the wires keep all that they sent each other.
fn end(cluster: &mut Cluster, wires: &[Capture]) {
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    wait::until("the wires to keep what they saw", WITHIN, || {
        let open: usize = wires.iter().map(Capture::open).sum();
        ensure!(open == 0, "{open} ways are open");
        Ok(Some(()))
    })
    .unwrap();
}

fn saw(wires: &[Capture], bytes: &[u8]) -> bool {
    wires.iter().any(|wire| wire.has(bytes))
}

#[test]
fn between_nodes_no_byte_of_an_object_and_no_secret_is_in_clear() {
    let (mut cluster, wires) = captured("--require-tls");
    let hidden = exchange(&cluster);
    assert_eq!(traffic(&cluster.nodes[1]).unwrap(), "encrypted");
    end(&mut cluster, &wires);
    let seen: usize = wires.iter().map(Capture::len).sum();
    assert!(seen > 900_000, "the object did not go over the wires");
    for bytes in &hidden {
        assert!(!saw(&wires, bytes), "{:?}", String::from_utf8_lossy(bytes));
    }
    // What the wires would have seen.
    let (mut cluster, wires) = captured("--insecure");
    let shown = exchange(&cluster);
    let said = traffic(&cluster.nodes[1]).unwrap();
    assert_eq!(said, "plain: this node was started with --insecure");
    end(&mut cluster, &wires);
    assert!(saw(&wires, &shown[0]) && saw(&wires, &shown[1]));
    assert!(
        !saw(&wires, &shown[2]) && !saw(&wires, &shown[3]),
        "the token is never sent"
    );
}

#[test]
fn who_has_another_token_or_calls_in_plain_is_refused_with_a_line_on_both_sides() {
    let cluster = Cluster::start(1, &plan(&["--require-tls"])).unwrap();
    let member = &cluster.nodes[0];
    let (endpoint, token) = member.invitation().unwrap();
    let (id, secret) = token.rsplit_once('.').unwrap();
    let wrong = format!("{id}.{}", secret.chars().rev().collect::<String>());
    let other = format!("vy1.0123456789ab.{}", &wrong[wrong.len() - secret.len()..]);
    let refusals = [
        (wrong, "the secret here is not the one of the cluster"),
        (other, "belongs to another cluster"),
    ];
    for (index, (token, line)) in refusals.into_iter().enumerate() {
        let plan = Plan {
            join: Some((endpoint.clone(), token)),
            ..plan(&["--require-tls"])
        };
        let folder = cluster.folder().join(format!("joins{index}"));
        let mut node = Node::planned(&folder, plan).unwrap();
        node.launch().unwrap();
        wait_for_line(&node, line);
        // The log has one line of a kind for each machine and minute.
        wait_for_line(member, "its token, or its ca, is another one");
    }
    let reason = plain_call(&endpoint, id.strip_prefix("vy1.").unwrap()).unwrap();
    assert!(reason.contains("the caller calls in plain"), "{reason}");
    wait_for_line(member, "the caller calls in plain");
}

/// Why a node refuses another one that does not encrypt.
fn plain_call(endpoint: &str, cluster: &str) -> Result<String> {
    let hello = Hello {
        version: VERSION,
        cluster: cluster.to_owned(),
        epoch: 1,
        from: None,
        purpose: Purpose::Node,
        nonce: [7; 32],
    };
    let mut stream = TcpStream::connect(endpoint)?;
    stream.write_all(&MAGIC)?;
    stream.write_all(&frame::with_header(&peer::encode(&hello)))?;
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    let mut body = vec![0; usize::try_from(u64::from_le_bytes(header))?];
    stream.read_exact(&mut body)?;
    match peer::decode(&body)? {
        Challenge::Refused(reason) => Ok(reason),
        proceeds => anyhow::bail!("{proceeds:?}"),
    }
}

#[test]
fn encryption_begins_when_the_last_node_of_before_is_replaced() {
    let level = (features::TLS - 1).to_string();
    let before = plan(&["--require-tls", "--feature-level", &level]);
    let mut cluster = Cluster::start(2, &plan(&["--insecure", "--feature-level", &level])).unwrap();
    for index in [1, 0] {
        let node = &mut cluster.nodes[index];
        assert!(node.terminate().unwrap().success());
        node.plan_mut().arguments = vec!["--require-tls".to_owned()];
        node.start_again().unwrap();
        cluster.wait_settled().unwrap();
        let said = traffic(&cluster.nodes[index]).unwrap();
        match index {
            1 => assert!(
                said.starts_with("plain until these have a build that knows TLS: "),
                "{said}"
            ),
            _ => assert_eq!(said, "encrypted"),
        }
    }
    for node in &cluster.nodes {
        wait_for_line(node, "from here on they encrypt");
    }
    cluster.wait_settled().unwrap();
    // The disk remembers it: such a node does not call in plain again.
    let node = &mut cluster.nodes[1];
    assert!(node.terminate().unwrap().success());
    node.plan_mut().arguments = before.arguments;
    node.start_again().unwrap();
    assert_eq!(traffic(node).unwrap(), "encrypted");
}

#[test]
fn a_client_is_sure_of_the_node_by_what_token_ca_prints() {
    let cluster = Cluster::start(1, &plan(&["--require-tls"])).unwrap();
    let node = &cluster.nodes[0];
    let endpoint = node.endpoint();
    let connect = |ca: Option<&str>| {
        let mut options = Options::default();
        options.ca = ca.map(str::to_owned);
        let client = Client::connect_rpc(endpoint, &options);
        client.map_err(|error| error.to_string())
    };
    let fingerprint = node.ctl_ok(&["token", "ca"]).unwrap();
    let pem = node.ctl_ok(&["token", "ca", "--pem"]).unwrap();
    let file = cluster.folder().join("ca.pem").display().to_string();
    std::fs::write(&file, &pem).unwrap();
    for ca in [&fingerprint, &pem, &file] {
        let client = connect(Some(ca)).unwrap();
        assert_eq!(client.security(), Security::Verified);
        assert!(format!("{client:?}").contains("TLS, node verified"));
    }
    let client = connect(None).unwrap();
    assert_eq!(client.security(), Security::Unverified);
    // More than the sockets hold, so that each side waits for the other.
    let bytes = vec![7; 32 << 20];
    let draft = Draft::new("test::Bytes").blob("bytes", bytes.clone());
    let id = client.put(draft).unwrap().id;
    let object = client.get(id).unwrap();
    assert!(object.blob("bytes").unwrap()[..] == bytes);
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = connect(Some(&other)).unwrap_err();
    assert!(
        refused.contains("is no node of the authority in ca"),
        "{refused}"
    );
    // As the released client calls.
    let refused = Raw::tcp(endpoint).unwrap().register().unwrap();
    assert!(
        refused["message"].to_string().contains("--require-tls"),
        "{refused}"
    );
    node.ctl_ok(&["token", "rotate", "--grace", "1h"]).unwrap();
    let next = node.ctl_ok(&["token", "ca"]).unwrap();
    assert_ne!(next, fingerprint);
    for ca in [&fingerprint, &next] {
        assert_eq!(connect(Some(ca)).unwrap().security(), Security::Verified);
    }
    assert!(connect(Some(&other)).is_err());
}
