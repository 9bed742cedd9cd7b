//! `bundle`: one file with what somebody needs who helps from afar.
//!
//! Promise: no secret is in it, and with `--redact` no name of a host, a node, a user or an object. The file is new,
//! and only its user may read it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use vineyard_client::Client;
use vineyard_wire::reply::NodeStatus;

use super::events;
use crate::args::{Bundle, ConnectArgs};
use crate::failure::{Failure, Tried};
use crate::process::Process;
use crate::{clients, doctor, find, output, time};

/// The end of the log that is taken along.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// A shorter name of an object is most likely a common word.
const NAME_CHARS_MIN: usize = 3;
const NAMES_MAX: u64 = 100_000;
const TOKEN_BEGINS: &str = "vy1.";

pub(crate) async fn run(place: &ConnectArgs, bundle: &Bundle) -> Result<(), Failure> {
    let failed = |source| Failure::local(format!("write {}", bundle.file.display()), source);
    // Before anything is asked, so that a file that is there is not found too late.
    let mut file = OpenOptions::new();
    let file = file.write(true).create_new(true).mode(0o600);
    let mut file = file.open(&bundle.file).map_err(failed)?;
    let (mut found, names) = collect(place).await;
    each_text(&mut found, &|text| without_tokens(text));
    if bundle.redact {
        let salt = RandomState::new();
        each_text(&mut found, &|text| redacted(text, &names, &salt));
    }
    let text = serde_json::to_string_pretty(&found).expect("JSON has a text");
    let written = file.write_all(text.as_bytes());
    written.and_then(|()| file.sync_all()).map_err(failed)?;
    output::print(&format!(
        "{} has {} lines; read it before you pass it on",
        bundle.file.display(),
        text.lines().count()
    ))
}

/// What there is, and the names in it. What cannot be had is in it as the reason.
async fn collect(place: &ConnectArgs) -> (Value, BTreeSet<String>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut found = json!({
        "made": time::utc(now.unwrap_or_default().as_millis() as u64),
        "vineyardctl": env!("CARGO_PKG_VERSION"),
        "doctor": or_reason(doctor::look(place).await),
    });
    let mut names = BTreeSet::new();
    match find::connect(place).await {
        Err(failure) => found["status"] = json!({ "missing": failure.to_string() }),
        Ok(client) => {
            let status = client.cluster_status().await;
            let mut nodes_known = Vec::new();
            if let Ok(status) = &status {
                nodes_known.clone_from(&status.nodes);
                for node in &status.nodes {
                    names.extend(node.about.name.clone());
                    names.insert(host_of(&node.endpoint).to_owned());
                    names.extend(users(&node.ipc_socket));
                }
            }
            let objects = client.list_names("*", false, NAMES_MAX).await;
            let objects = objects.unwrap_or_default().into_keys();
            names.extend(objects.filter(|name| name.chars().count() >= NAME_CHARS_MIN));
            found["status"] = or_reason(status.tried(|| "ask for the status".to_owned()));
            let events = events::all(&client, 0).await;
            found["events"] = or_reason(events.map(|listed| listed.events));
            found["nodes"] = nodes(&client, &nodes_known, &mut names).await;
            of_process(&client, &mut found, &mut names).await;
        }
    }
    names.retain(|name| !name.is_empty() && name.parse::<IpAddr>().is_err());
    names.remove("localhost");
    (found, names)
}

/// What each node says of itself: its view of the cluster, what it saw, its settings, its clients.
async fn nodes(client: &Client, nodes: &[NodeStatus], names: &mut BTreeSet<String>) -> Value {
    let mut all = Vec::new();
    for (node, told) in clients::descriptions(client, nodes).await {
        if let Ok(told) = &told {
            for one in &told.settings {
                names_in(&one.name, &one.value, names);
            }
        }
        all.push(json!({
            "node": node.instance_id.node().to_string(),
            "name": node.about.name,
            "endpoint": node.endpoint,
            "told": or_reason(told),
        }));
    }
    json!(all)
}

/// The names of hosts, nodes and users in a setting.
fn names_in(setting: &str, value: &str, names: &mut BTreeSet<String>) {
    let hosts = value.split(',').map(host_of);
    if ["listen", "advertise", "join", "http-host", "name"].contains(&setting) {
        names.extend(hosts.map(str::to_owned));
    }
    names.extend(users(value));
}

