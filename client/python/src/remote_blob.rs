//! `RemoteBlob` and `RemoteBlobBuilder`: bytes that go over the network, whole, and are this process's own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyType};
use vineyard_client::Blob;
use vineyard_wire::Code;

use crate::blob::{blob_tree, byte_at, characters, position};
use crate::buffer::{self, Borrowed, Lends, Region};
use crate::copy::{check_fits, region_after, source_of};
use crate::errors::refuse;
use crate::held::{Buffers, Held};
use crate::id::PyObjectId;
use crate::meta::{PyMeta, Sight};
use crate::object::PyVineyardObject;
use crate::tree::Node;

/// A copy of a blob's bytes, read over TCP. Read-only, as a Blob is.
#[pyclass(name = "RemoteBlob", module = "vineyard._C", extends = PyVineyardObject, frozen)]
pub(crate) struct PyRemoteBlob {
    blob: Blob,
    instance: u64,
}

impl PyRemoteBlob {
    pub(crate) fn make(py: Python<'_>, blob: Blob, instance: u64) -> PyResult<Bound<'_, Self>> {
        let base = PyVineyardObject::without_meta();
        let blob = Self { blob, instance };
        Bound::new(py, PyClassInitializer::from(base).add_subclass(blob))
    }

    pub(crate) fn held(&self) -> Held {
        let blob = self.blob.clone();
        Held { blob, origin: None }
    }

    pub(crate) fn make_meta(&self) -> PyMeta {
        let tree = blob_tree(self.blob.id(), self.blob.len(), Some(self.instance));
        let buffers = Buffers::default();
        buffers.add(self.held());
        PyMeta::of(Node::from(tree), buffers, Sight::default())
    }
}

impl Lends for PyRemoteBlob {
    fn region(&self, _py: Python<'_>) -> PyResult<Region> {
        Ok(Region {
            address: self.blob.as_ptr() as usize,
            len: self.blob.len(),
            writable: false,
        })
    }
}

#[pymethods]
impl PyRemoteBlob {
    /// The id of the blob on its instance (ObjectID).
    #[getter]
    fn id(&self) -> PyObjectId {
        PyObjectId(self.blob.id())
    }

    /// The instance that the bytes came from (int).
    #[getter]
    fn instance_id(&self) -> u64 {
        self.instance
    }

    /// The address of the first byte of the copy in this process (int).
    #[getter]
    fn address(&self) -> usize {
        self.blob.as_ptr() as usize
    }

    /// Bytes (int).
    #[getter]
    fn size(&self) -> usize {
        self.blob.len()
    }

    /// Bytes, as `size` (int).
    #[getter]
    fn nbytes(&self) -> usize {
        self.blob.len()
    }

    /// Bytes, as `size` (int).
    #[getter]
    fn allocated_size(&self) -> usize {
        self.blob.len()
    }

    /// Whether there is no byte in it (bool).
    #[getter]
    fn is_empty(&self) -> bool {
        self.blob.is_empty()
    }

    fn __len__(&self) -> usize {
        self.blob.len()
    }

    fn __getitem__(&self, py: Python<'_>, index: isize) -> PyResult<i8> {
        byte_at(self.region(py)?, index)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        characters(py, self.region(py)?)
    }
}

/// Bytes to fill here and then to send over TCP, with `client.create_remote_blob(builder)`.
///
/// RemoteBlobBuilder(size) has `size` zero bytes. `memoryview(builder)` writes in place.
#[pyclass(name = "RemoteBlobBuilder", module = "vineyard._C", frozen, weakref)]
pub(crate) struct PyRemoteBlobBuilder {
    fill: Mutex<Fill>,
    views: AtomicUsize,
}

enum Fill {
    /// Never resized, so never moved.
    Owned(Vec<u8>),
    /// Somebody else's.
    Wrapped(Borrowed),
    Aborted,
}

impl PyRemoteBlobBuilder {
    fn with(fill: Fill) -> Self {
        Self {
            fill: Mutex::new(fill),
            views: AtomicUsize::new(0),
        }
    }

    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes for as long as `_keep` lives, which counts as a view.
    pub(crate) fn lend(&self, py: Python<'_>) -> PyResult<Loan<'_>> {
        let region = self.region(py)?;
        self.lent();
        Ok(Loan {
            source: Borrowed::at(region.address, region.len)?,
            builder: self,
        })
    }
}

/// A builder's bytes, which stay until this is dropped.
pub(crate) struct Loan<'a> {
    pub(crate) source: Borrowed,
    builder: &'a PyRemoteBlobBuilder,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.builder.returned();
    }
}

