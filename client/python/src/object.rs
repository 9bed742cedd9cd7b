//! `Object` and `ObjectBuilder`: the bases of what is read and of what is made.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyAny;
use vineyard_wire::Code;
use vineyard_wire::meta::key;

use crate::blob::PyBlob;
use crate::errors::refuse;
use crate::id::PyObjectId;
use crate::meta::PyMeta;
use crate::remote_blob::PyRemoteBlob;

/// A sealed object: its metadata, and through its members the bytes below it.
///
/// There is no constructor: objects come from `client.get_object`, `meta.get_member` and `Object.from_(meta)`.
#[pyclass(name = "Object", module = "vineyard._C", subclass, frozen, weakref)]
pub(crate) struct PyVineyardObject {
    /// Blobs make theirs on first use: most are only ever read.
    meta: PyOnceLock<Py<PyMeta>>,
}

impl PyVineyardObject {
    pub(crate) fn with_meta(meta: Py<PyMeta>) -> Self {
        let cell = PyOnceLock::new();
        // A fresh cell is empty.
        drop(Python::attach(|py| cell.set(py, meta)));
        Self { meta: cell }
    }

    pub(crate) fn without_meta() -> Self {
        Self {
            meta: PyOnceLock::new(),
        }
    }

    /// What `meta` describes: a `Blob` if it is one.
    pub(crate) fn of_meta<'py>(meta: &Bound<'py, PyMeta>) -> PyResult<Bound<'py, PyAny>> {
        let py = meta.py();
        if meta.get().node().text(key::TYPENAME).is_none() {
            meta.get().complete(py)?;
        }
        if meta.get().node().is_blob() {
            return Ok(PyBlob::of_meta(meta)?.into_any());
        }
        if meta.get().node().id().is_none() {
            let text = "the metadata describes no object yet: create it first with client.create_metadata(meta)";
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        let object = Self::with_meta(meta.clone().unbind());
        Ok(Bound::new(py, object)?.into_any())
    }
}

#[pymethods]
impl PyVineyardObject {
    /// The object that `meta` describes: a Blob if it is one, else an Object.
    ///
    /// Parameters:
    ///     meta: ObjectMeta
    ///         Created, or fetched.
    ///
    /// Returns:
    ///     Object
    ///
    /// Raises:
    ///     AssertionFailedException: it has no id yet. A RuntimeError too.
    #[staticmethod]
    fn from_<'py>(meta: &Bound<'py, PyMeta>) -> PyResult<Bound<'py, PyAny>> {
        Self::of_meta(meta)
    }

    /// The metadata of this object (ObjectMeta).
    #[getter]
    pub(crate) fn meta<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMeta>> {
        let py = slf.py();
        let made = slf.get().meta.get_or_try_init(py, || {
            let meta = if let Ok(blob) = slf.cast::<PyBlob>() {
                blob.get().make_meta()
            } else if let Ok(blob) = slf.cast::<PyRemoteBlob>() {
                blob.get().make_meta()
            } else {
                PyMeta::empty(false)
            };
            Py::new(py, meta)
        })?;
        Ok(made.bind(py).clone())
    }

    /// The id of this object (ObjectID).
    #[getter]
    fn id(slf: &Bound<'_, Self>) -> PyResult<PyObjectId> {
        Self::meta(slf)?.get().id(slf.py())
    }

    /// The bytes of this object, as its metadata says (int).
    #[getter]
    fn nbytes(slf: &Bound<'_, Self>) -> PyResult<u64> {
        Ok(Self::meta(slf)?.get().nbytes(slf.py()).unwrap_or(0))
    }

    /// The name of the type, as in `vineyard::Tensor<int64>` (str).
    #[getter]
    fn typename(slf: &Bound<'_, Self>) -> PyResult<String> {
        Self::meta(slf)?.get().typename(slf.py())
    }

    /// What this object and its migrated copies share (int). The id, for a blob.
    #[getter]
    fn signature(slf: &Bound<'_, Self>) -> PyResult<u64> {
        let meta = Self::meta(slf)?;
        match meta.get().node().is_blob() {
            true => Ok(meta.get().id(slf.py())?.0.0),
            false => meta.get().signature(slf.py()),
        }
    }

    /// Whether its members may lie on several instances (bool).
    #[getter]
    fn isglobal(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::meta(slf)?.get().isglobal(slf.py())
    }

    /// Whether it lies on the instance that it was read from (bool).
    #[getter]
    fn islocal(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(Self::meta(slf)?.get().islocal())
    }

    /// Whether the whole cluster knew it when it was read (bool). Blobs never are.
    #[getter]
    fn ispersist(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let node = Self::meta(slf)?.get().whole(slf.py())?;
        Ok(!node.is_blob() && node.plain(key::TRANSIENT).is_some() && !node.flag(key::TRANSIENT))
    }

    /// The member object `name`; `object[name]` is the same.
    ///
    /// Parameters:
    ///     name: str
    ///         The key of the member.
    ///
    /// Returns:
    ///     Object, or a Blob if it is one
    ///
    /// Raises:
    ///     AssertionFailedException: there is no such member, or it is a plain value. A RuntimeError too.
    fn member<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let meta = Self::meta(slf)?;
        let found = PyMeta::get_member(&meta, name)?;
        found.ok_or_else(|| {
            let text = format!("Failed to get member '{name}': there is none");
            refuse(slf.py(), Code::AssertionFailed, text)
        })
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        Self::member(slf, name)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let meta = Self::meta(slf)?;
        let node = meta.get().node();
        let id = node
            .id()
            .map_or_else(|| "o?".to_owned(), |id| id.to_string());
        let typename = node.text(key::TYPENAME).unwrap_or("");
        Ok(format!("Object <\"{id}\": {typename}>"))
    }
}

/// The base of what makes objects: `seal(client)` does.
#[pyclass(
    name = "ObjectBuilder",
    module = "vineyard._C",
    subclass,
    frozen,
    weakref,
    dict
)]
#[derive(Default)]
pub(crate) struct PyObjectBuilder;

#[pymethods]
impl PyObjectBuilder {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, pyo3::types::PyTuple>,
        _kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> Self {
        Self
    }

    /// Makes the object, once. Builders that derive from this say how.
    ///
    /// Parameters:
    ///     client: Client
    ///         Where to make it.
    ///
    /// Returns:
    ///     Object
    ///
    /// Raises:
    ///     NotImplementedException: this builder does not say how.
    fn seal(&self, py: Python<'_>, client: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = client;
        let text = "this builder does not say how it is sealed: override seal(client)";
        Err(refuse(py, Code::NotImplemented, text))
    }

    /// Whether `seal` was called (bool).
    #[getter]
    fn issealed(&self) -> bool {
        false
    }
}
