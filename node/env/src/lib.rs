//! The door through which the world comes in.
//!
//! Time, chance, the network, local sockets, the disk, shared memory and threads are traits here. The node, the raft
//! group and the client are written against them; `node/src/system` supplies the machine and `sim` supplies a false
//! world that replays byte for byte. This crate knows nobody: no protocol, no store, no cluster.
//!
//! What is *not* here: sleeping. Product code uses `tokio::time`, whose clock the simulator pauses and advances.

mod clock;
mod disk;
mod faults;
mod files;
mod host;
mod local;
mod memory;
mod network;
mod random;
mod threads;

use std::sync::Arc;

pub use clock::Clock;
pub use disk::{Batch, Change, Disk, DiskRoom, Done, Pair};
pub use faults::{Fault, Faults, NoFaults};
pub use files::{Files, NoFiles};
pub use host::Host;
pub use local::{Local, LocalListener, LocalStream};
pub use memory::{Access, Memory, MemoryHandle, Region};
pub use network::{Detached, Listener, Network, Stream, User};
pub use random::Random;
pub use threads::{Main, Threads};

/// A future that lives as long as what it borrows and may cross threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A future that stays on the thread that made it.
pub type LocalBoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything one node or client may touch outside its own memory.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub network: Arc<dyn Network>,
    pub local: Arc<dyn Local>,
    pub disk: Arc<dyn Disk>,
    pub memory: Arc<dyn Memory>,
    pub threads: Arc<dyn Threads>,
    pub host: Arc<dyn Host>,
    pub faults: Arc<dyn Faults>,
}
