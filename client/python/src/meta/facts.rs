//! What every `ObjectMeta` says of its object: id, type, size, place.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use vineyard_wire::meta::key;
use vineyard_wire::{Code, InstanceId};

use super::PyMeta;
use crate::errors::refuse;
use crate::id::PyObjectId;

#[pymethods]
impl PyMeta {
    /// This object itself (ObjectMeta).
    #[getter]
    fn meta<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// The object's id (ObjectID). AssertionFailedException (a RuntimeError) before it is created.
    #[getter]
    pub(crate) fn id(&self, py: Python<'_>) -> PyResult<PyObjectId> {
        let id = self.node().id();
        id.map(PyObjectId).ok_or_else(|| unset(py, key::ID))
    }

    #[setter]
    fn set_id(&self, id: &Bound<'_, PyObjectId>) {
        self.change(|node| node.set(key::ID, id.get().0.to_string()));
    }

    /// The name of the type (str). AssertionFailedException (a RuntimeError) if it is not set.
    #[getter]
    pub(crate) fn typename(&self, py: Python<'_>) -> PyResult<String> {
        let known = self.node().text(key::TYPENAME).map(str::to_owned);
        let text = match known {
            Some(text) => Some(text),
            None => self.whole(py)?.text(key::TYPENAME).map(str::to_owned),
        };
        text.ok_or_else(|| unset(py, key::TYPENAME))
    }

    #[setter]
    fn set_typename(&self, py: Python<'_>, typename: String) -> PyResult<()> {
        self.complete(py)?;
        self.change(|node| node.set(key::TYPENAME, typename));
        Ok(())
    }

    /// Bytes, as the builder said (int). AssertionFailedException (a RuntimeError) if it is not set.
    #[getter]
    pub(crate) fn nbytes(&self, py: Python<'_>) -> PyResult<u64> {
        let bytes = self.whole(py)?.number(key::NBYTES);
        bytes.ok_or_else(|| unset(py, key::NBYTES))
    }

    #[setter]
    fn set_nbytes(&self, py: Python<'_>, nbytes: u64) -> PyResult<()> {
        self.complete(py)?;
        self.change(|node| node.set(key::NBYTES, nbytes));
        Ok(())
    }

    /// The instance that the object is on (int); 2**64-1 for global objects. AssertionFailedException (a RuntimeError)
    /// before it is created.
    #[getter]
    fn instance_id(&self, py: Python<'_>) -> PyResult<u64> {
        let instance = self.node().number(key::INSTANCE_ID);
        instance.ok_or_else(|| unset(py, key::INSTANCE_ID))
    }

    /// What the object and its migrated copies share (int). AssertionFailedException (a RuntimeError) before it is
    /// created.
    #[getter]
    pub(crate) fn signature(&self, py: Python<'_>) -> PyResult<u64> {
        let signature = self.node().number(key::SIGNATURE);
        signature.ok_or_else(|| unset(py, key::SIGNATURE))
    }

    /// Forgets the signature: the object created of this metadata gets one of its own.
    fn reset_signature(&self, py: Python<'_>) -> PyResult<()> {
        self.complete(py)?;
        self.change(|node| node.entries.remove(key::SIGNATURE));
        Ok(())
    }

    /// When the object was made, in milliseconds since 1970 (int); 0 before.
    #[getter]
    fn timestamp(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.whole(py)?.number(key::TIMESTAMP).unwrap_or(0))
    }

    /// The labels that `client.label` gave the object, str to str (dict).
    #[getter]
    fn labels(&self, py: Python<'_>) -> PyResult<BTreeMap<String, String>> {
        let node = self.whole(py)?;
        let text = node.text(key::LABELS).unwrap_or("{}");
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// One of the labels that `client.label` gave the object.
    ///
    /// Parameters:
    ///     key: str
    ///         Its key.
    ///
    /// Returns:
    ///     str: empty if there is no such label
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    fn label(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        Ok(self.labels(py)?.remove(key).unwrap_or_default())
    }

    /// Whether the object's members may lie on several instances (bool).
    #[getter]
    pub(crate) fn isglobal(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.whole(py)?.flag(key::GLOBAL))
    }

    /// Says that the object's members may lie on several instances: it must be persisted then.
    ///
    /// Parameters:
    ///     global_: bool
    ///         Whether they may. Default True.
    ///
    /// Raises:
    ///     nothing.
    #[pyo3(signature = (global_ = true))]
    fn set_global(&self, global_: bool) {
        self.change(|node| node.set(key::GLOBAL, global_));
    }

    /// Whether the object lies on the instance it was read from, over the Unix socket (bool).
    #[getter]
    pub(crate) fn islocal(&self) -> bool {
        let inner = self.inner();
        let instance = inner.node.number(key::INSTANCE_ID);
        let specified = instance.is_some_and(|instance| instance != InstanceId::UNSPECIFIED.0);
        inner.forced_local || (specified && instance == inner.sight.instance)
    }

    /// Has `islocal` say True, for members as well.
    pub(crate) fn force_local(&self) {
        self.inner().forced_local = true;
    }

    /// What Python code attached: a client, or None.
    #[getter]
    fn _client(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let inner = self.inner();
        inner.client.as_ref().map(|client| client.clone_ref(py))
    }

    #[setter(_client)]
    fn attach_client(&self, client: Option<Py<PyAny>>) {
        // The old one may run code when it goes: not while this is locked.
        let before = std::mem::replace(&mut self.inner().client, client);
        drop(before);
    }
}

fn unset(py: Python<'_>, key: &str) -> PyErr {
    let text = format!("the metadata has no '{key}' yet");
    refuse(py, Code::AssertionFailed, text)
}
