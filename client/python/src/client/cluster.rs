//! The connection, the node behind it, and its cluster.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::PyClientBase;
use crate::runtime::Channel;
use crate::status::PyStatus;

#[pymethods]
impl PyClientBase {
    /// Whether the client is connected, and the node answers (bool).
    #[getter]
    fn connected(&self, py: Python<'_>) -> bool {
        !self.channel().is_closed() && self.call(py, async |client| client.debug().await).is_ok()
    }

    /// Ends the connection, for all clients that share it. Values that were got stay valid. Calls that follow raise
    /// ConnectionErrorException.
    fn close(&self, py: Python<'_>) {
        self.leave_streams();
        self.channel().close(py);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    /// Whether no other client shares the connection (bool).
    #[getter]
    fn _private(&self) -> bool {
        self.private
    }

    /// The node's Unix socket, as the node names it (str).
    #[getter]
    fn ipc_socket(&self) -> String {
        self.channel().facts().ipc_socket
    }

    /// How the connection is protected (str): "local", "plain", "TLS, node not verified" or "TLS, node verified".
    #[getter]
    fn security(&self) -> String {
        self.channel().facts().security.to_string()
    }

    /// The node's `host:port` (str).
    #[getter]
    fn rpc_endpoint(&self) -> String {
        let facts = self.channel().facts();
        match facts.rpc_endpoint.is_empty() {
            true => "0.0.0.0:0".to_owned(),
            false => facts.rpc_endpoint,
        }
    }

    /// The version of the protocol that the node speaks, as MAJOR.MINOR.PATCH (str).
    #[getter]
    fn version(&self) -> String {
        self.channel().facts().version
    }

    /// Whether this client is connected to a Unix socket (bool).
    #[getter]
    fn is_ipc(&self) -> bool {
        self.channel().is_ipc()
    }

    /// Whether this client is connected over TCP (bool).
    #[getter]
    fn is_rpc(&self) -> bool {
        !self.channel().is_ipc()
    }

    /// Whether blobs are compressed (zstd) when they are sent over TCP (bool).
    #[getter]
    fn get_compression(&self) -> bool {
        self.channel().options().compression
    }

    #[setter]
    fn set_compression(&self, enabled: bool) {
        self.channel()
            .set_options(|options| options.compression = enabled);
    }

    /// The longest wait for one answer, in seconds, once it is set (float). Until then metadata has 5 s, and transfers
    /// have 30 s and the time that their size takes at 50 MB/s.
    #[getter]
    fn get_timeout_seconds(&self) -> f64 {
        self.channel().timeout_seconds()
    }

    #[setter]
    fn set_timeout_seconds(&self, seconds: f64) -> PyResult<()> {
        self.channel().set_timeout_seconds(seconds)
    }

    /// The node's figures now (InstanceStatus).
    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<PyStatus> {
        let status = self.call(py, async |client| client.instance_status().await)?;
        Ok(status.into())
    }

    /// The instances of the cluster that can be reached, by their ids (dict of int to dict). Each has `hostid` (int),
    /// `hostname`,
    /// `nodename`, `ipc_socket`, `rpc_endpoint` (str) and `timestamp` (int, seconds).
    #[getter(meta)]
    fn instances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.call(py, async |client| client.cluster_meta().await)?;
        let cluster = PyDict::new(py);
        for (instance, info) in found {
            let facts = PyDict::new(py);
            facts.set_item("hostid", info.hostid)?;
            facts.set_item("hostname", info.hostname)?;
            facts.set_item("nodename", info.nodename)?;
            facts.set_item("ipc_socket", info.ipc_socket)?;
            facts.set_item("rpc_endpoint", info.rpc_endpoint)?;
            facts.set_item("timestamp", info.timestamp)?;
            cluster.set_item(instance.0, facts)?;
        }
        Ok(cluster)
    }

    /// Waits until the node has applied what the cluster agreed on so far.
    fn sync_meta(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, async |client| client.sync_meta().await)
    }

    /// Deletes all objects that this instance can see, with their names.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, async |client| client.clear().await)
    }

    /// As `clear`.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.clear(py)
    }

    /// Gives the pages of free memory back to the system.
    ///
    /// Returns:
    ///     bool: whether there were any
    fn memory_trim(&self, py: Python<'_>) -> PyResult<bool> {
        self.call(py, async |client| client.memory_trim().await)
    }

    /// Asks the node for a sign of life.
    ///
    /// Parameters:
    ///     info: dict or None
    ///         Ignored.
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (info = None))]
    fn debug(&self, py: Python<'_>, info: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = info;
        self.call(py, async |client| client.debug().await)
    }

    /// What another node needs to join the cluster (str). Told over the Unix socket only.
    fn _token(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, async |client| client.token().await)
    }
}

impl PyClientBase {
    /// A connection of its own to the same node.
    pub(super) fn another(&self, py: Python<'_>) -> PyResult<Channel> {
        let target = self.channel().target().clone();
        let options = self.channel().options();
        Channel::connect(py, target.clone(), options)
            .map_err(|stop| stop.into_refused_connection(py, &target))
    }
}
