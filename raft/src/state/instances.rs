//! Instances: the boots of the cluster's nodes, and what the leader's watch says of them.

use serde::{Deserialize, Serialize};
use vineyard_wire::InstanceId;
use vineyard_wire::reply::Liveness;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub hostid: u64,
    pub hostname: String,
    pub ipc_socket: String,
    /// `host:port` that clients and peers dial.
    pub endpoint: String,
    pub liveness: Liveness,
    /// When it registered, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}
