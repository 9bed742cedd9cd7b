//! `ObjectMeta`'s members, and the bytes of its blobs.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyString};
use vineyard_wire::meta::key;
use vineyard_wire::{Code, ObjectId, Tree};

use super::{PyMeta, mapping};
use crate::blob::PyBlob;
use crate::errors::{refuse, wrong_type};
use crate::id::PyObjectId;
use crate::object::PyVineyardObject;
use crate::remote_blob::PyRemoteBlob;
use crate::tree::Node;

#[pymethods]
impl PyMeta {
    /// Adds a member.
    ///
    /// Parameters:
    ///     key: str
    ///         Its key.
    ///     object: Object, ObjectMeta or ObjectID
    ///         The member; bytes that came with it are kept.
    ///
    /// Raises:
    ///     AssertionFailedException: the key is taken. A RuntimeError too.
    ///     TypeError: `object` is none of these.
    pub(super) fn add_member(
        &self,
        py: Python<'_>,
        key: &str,
        object: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.whole(py)?.entries.contains_key(key) {
            let text = format!("there is a value or member '{key}' already");
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        let entry = self.take_in(py, object)?;
        self.change(|node| node.entries.insert(key.to_owned(), entry));
        Ok(())
    }

    /// The member `key` as an object.
    ///
    /// Parameters:
    ///     key: str
    ///         The key of the member.
    ///
    /// Returns:
    ///     Object, or a Blob if it is one; None if there is no such key
    ///
    /// Raises:
    ///     AssertionFailedException: it is a plain value. A RuntimeError too.
    pub(crate) fn get_member<'py>(
        slf: &Bound<'py, Self>,
        key: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let node = slf.get().whole(py)?;
        if node.plain(key).is_some() {
            let text = format!("'{key}' is not a member, but a plain value");
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        let Some(member) = node.member(key) else {
            return Ok(None);
        };
        if member.is_blob() {
            // All of this object's bytes come at once, not those of each member on its own.
            slf.get().fetch(py)?;
        }
        let meta = Bound::new(py, slf.get().member_meta(py, member.clone()))?;
        PyVineyardObject::of_meta(&meta).map(Some)
    }

    /// The member `key` as an object, as `get_member` says.
    ///
    /// Parameters:
    ///     key: str
    ///         The key of the member.
    ///
    /// Returns:
    ///     Object, or a Blob if it is one; None if there is no such key
    ///
    /// Raises:
    ///     AssertionFailedException: it is a plain value. A RuntimeError too.
    fn member<'py>(slf: &Bound<'py, Self>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::get_member(slf, key)
    }

    /// Gives a blob of this tree its bytes, which were read from elsewhere.
    ///
    /// Parameters:
    ///     blob: RemoteBlob or Blob
    ///         The bytes.
    ///
    /// Raises:
    ///     TypeError: it is none of these.
    fn add_remote_blob(&self, blob: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(remote) = blob.cast::<PyRemoteBlob>() {
            self.buffers().add(remote.get().held());
            return Ok(());
        }
        let Ok(blob) = blob.cast::<PyBlob>() else {
            return Err(wrong_type("a RemoteBlob", blob));
        };
        let meta = PyVineyardObject::meta(blob.as_super())?;
        self.buffers().add_all(&meta.get().buffers());
        Ok(())
    }

    /// The bytes of a blob of this tree, in place and read-only.
    ///
    /// Parameters:
    ///     blob_id: ObjectID or int
    ///         The blob.
    ///
    /// Returns:
    ///     memoryview
    ///
    /// Raises:
    ///     ObjectNotExistsException: its bytes are not here.
    fn get_buffer<'py>(
        &self,
        py: Python<'py>,
        blob_id: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        let id = match blob_id.cast::<PyObjectId>() {
            Ok(id) => id.get().0,
            Err(_) => {
                let number = blob_id.extract::<u64>();
                ObjectId(number.map_err(|_| wrong_type("an ObjectID or an int", blob_id))?)
            }
        };
        let blob = self.show(py, id)?.ok_or_else(|| {
            let text = format!("The target blob {id} doesn't exist");
            refuse(py, Code::ObjectNotExists, text)
        })?;
        PyMemoryView::from(blob.as_any())
    }

    /// Whether the bytes of all blobs below are here.
    fn _is_complete(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_complete(py)
    }

    /// The blob of an id, as ObjectID or printed, or of the member of that name; None if its bytes are not here.
    fn _buffer<'py>(
        &self,
        py: Python<'py>,
        blob: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBlob>>> {
        if let Ok(id) = blob.cast::<PyObjectId>() {
            return self.show(py, id.get().0);
        }
        let Ok(text) = blob.cast::<PyString>() else {
            return Err(wrong_type("an ObjectID or a str", blob));
        };
        let text = text.to_cow()?;
        if let Some(id) = mapping::printed_id(&text) {
            return self.show(py, id);
        }
        let id = self.whole(py)?.member(&text).and_then(|member| member.id());
        id.map_or(Ok(None), |id| self.show(py, id))
    }

    /// The bytes of the distinct blobs of this tree that are here (int); 0 for what is on other instances.
    #[getter]
    fn memory_usage(&self, py: Python<'_>) -> PyResult<usize> {
        self.bytes(py)
    }

    /// The bytes of each member and of the whole, as `memory_usage` counts them.
    ///
    /// Parameters:
    ///     pretty: bool
    ///         Whether as text with a unit, instead of an int. Default True.
    ///
    /// Returns:
    ///     dict
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (pretty = true))]
    fn memory_usage_details<'py>(
        &self,
        py: Python<'py>,
        pretty: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.fetch(py)?;
        self.details(py, &self.node(), pretty)
    }
}

impl PyMeta {
    /// The blob `id` as a Python object, if its bytes can be had.
    fn show<'py>(&self, py: Python<'py>, id: ObjectId) -> PyResult<Option<Bound<'py, PyBlob>>> {
        let Some(held) = self.held(py, id)? else {
            return Ok(None);
        };
        let instance = match &held.origin {
            Some(origin) => Some(origin.instance),
            None => self.node().number(key::INSTANCE_ID),
        };
        PyBlob::show(py, held, instance, self.sight(), Tree::new()).map(Some)
    }

    /// The bytes of the distinct blobs that are here.
    pub(crate) fn bytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.fetch(py)?;
        Ok(self.bytes_of(&self.node()))
    }

    fn bytes_of(&self, node: &Node) -> usize {
        let buffers = self.buffers();
        let blobs = node.blobs(None).into_iter();
        blobs.filter_map(|id| buffers.size(id)).sum()
    }

    fn details<'py>(
        &self,
        py: Python<'py>,
        node: &Node,
        pretty: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for key in node.entries.keys() {
            match node.member(key) {
                Some(blob) if blob.is_blob() => {
                    dict.set_item(key, amount(py, self.bytes_of(blob), pretty)?)?;
                }
                Some(member) => dict.set_item(key, self.details(py, member, pretty)?)?,
                None => {}
            }
        }
        dict.set_item("summary", amount(py, self.bytes_of(node), pretty)?)?;
        Ok(dict)
    }
}

fn amount(py: Python<'_>, bytes: usize, pretty: bool) -> PyResult<Bound<'_, PyAny>> {
    if !pretty {
        return Ok(bytes.into_pyobject(py)?.into_any());
    }
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    let text = match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{amount:.1} {unit}"),
    };
    Ok(PyString::new(py, &text).into_any())
}
