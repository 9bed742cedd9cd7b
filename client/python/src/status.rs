//! `InstanceStatus`: a node's figures.

use pyo3::prelude::*;
use vineyard_wire::reply::InstanceStatus;

/// The figures of the node that a client is connected to, at one moment.
#[pyclass(name = "InstanceStatus", module = "vineyard._C", frozen, get_all)]
pub(crate) struct PyStatus {
    /// The node's instance (int).
    instance_id: u64,
    /// How the node was started, as it says (str).
    deployment: String,
    /// Bytes of live blobs (int).
    memory_usage: u64,
    /// Bytes that blobs may take (int).
    memory_limit: u64,
    /// Requests that wait for something to appear (int).
    deferred_requests: u64,
    /// Clients on the Unix socket, this one included (int).
    ipc_connections: u64,
    /// Clients over TCP, this one included (int).
    rpc_connections: u64,
    /// Bytes of deleted blobs that readers still hold, which `memory_usage` does not count (int or None: a released
    /// node does not say).
    deleted_bytes: Option<u64>,
    /// The largest blob that fits, in bytes (int or None: a released node does not say).
    largest_free_bytes: Option<u64>,
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
            deleted_bytes: status.pieces.map(|pieces| pieces.deleted_bytes),
            largest_free_bytes: status.pieces.map(|pieces| pieces.largest_free_bytes),
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
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("    instance_id: {}", self.instance_id),
            format!("    deployment: {}", self.deployment),
            format!("    memory_usage: {}", self.memory_usage),
            format!("    memory_limit: {}", self.memory_limit),
            format!("    deferred_requests: {}", self.deferred_requests),
            format!("    ipc_connections: {}", self.ipc_connections),
            format!("    rpc_connections: {}", self.rpc_connections),
        ];
        let pieces = self.deleted_bytes.zip(self.largest_free_bytes);
        if let Some((deleted_bytes, largest_free_bytes)) = pieces {
            lines.push(format!("    deleted_bytes: {deleted_bytes}"));
            lines.push(format!("    largest_free_bytes: {largest_free_bytes}"));
        }
        lines
    }
}
