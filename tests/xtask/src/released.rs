//! The released server and the etcd it needs, on ports that were free a moment ago.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use vineyard_tests::process::Process;
use vineyard_tests::raw::Raw;
use vineyard_tests::wait;

use crate::peer::Peer;
use crate::shell;

const READY_WITHIN: Duration = Duration::from_secs(90);

/// Several released servers of one cluster, with one etcd member each. Dropped is stopped.
#[derive(Debug)]
pub(crate) struct Released {
    servers: Vec<Server>,
    _etcd: Vec<Process>,
}

#[derive(Debug)]
pub(crate) struct Server {
    _process: Process,
    pub(crate) socket: PathBuf,
    pub(crate) endpoint: String,
}

impl Released {
    /// Starts `count` servers whose sockets, data and logs are below `folder`.
    pub(crate) fn start(peer: &Peer, folder: &Path, count: usize, size: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (etcd, clients) = start_etcd(folder, count)?;
        let mut servers = Vec::new();
        for (index, client) in clients.iter().enumerate() {
            servers.push(Server::start(peer, folder, index, size, client)?);
        }
        Ok(Self {
            servers,
            _etcd: etcd,
        })
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }
}

impl Server {
    fn start(peer: &Peer, folder: &Path, index: usize, size: &str, etcd: &str) -> Result<Self> {
        let socket = folder.join(format!("sock{index}"));
        let port = free_ports(1)?[0];
        let mut command = Command::new(peer.server());
        command
            .arg("-socket")
            .arg(&socket)
            .args(["-rpc_socket_port", &port.to_string()]);
        command.args([
            "-size",
            size,
            "-meta",
            "etcd",
            "-etcd_prefix",
            "one",
            "-etcd_endpoint",
            etcd,
        ]);
        // Our nodes advertise the address they bound; so shall these, or a name lookup decides the race.
        command.env("MY_HOST_NAME", "127.0.0.1");
        let name = format!("released server {index}");
        let mut process = Process::start(&name, &mut command, &folder.join(format!("log{index}")))?;
        let endpoint = format!("127.0.0.1:{port}");
        wait::until(&name, READY_WITHIN, || {
            process.check_running()?;
            Raw::unix(&socket)?.register()?;
            Raw::tcp(&endpoint)?.register().map(Some)
        })?;
        Ok(Self {
            _process: process,
            socket,
            endpoint,
        })
    }
}

/// The members, and the address of each for clients.
fn start_etcd(folder: &Path, count: usize) -> Result<(Vec<Process>, Vec<String>)> {
    ready_etcd()?;
    let ports = free_ports(2 * count)?;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let clients: Vec<String> = ports[..count].iter().map(|port| url(*port)).collect();
    let peers: Vec<String> = ports[count..].iter().map(|port| url(*port)).collect();
    let members: Vec<String> = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| format!("m{i}={peer}"))
        .collect();
    let mut processes = Vec::new();
    for (index, (client, peer)) in clients.iter().zip(&peers).enumerate() {
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{index}")]);
        command
            .arg("--data-dir")
            .arg(folder.join(format!("etcd{index}")));
        command.args([
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
        ]);
        command.args([
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
        ]);
        command.args(["--initial-cluster", &members.join(",")]);
        let log = folder.join(format!("etcd{index}.log"));
        processes.push(Process::start(
            &format!("etcd {index}"),
            &mut command,
            &log,
        )?);
    }
    for (process, client) in processes.iter_mut().zip(&clients) {
        let address = client.trim_start_matches("http://").to_owned();
        wait::until(&format!("etcd at {address}"), READY_WITHIN, || {
            process.check_running()?;
            healthy(&address)
        })?;
    }
    Ok((processes, clients))
}

/// etcd from the system's packages, installed if it is missing.
fn ready_etcd() -> Result<()> {
    if shell::has("etcd") {
        return Ok(());
    }
    let install = "apt-get install -y --no-install-recommends etcd-server";
    let elevated = if shell::has("sudo") {
        format!("sudo -n {install}")
    } else {
        install.to_owned()
    };
    shell::run(Command::new("sh").args(["-c", &elevated])).context("the released server needs etcd")
}

/// Asks etcd's health page.
fn healthy(address: &str) -> Result<Option<()>> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /health HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page.contains("\"health\":\"true\"").then_some(()))
}

/// Ports nobody listens on now. The released server cannot pick its own.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    // Held together, so that no port is given twice.
    let held = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    held.iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}
