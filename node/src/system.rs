//! The implementations of `Env` for the real machine: the only part of this crate that touches it.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: this is where the machine comes in"
)]

mod clock;
pub(crate) mod data_dir;
mod host;
pub(crate) mod ownership;
pub(crate) mod place;
pub(crate) mod random;
mod rights;
mod threads;
mod users;

use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use vineyard_env::{Env, NoFaults};
use vineyard_net::{SystemLocal, SystemNetwork};
use vineyard_raft::disk::SledDisk;
use vineyard_raft::log_keys;
use vineyard_shm::MemfdMemory;

pub(crate) use threads::start_plain as start_plain_thread;

/// Everything a node may touch, with its disk under `data_dir`.
pub(crate) fn env(data_dir: &Path) -> io::Result<Env> {
    data_dir::prepare(data_dir)?;
    Ok(Env {
        clock: Arc::new(clock::SystemClock),
        random: Arc::new(random::SystemRandom),
        network: Arc::new(SystemNetwork),
        local: Arc::new(SystemLocal),
        disk: Arc::new(SledDisk::open(&data_dir.join("meta"), log_keys())?),
        memory: Arc::new(MemfdMemory),
        threads: Arc::new(threads::SystemThreads),
        host: Arc::new(host::SystemHost),
        faults: Arc::new(NoFaults),
    })
}

/// Makes the folder above the one of the default socket, which a new user's home may lack.
pub(crate) fn make_place_of_default(socket: &Path) -> io::Result<()> {
    let above = socket.parent().and_then(Path::parent);
    above.map_or(Ok(()), std::fs::create_dir_all)
}

/// Files that this process creates are for its user alone, unless created with another mode.
pub(crate) fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// A runtime for one thread's tasks.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Every connection takes a descriptor; the default soft limit is for shells, not for servers.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// How many this process may have open.
pub(crate) fn descriptor_limit() -> io::Result<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft)
}
