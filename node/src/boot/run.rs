//! A node as a process: reads the command line, starts the node in the real world, ends it on SIGTERM or SIGINT.

use std::io;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;
use vineyard_env::Env;

use super::log;
use crate::boot::identity::Identity;
use crate::config::resolve::default_socket;
use crate::config::settings::settings;
use crate::config::{Loaded, Machine, Remembered, Startup, load, remembered};
use crate::system::{data_dir, ownership, place};
use crate::{Error, Node, system};

const FAILED: u8 = 1;
/// Exit code for an invalid command line.
const USAGE: u8 = 2;

/// Runs a node until a signal stops it. Returns the exit code. `args` do not include the program's name.
pub fn run(args: Vec<String>) -> u8 {
    let machine = Machine::here();
    let shown = settings(args.clone(), &machine);
    let mut startup = match load(args, &machine) {
        Ok(Loaded::Run(startup)) => startup,
        Ok(Loaded::Print(text)) => {
            print!("{text}");
            return 0;
        }
        Err(error) => {
            log::complain(&error.to_string());
            return USAGE;
        }
    };
    startup.config.shown = shown.map(|shown| shown.list).unwrap_or_default();
    let filter = match EnvFilter::try_new(&startup.log) {
        Ok(filter) => filter,
        Err(error) => {
            log::complain(&format!("--log {:?}: {error}", startup.log));
            return USAGE;
        }
    };
    let started = log::start(filter, startup.log_format).map_err(ServeError::Process);
    let code = match started.and_then(|()| serve(*startup)) {
        Ok(()) => 0,
        Err(error) => {
            log::complain(&error.to_string());
            FAILED
        }
    };
    log::finish();
    code
}

/// Why a node's process ended early.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot open the data directory {}: {source}", dir.display())]
    Disk { dir: PathBuf, source: io::Error },
    #[error("cannot set up the process: {0}")]
    Process(io::Error),
    #[error("the folder of the socket is not safe: {0}")]
    Socket(io::Error),
    #[error("cannot use the data directory {}: {source}", dir.display())]
    DataDir { dir: PathBuf, source: io::Error },
    #[error(
        "a part of {} is missing: {missing}; if the node cannot be brought back, start a new one elsewhere",
        dir.display()
    )]
    Partial { dir: PathBuf, missing: String },
    #[error(transparent)]
    Node(#[from] Error),
    #[error(transparent)]
    Remember(#[from] remembered::RememberError),
}

fn serve(startup: Startup) -> Result<(), ServeError> {
    for notice in &startup.notices {
        tracing::info!("{notice}");
    }
    system::raise_descriptor_limit().map_err(ServeError::Process)?;
    let config = &startup.config;
    let descriptors = system::descriptor_limit().map_err(ServeError::Process)?;
    // The node checks this again. Checked here first, because with too few descriptors opening the disk fails with a
    // less clear error.
    let fits = config.limits.clone().within(descriptors, 0);
    fits.map_err(Error::Descriptors)?;
    system::keep_files_private();
    if !data_dir::is_in_use(&config.data_dir) && !config.found && config.join.is_none() {
        // Checked before anything is created: the folder may be the mount point of a disk that is not mounted.
        return Err(Error::NoNode(config.data_dir.clone()).into());
    }
    let socket = Path::new(&config.ipc_socket);
    if socket == default_socket(&Machine::here()) {
        system::make_place_of_default(socket).map_err(ServeError::Socket)?;
    }
    ownership::check_above(socket).map_err(ServeError::Socket)?;
    let unopened = |source| ServeError::Disk {
        dir: config.data_dir.clone(),
        source,
    };
    let env = system::env(&config.data_dir).map_err(unopened)?;
    let runtime = system::runtime().map_err(ServeError::Process)?;
    LocalSet::new().block_on(&runtime, until_stopped(startup, env))
}

/// Signals that end a process by default, and that a node does not act on: a terminal that closes, and mistakes.
fn outlive_signals() -> io::Result<()> {
    let kinds = [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ];
    for (name, kind) in kinds {
        let mut signals = signal(kind)?;
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                tracing::warn!(
                    signal = name,
                    "a signal without a meaning here; the node goes on"
                );
            }
        });
    }
    Ok(())
}

async fn until_stopped(startup: Startup, env: Env) -> Result<(), ServeError> {
    outlive_signals().map_err(ServeError::Process)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Process)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Process)?;
    let config = startup.config.clone();
    let data_dir = startup.config.data_dir.clone();
    let unread = |source| ServeError::Disk {
        dir: data_dir.clone(),
        source,
    };
    let identity = Identity::load(env.disk.as_ref()).map_err(unread)?;
    is_whole(&startup, identity.as_ref())?;
    let taken = place::take(&data_dir, env.disk.as_ref(), startup.moved);
    let unusable = |source| ServeError::DataDir {
        dir: data_dir.clone(),
        source,
    };
    taken.await.map_err(unusable)?;
    // Written before the node serves, because it may be killed right after its first answer, and a restart may name the
    // data directory alone. A restart in the middle of a join must continue the join, not found a cluster of its own.
    let settings = Remembered::of(&config, None).of_node(identity.and_then(|known| known.name()));
    remembered::save(&data_dir, &settings)?;
    let node = tokio::select! {
        biased;
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        node = Node::start(startup.config, env) => node?,
    };
    remember(&data_dir, &config, &node)?;
    announce(&node, &config);
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        error = node.failed() => match error {
            Error::Left => tracing::info!("this node has left its cluster"),
            error => return Err(error.into()),
        },
    }
    tracing::info!("stopping");
    node.stop().await;
    Ok(())
}

fn remember(data_dir: &Path, config: &crate::Config, node: &Node) -> Result<(), ServeError> {
    let settings = Remembered::of(config, Some(node.bound())).of_node(node.name());
    remembered::save(data_dir, &settings)?;
    Ok(())
}

/// Refuses a data directory of which a part is missing. Otherwise it would be taken for a new directory, or for one
/// with other settings.
fn is_whole(startup: &Startup, identity: Option<&Identity>) -> Result<(), ServeError> {
    let node = startup.remembered.as_ref().map(|known| known.node.as_ref());
    let missing = match (identity, node) {
        (None, Some(Some(node))) => {
            format!("node.json says that node {node} was here, and meta/ has no node")
        }
        (Some(_), None) => {
            "meta/ has a node, and node.json, which has its settings, is not there".to_owned()
        }
        _ => return Ok(()),
    };
    Err(ServeError::Partial {
        dir: startup.config.data_dir.clone(),
        missing,
    })
}

fn announce(node: &Node, config: &crate::Config) {
    let group = node.group();
    tracing::info!(
        node = %node.called(),
        instance = %node.instance_id(),
        cluster = %node.token().cluster,
        endpoint = node.endpoint(),
        socket = %config.ipc_socket,
        data_dir = %config.data_dir.display(),
        size_bytes = config.size_bytes,
        leader = group.leader.map(tracing::field::display),
        voters = group.voters.len(),
        tolerates = node.tolerates(),
        "ready; to add a node: (umask 077; vineyardctl --socket {} token > token), copy that file, and there: \
         vineyardd --join {} --token-file token",
        config.ipc_socket,
        node.endpoint(),
    );
}
