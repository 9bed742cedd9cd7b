//! `InstanceStatus`: a node's figures.

use pyo3::prelude::*;
use vineyard_wire::reply::InstanceStatus;

/// The figures of the node that a client is connected to, at one moment.
#[pyclass(name = "InstanceStatus", module = "vineyard._C", frozen, get_all)]
pub(crate) struct PyStatus {
    /// int: the node's instance.
    instance_id: u64,
    /// str: how the node was started, as it says.
    deployment: String,
    /// int: bytes of live blobs.
    memory_usage: u64,
    /// int: bytes that blobs may take.
    memory_limit: u64,
    /// int: requests that wait for something to appear.
    deferred_requests: u64,
    /// int: clients on the Unix socket, this one included.
    ipc_connections: u64,
    /// int: clients over TCP, this one included.
    rpc_connections: u64,
}

impl From<InstanceStatus> for PyStatus {
    fn from(status: InstanceStatus) -> Self {
        Self {
            instance_id: status.instance_id.0,
            deployment: status.deployment,
            memory_usage: status.memory_usage,
            memory_limit: status.memory_limit,
            deferred_requests: status.deferred_requests,
            ipc_connections: status.ipc_connections,
            rpc_connections: status.rpc_connections,
        }
    }
}

#[pymethods]
impl PyStatus {
    fn __str__(&self) -> String {
        format!("InstanceStatus:\n{}", self.lines().join("\n"))
    }

    fn __repr__(&self) -> String {
        format!("{{\n{}\n}}", self.lines().join(",\n"))
    }
}

impl PyStatus {
    fn lines(&self) -> [String; 7] {
        [
            format!("    instance_id: {}", self.instance_id),
            format!("    deployment: {}", self.deployment),
            format!("    memory_usage: {}", self.memory_usage),
            format!("    memory_limit: {}", self.memory_limit),
            format!("    deferred_requests: {}", self.deferred_requests),
            format!("    ipc_connections: {}", self.ipc_connections),
            format!("    rpc_connections: {}", self.rpc_connections),
        ]
    }
}
