//! A node as a process: reads the command line, starts the node in the real world, ends it on SIGTERM or SIGINT.

use std::io;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;
use vineyard_env::Env;

use crate::config::{Loaded, Machine, Remembered, Startup, load, remembered};
use crate::{Error, Node, system};

const FAILED: u8 = 1;
/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// Runs a node until it is told to stop: the exit code. `args` come without the program's name.
pub fn run(args: Vec<String>) -> u8 {
    let startup = match load(args, &Machine::here()) {
        Ok(Loaded::Run(startup)) => startup,
        Ok(Loaded::Print(text)) => {
            print!("{text}");
            return 0;
        }
        Err(error) => {
            eprintln!("vineyardd: {error}");
            return USAGE;
        }
    };
    let filter = match EnvFilter::try_new(&startup.log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("vineyardd: --log {:?}: {error}", startup.log);
            return USAGE;
        }
    };
    start_log(filter);
    match serve(*startup) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("vineyardd: {error}");
            FAILED
        }
    }
}

/// Why a node's process ended early.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot open the data directory: {0}")]
    Disk(io::Error),
    #[error("cannot set up the process: {0}")]
    Process(io::Error),
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
    let descriptors = system::descriptor_limit().map_err(ServeError::Process)?;
    // The node looks again, but a disk that cannot be opened would not say why.
    let fits = startup.config.limits.clone().within(descriptors, 0);
    fits.map_err(Error::Descriptors)?;
    let env = system::env(&startup.config.data_dir).map_err(ServeError::Disk)?;
    let runtime = system::runtime().map_err(ServeError::Process)?;
    LocalSet::new().block_on(&runtime, until_stopped(startup, env))
}

async fn until_stopped(startup: Startup, env: Env) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Process)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Process)?;
    let config = startup.config.clone();
    let data_dir = startup.config.data_dir.clone();
    // Before it serves: whoever was answered may kill the node, and a restart knows the data directory alone. A restart
    // in the middle of a join must go on with it, not found a cluster of its own.
    remembered::save(&data_dir, &Remembered::of(&config, None))?;
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
    }
    tracing::info!("stopping");
    node.stop().await;
    Ok(())
}

fn remember(data_dir: &Path, config: &crate::Config, node: &Node) -> Result<(), ServeError> {
    remembered::save(data_dir, &Remembered::of(config, Some(node.endpoint())))?;
    Ok(())
}

fn announce(node: &Node, config: &crate::Config) {
    let group = node.group();
    tracing::info!(
        instance = %node.instance_id(),
        cluster = %node.token().cluster,
        endpoint = node.endpoint(),
        socket = %config.ipc_socket,
        data_dir = %config.data_dir.display(),
        size_bytes = config.size_bytes,
        leader = group.leader.map(tracing::field::display),
        voters = group.voters.len(),
        tolerates = node.tolerates(),
        "ready; to add a node: vineyardd --join {} --token \"$(vineyardctl token)\"",
        node.endpoint(),
    );
}

fn start_log(filter: EnvFilter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // A process that starts several nodes has a log already.
    let _ = log.with_ansi(false).try_init();
}
