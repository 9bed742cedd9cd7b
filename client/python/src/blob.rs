//! `Blob`: sealed bytes, read in place.
//!
//! Promise: the bytes stay mapped, and the node keeps them for this connection, until the last Python object that shows
//! them is gone: the blob itself, or a view of it.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{Code, InstanceId, ObjectId, Tree};

use crate::buffer::{self, Lends, Region};
use crate::errors::refuse;
use crate::held::{self, Buffers, Held};
use crate::id::PyObjectId;
use crate::meta::{PyMeta, Sight};
use crate::object::PyVineyardObject;
use crate::tree::Node;

/// Bytes in the node's memory that never change. Over TCP, or from another node, a copy of them.
///
/// `memoryview(blob)`, `numpy.frombuffer(blob, dtype)` and `pyarrow.py_buffer(blob)` read them in place; writing
/// raises.
/// The bytes stay valid while the blob or a view of it lives, whatever is deleted meanwhile.
#[pyclass(name = "Blob", module = "vineyard._C", extends = PyVineyardObject, frozen)]
pub(crate) struct PyBlob {
    id: ObjectId,
    size: usize,
    /// Where the blob lies.
    instance: Option<u64>,
    /// `None` for a blob whose bytes are elsewhere.
    held: Option<Held>,
    sight: Sight,
    /// What a builder was told beside the bytes.
    extra: Tree,
}

impl PyBlob {
    /// A Python object for `held`.
    pub(crate) fn show<'py>(
        py: Python<'py>,
        held: Held,
        instance: Option<u64>,
        sight: Sight,
        extra: Tree,
    ) -> PyResult<Bound<'py, Self>> {
        held::show(&held);
        let blob = Self {
            id: held.blob.id(),
            size: held.blob.len(),
            instance,
            held: Some(held),
            sight,
            extra,
        };
        let base = PyVineyardObject::without_meta();
        Bound::new(py, PyClassInitializer::from(base).add_subclass(blob))
    }

    /// The blob that `meta` describes, with its bytes if they can be had.
    pub(crate) fn of_meta<'py>(meta: &Bound<'py, PyMeta>) -> PyResult<Bound<'py, Self>> {
        let py = meta.py();
        let node = meta.get().whole(py)?;
        let Some(id) = node.id() else {
            return Err(refuse(py, Code::AssertionFailed, "the blob has no id yet"));
        };
        let held = meta.get().held(py, id)?;
        if let Some(held) = &held {
            held::show(held);
        }
        let said = node.number(key::LENGTH).or(node.number(key::NBYTES));
        let size = held
            .as_ref()
            .map_or(said.unwrap_or(0) as usize, |held| held.blob.len());
        let blob = Self {
            id,
            size,
            instance: node.number(key::INSTANCE_ID),
            held,
            sight: meta.get().sight(),
            extra: Tree::new(),
        };
        let base = PyVineyardObject::with_meta(meta.clone().unbind());
        Bound::new(py, PyClassInitializer::from(base).add_subclass(blob))
    }

    pub(crate) fn make_meta(&self) -> PyMeta {
        let mut node = Node::from(blob_tree(self.id, self.size, self.instance));
        node.entries.extend(Node::from(self.extra.clone()).entries);
        let buffers = Buffers::default();
        if let Some(held) = &self.held {
            buffers.add(held.clone());
        }
        PyMeta::of(node, buffers, self.sight.clone())
    }
}

/// A blob as a tree of its own.
pub(crate) fn blob_tree(id: ObjectId, size: usize, instance: Option<u64>) -> Tree {
    let mut tree = Tree::new();
    tree.insert(key::ID.to_owned(), id.to_string().into());
    tree.insert(key::TYPENAME.to_owned(), BLOB_TYPENAME.into());
    tree.insert(key::LENGTH.to_owned(), size.into());
    tree.insert(key::NBYTES.to_owned(), size.into());
    tree.insert(key::TRANSIENT.to_owned(), true.into());
    let instance = instance.unwrap_or(InstanceId::UNSPECIFIED.0);
    tree.insert(key::INSTANCE_ID.to_owned(), instance.into());
    tree
}

impl Drop for PyBlob {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held::hide(held);
        }
    }
}

impl Lends for PyBlob {
    fn region(&self, py: Python<'_>) -> PyResult<Region> {
        match &self.held {
            Some(held) => Ok(Region {
                address: held.address(),
                len: held.blob.len(),
                writable: false,
            }),
            None => {
                let place = self
                    .instance
                    .map_or("another instance".to_owned(), |i| format!("i{i}"));
                let text = format!(
                    "The bytes of blob {} are on {place}, not here: client.get(...) reads them from there, \
                     client.get(..., fetch=True) brings them here",
                    self.id
                );
                Err(refuse(py, Code::ObjectNotExists, text))
            }
        }
    }
}

#[pymethods]
impl PyBlob {
    /// The blob of no bytes, which exists on every instance.
    ///
    /// Parameters:
    ///     client: IPCClient or None
    ///         Not needed.
    ///
    /// Returns:
    ///     Blob
    ///
    /// Raises:
    ///     nothing.
    #[staticmethod]
    #[pyo3(signature = (client = None))]
    fn empty<'py>(
        py: Python<'py>,
        client: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let _ = client;
        let blob = vineyard_client::Blob::empty();
        let held = Held { blob, origin: None };
        Self::show(py, held, None, Sight::default(), Tree::new())
    }

    /// The id of this blob (ObjectID).
    #[getter]
    fn id(&self) -> PyObjectId {
        PyObjectId(self.id)
    }

    /// The address of the first byte in this process (int).
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.region(py)?.address)
    }

    /// Bytes (int).
    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    /// Bytes, as `size` (int).
    #[getter]
    fn nbytes(&self) -> usize {
        self.size
    }

    /// Whether there is no byte in it (bool).
    #[getter]
    fn is_empty(&self) -> bool {
        self.size == 0
    }

    fn __len__(&self) -> usize {
        self.size
    }

    fn __getitem__(&self, py: Python<'_>, index: isize) -> PyResult<i8> {
        byte_at(self.region(py)?, index)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        characters(py, self.region(py)?)
    }
}

/// Where `index`, which may count from the end, lies.
pub(crate) fn position(region: Region, index: isize) -> PyResult<usize> {
    let from_start = match index < 0 {
        true => index.checked_add_unsigned(region.len),
        false => Some(index),
    };
    let inside = from_start
        .and_then(|at| usize::try_from(at).ok())
        .filter(|at| *at < region.len);
    inside.ok_or_else(|| {
        let text = format!("index {index} is outside a blob of {} bytes", region.len);
        PyIndexError::new_err(text)
    })
}

/// The byte at `index`, signed as in the released package.
pub(crate) fn byte_at(region: Region, index: isize) -> PyResult<i8> {
    Ok(buffer::read(region, position(region, index)?))
}

/// An iterator over the bytes as str of one character each, as in the released package.
pub(crate) fn characters(py: Python<'_>, region: Region) -> PyResult<Bound<'_, PyAny>> {
    let text = |at| {
        let byte = buffer::read(region, at).cast_unsigned();
        PyString::new(py, char::from(byte).encode_utf8(&mut [0; 4]))
    };
    let characters = PyList::new(py, (0..region.len).map(text).collect::<Vec<_>>())?;
    Ok(characters.try_iter()?.into_any())
}
