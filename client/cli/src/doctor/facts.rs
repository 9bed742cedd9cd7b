//! What `doctor` asks and measures. It judges nothing.
#![allow(
    clippy::disallowed_methods,
    reason = "it looks at the files of a node on this machine"
)]

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use vineyard_client::{Client, ClusterStatus, Liveness, Options};
use vineyard_node::config::memory::Memory;
use vineyard_node::config::settings::Settings;
use vineyard_wire::InstanceId;

use crate::args::ConnectArgs;
use crate::failure::{Failure, Tried};
use crate::process::Process;

/// The longest that one member, or one name, may take.
const ONE_MAX: Duration = Duration::from_secs(2);
/// Syncs that are measured, and the longest that all may take.
const SYNCS: usize = 100;
const SYNCS_MAX: Duration = Duration::from_secs(1);
const SYNC_BYTES: usize = 4096;

pub(super) struct Facts {
    pub(super) place: String,
    pub(super) asked: InstanceId,
    pub(super) status: ClusterStatus,
    pub(super) heard: Vec<Heard>,
    pub(super) hosts: Vec<Host>,
    /// Or why this machine could not be looked at.
    pub(super) here: Result<Here, String>,
}

/// Another member that is up, asked from here.
pub(super) struct Heard {
    pub(super) instance: InstanceId,
    /// Whether it gets answers of the node that was asked; or why it could not be asked.
    pub(super) back: Result<bool, String>,
}

/// A name by which members are dialled.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) resolved: Result<(), String>,
}

/// The node's process and files.
pub(super) struct Here {
    pub(super) user: u32,
    pub(super) memory: Memory,
    /// Now, and at most.
    pub(super) descriptors: Option<(u64, u64)>,
    pub(super) socket: Result<Mode, String>,
    pub(super) settings: Result<Settings, String>,
    /// Of the token file, if the node was told one and it is there.
    pub(super) token: Option<Mode>,
    /// Of the data directory; or why not.
    pub(super) disk: Result<Disk, String>,
}

pub(super) struct Mode {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) user: u32,
    pub(super) group: u32,
}

pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
    /// How long each sync took, the shortest first.
    pub(super) syncs: Result<Vec<Duration>, String>,
}

pub(super) async fn of(place: &ConnectArgs, client: &Client) -> Result<Facts, Failure> {
    let status = client.cluster_status().await;
    let status = status.tried(|| "ask for the cluster's status".to_owned())?;
    let asked = client.instance_id();
    Ok(Facts {
        place: match client.is_ipc() {
            true => client.ipc_socket().to_owned(),
            false => client.rpc_endpoint().to_owned(),
        },
        asked,
        heard: heard(place, client, &status).await,
        hosts: hosts(&status).await,
        status,
        here: match client.is_ipc() {
            true => here(Path::new(client.ipc_socket())).await,
            false => Err("asked over TCP; run it on the node's machine, with --socket".to_owned()),
        },
    })
}

async fn heard(place: &ConnectArgs, client: &Client, status: &ClusterStatus) -> Vec<Heard> {
    let asked = client.instance_id();
    let mut options = Options::default();
    options.deadline = ONE_MAX;
    options.username.clone_from(&place.username);
    options.password.clone_from(&place.password);
    let mut asking = JoinSet::new();
    for node in &status.nodes {
        if node.instance_id == asked || node.state != Liveness::Up {
            continue;
        }
        let (options, endpoint) = (options.clone(), node.endpoint.clone());
        let instance = node.instance_id;
        asking.spawn_local(async move {
            let back = ask_back(&endpoint, &options, asked).await;
            Heard { instance, back }
        });
    }
    let mut all = asking.join_all().await;
    all.sort_by_key(|heard| heard.instance);
    all
}

/// Whether the member at `endpoint` gets answers of `asked`.
async fn ask_back(endpoint: &str, options: &Options, asked: InstanceId) -> Result<bool, String> {
    let status = async {
        let member = Client::connect_rpc(endpoint, options).await?;
        member.cluster_status().await
    };
    let status = status.await.map_err(|error| error.to_string())?;
    let seen = status.nodes.iter().find(|node| node.instance_id == asked);
    Ok(seen.is_some_and(|node| node.state == Liveness::Up && node.stats.is_some()))
}

async fn hosts(status: &ClusterStatus) -> Vec<Host> {
    let mut names: Vec<_> = status.nodes.iter().map(|node| &node.endpoint).collect();
    names.retain(|endpoint| host_of(endpoint).parse::<IpAddr>().is_err());
    names.sort();
    names.dedup();
    let mut hosts = Vec::new();
    for endpoint in names {
        let resolved = match timeout(ONE_MAX, tokio::net::lookup_host(endpoint)).await {
            Err(_) => Err(format!("no answer in {} s", ONE_MAX.as_secs())),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(_) => Ok(()),
                None => Err("it has no address".to_owned()),
            },
        };
        hosts.push(Host {
            name: host_of(endpoint).to_owned(),
            resolved,
        });
    }
    hosts
}

fn host_of(endpoint: &str) -> &str {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn here(socket: &Path) -> Result<Here, String> {
    let unseen = |error: io::Error| format!("the process behind {}: {error}", socket.display());
    let process = Process::at(socket).await.map_err(unseen)?;
    let settings = process.settings();
    let told = settings.as_ref().ok();
    let data_dir = told.map(|told| told.config.data_dir.clone());
    let token = told.and_then(|told| told.token_file.as_deref());
    Ok(Here {
        user: process.user().map_err(unseen)?,
        memory: process.memory(),
        descriptors: process.descriptors(),
        socket: mode(socket).map_err(|error| error.to_string()),
        token: token.and_then(|path| mode(path).ok()),
        disk: match data_dir {
            Some(path) => disk(&path).map_err(|error| format!("{}: {error}", path.display())),
            None => Err("its data directory is not known".to_owned()),
        },
        settings,
    })
}

fn mode(path: &Path) -> io::Result<Mode> {
    let found = fs::metadata(path)?;
    Ok(Mode {
        path: path.to_owned(),
        mode: found.mode() & 0o777,
        user: found.uid(),
        group: found.gid(),
    })
}

fn disk(path: &Path) -> io::Result<Disk> {
    let found = nix::sys::statvfs::statvfs(path)?;
    let unit = found.fragment_size();
    Ok(Disk {
        path: path.to_owned(),
        free_bytes: found.blocks_available() * unit,
        total_bytes: found.blocks() * unit,
        syncs: syncs(path).map_err(|error| error.to_string()),
    })
}

/// Writes a little and syncs it, again and again, in a file without a name: it is gone when it is closed.
fn syncs(folder: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(folder)?;
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < SYNCS && begun.elapsed() < SYNCS_MAX {
        let one = Instant::now();
        file.write_all(&[0; SYNC_BYTES])?;
        file.sync_data()?;
        took.push(one.elapsed());
    }
    took.sort();
    Ok(took)
}