impl Lends for PyRemoteBlobBuilder {
    fn region(&self, py: Python<'_>) -> PyResult<Region> {
        match &mut *self.fill() {
            Fill::Owned(bytes) => Ok(Region {
                address: bytes.as_mut_ptr() as usize,
                len: bytes.len(),
                writable: true,
            }),
            Fill::Wrapped(source) => Ok(source.region()),
            Fill::Aborted => Err(refuse(py, Code::ObjectNotExists, "the builder was aborted")),
        }
    }

    fn lent(&self) {
        self.views.fetch_add(1, Ordering::Relaxed);
    }

    fn returned(&self) {
        self.views.fetch_sub(1, Ordering::Relaxed);
    }
}

#[pymethods]
impl PyRemoteBlobBuilder {
    #[new]
    fn new(size: usize) -> Self {
        Self::with(Fill::Owned(vec![0; size]))
    }

    /// A builder of zero bytes.
    ///
    /// Parameters:
    ///     size: int
    ///         How many bytes.
    ///
    /// Returns:
    ///     RemoteBlobBuilder
    ///
    /// Raises:
    ///     OverflowError: the size is negative.
    #[classmethod]
    fn make(_class: &Bound<'_, PyType>, size: usize) -> Self {
        Self::new(size)
    }

    /// A builder over bytes that exist, without a copy.
    ///
    /// A buffer is kept alive. With an address, the caller keeps the memory valid until the builder is gone.
    ///
    /// Parameters:
    ///     buffer: buffer or int
    ///         The bytes, or their address in this process.
    ///     size: int or None
    ///         How many bytes; needed with an address. None: all of the buffer.
    ///
    /// Returns:
    ///     RemoteBlobBuilder
    ///
    /// Raises:
    ///     TypeError: an address without a size.
    #[staticmethod]
    #[pyo3(signature = (buffer, size = None))]
    fn wrap(buffer: &Bound<'_, PyAny>, size: Option<usize>) -> PyResult<Self> {
        if buffer.is_instance_of::<PyInt>() && size.is_none() {
            return Err(PyTypeError::new_err(
                "an address needs a size: wrap(address, size)",
            ));
        }
        Ok(Self::with(Fill::Wrapped(source_of(buffer, size)?)))
    }

    /// The address of the first byte in this process (int).
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.region(py)?.address)
    }

    /// Bytes (int).
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.region(py)?.len)
    }

    /// Lets the bytes go.
    ///
    /// Parameters:
    ///     client: RPCClient or None
    ///         Not needed.
    ///
    /// Raises:
    ///     BufferError: a view of them lives.
    #[pyo3(signature = (client = None))]
    fn abort(&self, client: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = client;
        match self.views.load(Ordering::Relaxed) {
            0 => {
                *self.fill() = Fill::Aborted;
                Ok(())
            }
            views => Err(PyBufferError::new_err(format!(
                "cannot abort: {views} views of the bytes live; release them first"
            ))),
        }
    }

    /// Copies bytes into the blob: `copy(offset, buffer)` or `copy(offset, address, size)`.
    ///
    /// Parameters:
    ///     offset: int
    ///         Bytes from the start of the blob.
    ///     ptr: buffer or int
    ///         The bytes, or their address in this process.
    ///     size: int or None
    ///         How many bytes; needed with an address. None: all of the buffer.
    ///     concurrency: int
    ///         The most threads that copy. Default 6.
    ///
    /// Raises:
    ///     AssertionFailedException: the bytes do not fit behind `offset`.
    ///     TypeError: what was wrapped is read-only.
    #[pyo3(signature = (offset, ptr, size = None, concurrency = 6))]
    fn copy(
        &self,
        py: Python<'_>,
        offset: usize,
        ptr: &Bound<'_, PyAny>,
        size: Option<usize>,
        concurrency: usize,
    ) -> PyResult<()> {
        let source = source_of(ptr, size)?;
        let region = self.region(py)?;
        check_fits(py, region, offset, source.len())?;
        check_writable(region)?;
        let _loan = self.lend(py)?;
        let to = region_after(region, offset);
        py.detach(|| buffer::copy(&source, to, concurrency));
        Ok(())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.size(py)
    }

    fn __getitem__(&self, py: Python<'_>, index: isize) -> PyResult<i8> {
        byte_at(self.region(py)?, index)
    }

    fn __setitem__(&self, py: Python<'_>, index: isize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let region = self.region(py)?;
        let at = position(region, index)?;
        check_writable(region)?;
        let byte = value.extract::<i8>().map_err(|_| {
            PyTypeError::new_err(format!("a byte of a blob is from -128 to 127, not {value}"))
        })?;
        buffer::write(region, at, byte);
        Ok(())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        characters(py, self.region(py)?)
    }
}

fn check_writable(region: Region) -> PyResult<()> {
    match region.writable {
        true => Ok(()),
        false => Err(PyTypeError::new_err("what was wrapped is read-only memory")),
    }
}