fn or_reason(found: Result<impl serde::Serialize, Failure>) -> Value {
    match found {
        Ok(found) => json!(found),
        Err(failure) => json!({ "missing": failure.to_string() }),
    }
}

/// The settings and the end of the log, if the node is on this machine.
async fn of_process(client: &Client, found: &mut Value, names: &mut BTreeSet<String>) {
    if !client.is_ipc() {
        let reason = "asked over TCP; make it on the node's machine, with --socket";
        (found["config"], found["log"]) =
            (json!({ "missing": reason }), json!({ "missing": reason }));
        return;
    }
    let process = match Process::at(Path::new(client.ipc_socket())).await {
        Ok(process) => process,
        Err(error) => {
            let reason = json!({ "missing": error.to_string() });
            (found["config"], found["log"]) = (reason.clone(), reason);
            return;
        }
    };
    found["config"] = match process.settings() {
        Ok(settings) => {
            for one in &settings.list {
                names_in(one.name, &one.value, names);
            }
            json!(settings.list)
        }
        Err(reason) => json!({ "missing": reason }),
    };
    found["log"] = match process.log_file() {
        None => {
            json!({ "missing": "the log does not go into a file; add what journalctl or the container has of it" })
        }
        Some(path) => match end_of(&path) {
            Ok(text) => {
                names.extend(users(&path.to_string_lossy()));
                json!({ "file": path, "lines": text.lines().collect::<Vec<_>>() })
            }
            Err(error) => json!({ "missing": format!("{}: {error}", path.display()) }),
        },
    };
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn host_of(endpoint: &str) -> &str {
    let endpoint = endpoint.trim();
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The user whose home a path is in.
fn users(path: &str) -> Option<String> {
    let user = path.strip_prefix("/home/")?.split('/').next()?;
    Some(user.to_owned())
}

/// Changes every text below `value`, but no key.
fn each_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => {
            let values = fields.values_mut();
            values.for_each(|value| each_text(value, change));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN_BEGINS) {
        let (before, token) = rest.split_at(at + TOKEN_BEGINS.len());
        out.push_str(before);
        out.push_str("(hidden)");
        rest = token.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '.');
    }
    out.push_str(rest);
    out
}

/// With a hash in the place of each whole word that is one of `names`: the same one for the same name and salt.
fn redacted(text: &str, names: &BTreeSet<String>, salt: &RandomState) -> String {
    let mut longest_first: Vec<&String> = names.iter().collect();
    longest_first.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut text = text.to_owned();
    for name in longest_first {
        let hash = format!("x{:08x}", salt.hash_one(name) as u32);
        text = replaced(&text, name, &hash);
    }
    text
}

fn replaced(text: &str, name: &str, by: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        let after = &found[name.len()..];
        let last = out.chars().chain(before.chars()).next_back();
        let stands_alone = !last.is_some_and(is_word) && !after.chars().next().is_some_and(is_word);
        out.push_str(before);
        out.push_str(if stands_alone { by } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_stays() {
        let text = "--token vy1.abc123.0123456789abcdef and vy1.ff, end";
        assert_eq!(
            without_tokens(text),
            "--token vy1.(hidden) and vy1.(hidden), end"
        );
    }

    #[test]
    fn a_name_becomes_the_same_hash_wherever_it_stands_alone() {
        let names = ["blue", "blue.example", "status"].map(str::to_owned).into();
        let salt = RandomState::new();
        let mut found = json!({ "status": ["blue blue.example:9600 bluebell", "(blue)"] });
        each_text(&mut found, &|text| redacted(text, &names, &salt));
        let text = found["status"][0].as_str().unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(found["status"][1], format!("({})", words[0]));
        assert_eq!(words[2], "bluebell");
        assert!(
            words[0].starts_with('x') && words[1].ends_with(":9600"),
            "{text}"
        );
        assert!(!text.contains("example"), "{text}");
        assert_eq!(users("/home/ann/v.sock").as_deref(), Some("ann"));
        assert_eq!(host_of("[::1]:9600"), "::1");
    }
}
