//! The settings of a node, as plain data.
//!
//! Promise: every setting of a `Node` is a field here, and every bound is in `limits`. Reading the command line, the
//! environment and the data directory happens in the submodules, before a node exists; a simulated node gets a `Config`
//! written by hand. This file must never know sockets, actors or raft.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vineyard_raft::{Pace, ROUND_TRIP_MS};

pub mod descriptors;
pub mod flags;
pub mod limits;
mod load;
pub mod machine;
pub mod memory;
pub mod passwords;
pub mod remembered;
pub mod resolve;
pub mod settings;
pub mod size;
mod tls;

pub use descriptors::TooFewDescriptors;
pub use flags::{FlagError, Flags, LogFormat};
pub use limits::Limits;
pub use load::{LoadError, Loaded, Startup, load};
pub use machine::Machine;
pub use passwords::Passwords;
pub use remembered::Remembered;
pub use resolve::ConfigError;
pub use settings::Setting;
pub use tls::Tls;

/// The default TCP port.
pub const PORT_DEFAULT: u16 = 9600;

/// `host:port` as it was written, or with the default port where a host stands alone; `None` if it is neither.
pub fn with_port(text: &str) -> Option<String> {
    let is_bare = match text.strip_prefix('[') {
        Some(rest) => rest.ends_with(']'),
        None => !text.contains(':'),
    };
    let whole = match is_bare {
        true => format!("{text}:{PORT_DEFAULT}"),
        false => text.to_owned(),
    };
    let (host, port) = whole.rsplit_once(':')?;
    let is_whole = !host.is_empty() && port.parse::<u16>().is_ok();
    is_whole.then_some(whole)
}

/// The default mode of the Unix socket: its user and group may connect.
pub const SOCKET_MODE_DEFAULT: u32 = 0o660;
/// The size of the arena without a setting and without the machine's facts.
pub const SIZE_BYTES_DEFAULT: u64 = 256 << 20;

/// How long a voter may be dead before another node votes in its place.
pub const REPLACE_AFTER_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// Bytes of metadata of transient objects.
pub const TRANSIENT_QUOTA_BYTES_DEFAULT: u64 = 1 << 30;

/// One node's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The TCP address to listen on, for clients and other nodes.
    pub listen: Listen,
    /// Where others dial this node, as `host` or `host:port`: a name, or another address than the one that is bound.
    /// Without a port it is the one that is bound.
    pub advertise: Option<String>,
    /// Path of the Unix socket for processes of this machine.
    pub ipc_socket: String,
    pub ipc_socket_mode: u32,
    /// The arena: a multiple of 4096, in bytes.
    pub size_bytes: u64,
    /// Used by the real disk only; a node itself never opens it.
    pub data_dir: PathBuf,
    /// If present, the node joins that cluster and, without `expect`, never founds one. Ignored once the disk has a
    /// cluster.
    pub join: Option<Join>,
    /// With `join`, on a disk that no cluster has admitted: so many nodes, all told the same, found the cluster if none
    /// of those that `join` names is a member.
    pub expect: Option<u8>,
    /// `host:port` of nodes that are asked where the others are if no leader can be reached.
    pub seeds: Vec<String>,
    /// Without `join`: a disk without a node founds a cluster. Without both the start is refused, because the disk may
    /// be the wrong one, or may have lost its data.
    pub found: bool,
    /// What the cluster calls this node; `None`: as its host is called.
    pub name: Option<String>,
    /// The token of the cluster that is to be founded, as `vineyardctl token new` prints it; one is drawn without it.
    pub founding_token: Option<String>,
    /// What `instance_status` reports: `local` or `distributed`.
    pub deployment: String,
    /// Compress blobs on RPC connections whose client asks for it.
    pub compression: bool,
    /// Serve clients over TCP. Without it the port serves other nodes only.
    pub rpc: bool,
    /// Without passwords, serve also TCP clients whose user may not open the Unix socket, and clients on other
    /// machines.
    pub rpc_open_to_anyone: bool,
    /// Which TCP connections must be encrypted.
    pub tls: Tls,
    /// Serve probes over HTTP on the TCP port.
    pub http: bool,
    /// Names of this node that HTTP requests may use, beside addresses, `localhost` and the name in `listen`.
    pub http_hosts: Vec<String>,
    /// Present: only these users may register, on the Unix socket and over TCP.
    pub passwords: Option<Arc<Passwords>>,
    /// While this node leads: a voter that has not answered for so long loses its vote to a learner that answers.
    pub replace_after: Duration,
    /// What a cluster that this node founds is set to; until the node knows the cluster's state, also its own pace.
    pub round_trip_ms: Option<u64>,
    /// The same for the bytes of metadata that the cluster keeps.
    pub metadata_quota_bytes: Option<u64>,
    /// Bytes of metadata of transient objects that this node keeps.
    pub transient_quota_bytes: u64,
    /// The highest feature level that the node announces, for upgrades that may have to be reverted.
    pub feature_level: u8,
    pub limits: Limits,
    /// How it was told, for `vineyardctl bundle`; no secret.
    pub shown: Vec<Setting>,
}

impl Config {
    /// The defaults, with the settings that have none.
    pub fn new(data_dir: impl Into<PathBuf>, ipc_socket: impl Into<String>) -> Self {
        Self {
            listen: Listen::Auto { port: PORT_DEFAULT },
            advertise: None,
            ipc_socket: ipc_socket.into(),
            ipc_socket_mode: SOCKET_MODE_DEFAULT,
            size_bytes: SIZE_BYTES_DEFAULT,
            data_dir: data_dir.into(),
            join: None,
            expect: None,
            seeds: Vec::new(),
            found: true,
            name: None,
            founding_token: None,
            deployment: "local".to_owned(),
            compression: true,
            rpc: true,
            rpc_open_to_anyone: false,
            tls: Tls::default(),
            http: true,
            http_hosts: Vec::new(),
            passwords: None,
            replace_after: REPLACE_AFTER_DEFAULT,
            round_trip_ms: None,
            metadata_quota_bytes: None,
            transient_quota_bytes: TRANSIENT_QUOTA_BYTES_DEFAULT,
            feature_level: vineyard_raft::features::LATEST,
            limits: Limits::default(),
            shown: Vec::new(),
        }
    }

    /// The pace of a node that does not know its cluster's yet.
    pub fn pace(&self) -> Pace {
        Pace::new(self.round_trip_ms.unwrap_or(ROUND_TRIP_MS))
    }

    /// How long such a node gives to what usually takes `time`.
    pub(crate) fn stretch(&self, time: Duration) -> Duration {
        self.pace().stretch(time)
    }
}

/// Which TCP address to bind. Port 0 is any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Loopback; but a node that joins a cluster at a non-loopback address binds the local address of that route.
    Auto { port: u16 },
    /// Exactly this `host:port`.
    At(String),
}

/// The cluster to become part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// `host:port` of nodes that may already be in the cluster; tried in turn until one answers.
    pub endpoints: Vec<String>,
    /// As `vineyardctl token` prints it.
    pub token: String,
}
