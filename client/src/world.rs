//! What a client needs of the world.

use std::sync::Arc;

use vineyard_env::{Local, Memory, Network};
use vineyard_net::{SystemLocal, SystemNetwork};
use vineyard_shm::MemfdMemory;

/// The sockets and the memory a client runs on: the machine's, or the simulator's.
#[derive(Clone)]
pub struct World {
    pub network: Arc<dyn Network>,
    pub local: Arc<dyn Local>,
    pub memory: Arc<dyn Memory>,
}

impl World {
    /// This machine.
    pub fn system() -> Self {
        Self {
            network: Arc::new(SystemNetwork),
            local: Arc::new(SystemLocal),
            memory: Arc::new(MemfdMemory),
        }
    }
}
