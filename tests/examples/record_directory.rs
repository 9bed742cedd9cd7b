//! Records the data directories of a cluster as a fixture: `record_directory BINARY NODES ENTRIES NAME`.
//!
//! BINARY is a `vineyardd`. Its NODES nodes listen on an address of their own, make objects, names, labels and
//! deletes, and write at least ENTRIES entries to their log; in the recorded builds 5,000 make a snapshot. They are
//! stopped, and their folders become `tests/fixtures/NAME.tar.xz`, with what must be found there in `expected.json`.
#![allow(
    clippy::disallowed_methods,
    reason = "a chore that runs real processes on the real clock"
)]

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use vineyard_tests::binaries::root;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::raw::Raw;
use vineyard_tests::recorded::listen;

const BLOB_BYTES: u64 = 4096;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, nodes, entries, name] = arguments.as_slice() else {
        bail!("record_directory BINARY NODES ENTRIES NAME");
    };
    let (nodes, entries): (usize, u64) = (nodes.parse()?, entries.parse()?);
    let mut cluster = start(binary.into(), nodes)?;
    let expected = write(&cluster.nodes, entries)?;
    for node in &mut cluster.nodes {
        ensure!(node.terminate()?.success(), "a node did not stop cleanly");
    }
    let folder = cluster.folder();
    std::fs::write(
        folder.join("expected.json"),
        serde_json::to_string_pretty(&expected)?,
    )?;
    let archive = root().join(format!("tests/fixtures/{name}.tar.xz"));
    let mut tar = Command::new("tar");
    tar.env("XZ_OPT", "-9e").arg("-cJf").arg(&archive);
    tar.arg("-C").arg(folder).arg("expected.json");
    tar.args((0..nodes).map(|index| format!("{index}/data")));
    ensure!(tar.status()?.success(), "tar failed");
    println!(
        "{}: {} bytes",
        archive.display(),
        std::fs::metadata(&archive)?.len()
    );
    Ok(())
}

fn start(binary: PathBuf, count: usize) -> Result<Cluster> {
    let plan = |index| Plan {
        size: "16M".to_owned(),
        listen: listen(count, index),
        before: Some(binary.clone()),
        // Builds that do not found without being told to.
        arguments: match std::env::var_os("RECORD_WITH_FOUND") {
            Some(_) if index == 0 => vec!["--found".to_owned()],
            _ => Vec::new(),
        },
        ..Plan::default()
    };
    let mut cluster = Cluster::start(1, &plan(0))?;
    for index in 1..count {
        let plan = Plan {
            join: Some(cluster.nodes[0].invitation()?),
            ..plan(index)
        };
        let folder = cluster.folder().join(index.to_string());
        cluster.nodes.push(Node::start(&folder, plan)?);
    }
    cluster.wait_settled()?;
    Ok(cluster)
}

/// Objects, names, labels and deletes on each node. Answers what is there at the end.
fn write(nodes: &[Node], entries: u64) -> Result<Value> {
    let (mut objects, mut names, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for (number, node) in nodes.iter().enumerate() {
        let mut connection = Raw::unix(&node.socket())?;
        connection.register()?;
        for row in 0..10 {
            let id = create(&mut connection, node, number, row)?;
            ask(
                &mut connection,
                &json!({"type": "persist_request", "id": id}),
            )?;
            let name = format!("n{number}-{row}");
            let named = json!({"type": "put_name_request", "object_id": id, "name": name});
            ask(&mut connection, &named)?;
            match row {
                0..=6 => {
                    let label = json!({"type": "label_request", "id": id,
                        "keys": ["of"], "values": [format!("node {number}")]});
                    ask(&mut connection, &label)?;
                    objects.push(json!({"id": id, "row": row, "of": format!("node {number}")}));
                    names.push(json!({"name": name, "id": id}));
                }
                7 => {
                    ask(
                        &mut connection,
                        &json!({"type": "drop_name_request", "name": name}),
                    )?;
                    objects.push(json!({"id": id, "row": row, "of": null}));
                }
                _ => {
                    let delete = json!({"type": "del_data_request", "id": [id], "force": false,
                        "deep": true, "memory_trim": false, "fastpath": false});
                    ask(&mut connection, &delete)?;
                    deleted.push(json!(id));
                }
            }
        }
    }
    let mut connection = Raw::unix(&nodes[0].socket())?;
    connection.register()?;
    let id = names.first().context("a name")?["id"].clone();
    for _ in 0..entries {
        let named = json!({"type": "put_name_request", "object_id": id, "name": "again"});
        ask(&mut connection, &named)?;
    }
    Ok(json!({"objects": objects, "names": names, "deleted": deleted}))
}

/// An object with a blob; what it says of itself can be read back when the bytes are gone.
fn create(connection: &mut Raw, node: &Node, number: usize, row: u64) -> Result<u64> {
    let blob = connection.create_sealed_blob(BLOB_BYTES)?;
    let instance = node.instance();
    let content = json!({"typename": "test::Row", "row": row, "node": number, "nbytes": BLOB_BYTES,
        "global": false, "transient": true, "instance_id": instance,
        "buffer_": {"id": format!("o{blob:016x}"), "typename": "vineyard::Blob", "instance_id": instance,
            "length": BLOB_BYTES, "nbytes": BLOB_BYTES, "transient": true}});
    let made = ask(
        connection,
        &json!({"type": "create_data_request", "content": content}),
    )?;
    made["id"].as_u64().context("no id")
}

fn ask(connection: &mut Raw, request: &Value) -> Result<Value> {
    let reply = connection.ask(request)?;
    let code = reply.get("code").and_then(Value::as_u64);
    ensure!(code.is_none_or(|code| code == 0), "{request}: {reply}");
    Ok(reply)
}
