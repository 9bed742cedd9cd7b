//! What a client needs of the world, when it is not the machine's: in the simulator and in tests.

use std::sync::Arc;

use vineyard_env::{Local, Memory, Network};
use vineyard_net::{SystemLocal, SystemNetwork};
use vineyard_shm::MemfdMemory;

use crate::connection::Target;
use crate::{Client, Options, Result};

/// The sockets and the memory a client runs on: the machine's, or the simulator's.
#[derive(Clone)]
pub struct World {
    /// TCP.
    pub network: Arc<dyn Network>,
    /// Unix sockets.
    pub local: Arc<dyn Local>,
    /// Maps what a node shares.
    pub memory: Arc<dyn Memory>,
    /// Whether connections that leave the machine are encrypted where the options do not say it.
    pub encrypts: bool,
}

impl World {
    /// This machine.
    pub fn system() -> Self {
        Self {
            network: Arc::new(SystemNetwork),
            local: Arc::new(SystemLocal),
            memory: Arc::new(MemfdMemory),
            encrypts: true,
        }
    }

    /// As [`Client::connect_ipc`], in this world.
    pub async fn connect_ipc(&self, path: &str, options: &Options) -> Result<Client> {
        Client::connect(self, Target::Ipc(path.to_owned()), options).await
    }

    /// As [`Client::connect_rpc`], in this world.
    pub async fn connect_rpc(&self, endpoint: &str, options: &Options) -> Result<Client> {
        Client::connect(self, Target::Rpc(endpoint.to_owned()), options).await
    }
}
