//! `BlobBuilder`: a blob that is being filled in the node's memory.
//!
//! Promise: the memory stays while a view of it lives: `abort` and `shrink` are refused until then. A builder that is
//! neither sealed nor aborted gives its memory back, by the next request, after the last reference to it is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use vineyard_client::{Blob, BlobWriter};
use vineyard_wire::{Code, ObjectId, Tree};

use crate::blob::{PyBlob, byte_at, characters, position};
use crate::buffer::{self, Lends, Region};
use crate::copy::{check_fits, region_after, source_of};
use crate::errors::refuse;
use crate::held::{Held, Origin};
use crate::id::PyObjectId;
use crate::meta::Sight;
use crate::object::PyObjectBuilder;
use crate::runtime::Live;
use crate::value;

/// A blob in the node's memory to write into, in place, and then to seal.
///
/// Made by `client.create_blob(size)`. `memoryview(builder)` and `numpy.frombuffer(builder, dtype)` write in place.
#[pyclass(name = "BlobBuilder", module = "vineyard._C", extends = PyObjectBuilder, frozen)]
pub(crate) struct PyBlobBuilder {
    id: ObjectId,
    origin: Origin,
    sight: Sight,
    /// The connection the memory belongs to.
    live: Arc<Live>,
    fill: Mutex<Fill>,
    views: AtomicUsize,
    extra: Mutex<Tree>,
}

enum Fill {
    Open {
        writer: BlobWriter,
        address: usize,
    },
    /// Being sealed, shrunk or aborted right now, by another thread.
    Busy,
    Sealed(Blob),
    Aborted,
}

impl PyBlobBuilder {
    pub(crate) fn make<'py>(
        py: Python<'py>,
        mut writer: BlobWriter,
        origin: Origin,
        sight: Sight,
        live: Arc<Live>,
    ) -> PyResult<Bound<'py, Self>> {
        let address = writer.as_mut_slice().as_mut_ptr() as usize;
        let builder = Self {
            id: writer.id().unwrap_or(ObjectId::EMPTY_BLOB),
            origin,
            sight,
            live,
            fill: Mutex::new(Fill::Open { writer, address }),
            views: AtomicUsize::new(0),
            extra: Mutex::default(),
        };
        Bound::new(
            py,
            PyClassInitializer::from(PyObjectBuilder).add_subclass(builder),
        )
    }

    /// Held for moments only, with the interpreter.
    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extra(&self) -> MutexGuard<'_, Tree> {
        self.extra.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer, for an exchange that consumes it. `act` is for the message.
    fn take(&self, py: Python<'_>, act: &str) -> PyResult<BlobWriter> {
        let mut fill = self.fill();
        match std::mem::replace(&mut *fill, Fill::Busy) {
            Fill::Open { writer, .. } => Ok(writer),
            other => {
                let error = other.refusal(py, act, self.id);
                *fill = other;
                Err(error)
            }
        }
    }

    fn check_no_views(&self, act: &str) -> PyResult<()> {
        match self.views.load(Ordering::Relaxed) {
            0 => Ok(()),
            views => Err(PyBufferError::new_err(format!(
                "cannot {act} blob {}: {views} views of it live, through which it could be written; release them \
                 first: `del view`, or `view.release()`",
                self.id
            ))),
        }
    }

    /// As sealed bytes that a Python object shows.
    fn sealed<'py>(&self, py: Python<'py>, blob: Blob) -> PyResult<Bound<'py, PyBlob>> {
        let origin = (!blob.is_empty()).then(|| self.origin.clone());
        let held = Held { blob, origin };
        let extra = self.extra().clone();
        PyBlob::show(
            py,
            held,
            Some(self.origin.instance),
            self.sight.clone(),
            extra,
        )
    }
}

impl Fill {
    fn refusal(&self, py: Python<'_>, act: &str, id: ObjectId) -> PyErr {
        match self {
            Self::Sealed(_) => {
                let text = format!("Cannot {act} a sealed buffer ({id})");
                refuse(py, Code::ObjectSealed, text)
            }
            Self::Aborted => {
                let text = format!("Cannot {act} blob {id}: it was aborted");
                refuse(py, Code::ObjectNotExists, text)
            }
            Self::Busy | Self::Open { .. } => {
                let text = format!("Cannot {act} blob {id}: another thread is sealing it");
                refuse(py, Code::AssertionFailed, text)
            }
        }
    }
}

impl Lends for PyBlobBuilder {
    fn region(&self, py: Python<'_>) -> PyResult<Region> {
        match &*self.fill() {
            Fill::Open { writer, address } => Ok(Region {
                address: *address,
                len: writer.len(),
                writable: true,
            }),
            Fill::Sealed(blob) => Ok(Region {
                address: blob.as_ptr() as usize,
                len: blob.len(),
                writable: false,
            }),
            other => Err(other.refusal(py, "use", self.id)),
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
impl PyBlobBuilder {
    /// The id that the blob has, sealed or not (ObjectID).
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
    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.region(py)?.len)
    }

    /// Whether the bytes are final (bool).
    #[getter]
    fn issealed(&self) -> bool {
        matches!(*self.fill(), Fill::Sealed(_))
    }

    /// Makes the bytes final and visible to others.
    ///
    /// Views made before show the blob's own memory; do not write through them any more.
    ///
    /// Parameters:
    ///     client: IPCClient or None
    ///         Not needed.
    ///
    /// Returns:
    ///     Blob
    ///
    /// Raises:
    ///     AssertionFailedException: it is sealed already.
    #[pyo3(signature = (client = None))]
    fn seal<'py>(
        &self,
        py: Python<'py>,
        client: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBlob>> {
        let _ = client;
        if self.issealed() {
            let text = "The blob writer has been already sealed.";
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        let writer = self.take(py, "seal")?;
        match self.live.call(py, async |_| writer.seal().await) {
            Ok(blob) => {
                *self.fill() = Fill::Sealed(blob.clone());
                self.sealed(py, blob)
            }
            Err(error) => {
                *self.fill() = Fill::Aborted;
                Err(error)
            }
        }
    }

    /// Refuses `act` (str) with a BufferError while a view of the blob lives, unless it is sealed.
    fn _check_no_views(&self, act: &str) -> PyResult<()> {
        match self.issealed() {
            true => Ok(()),
            false => self.check_no_views(act),
        }
    }

    /// Gives the memory back.
    ///
    /// Parameters:
    ///     client: IPCClient or None
    ///         Not needed.
    ///
    /// Raises:
    ///     ObjectSealedException: it is sealed.
    ///     ObjectNotExistsException: it was aborted before.
    ///     BufferError: a view of it lives.
    #[pyo3(signature = (client = None))]
    fn abort(&self, py: Python<'_>, client: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = client;
        if !matches!(*self.fill(), Fill::Sealed(_) | Fill::Aborted) {
            self.check_no_views("abort")?;
        }
        let writer = self.take(py, "abort")?;
        let outcome = self.live.call(py, async |_| writer.abort().await);
        *self.fill() = Fill::Aborted;
        outcome
    }

    /// Gives the bytes past a size back: `shrink(size)` or `shrink(client, size)`.
    ///
    /// Parameters:
    ///     client: IPCClient or None
    ///         Not needed.
    ///     size: int
    ///         The bytes that stay.
    ///
    /// Raises:
    ///     InvalidException: there are fewer bytes.
    ///     ObjectSealedException: it is sealed.
    ///     BufferError: a view of it lives.
    #[pyo3(signature = (*arguments, size = None))]
    fn shrink(
        &self,
        py: Python<'_>,
        arguments: &Bound<'_, pyo3::types::PyTuple>,
        size: Option<usize>,
    ) -> PyResult<()> {
        let size = match size {
            Some(size) => size,
            None => arguments
                .iter()
                .next_back()
                .ok_or_else(|| PyTypeError::new_err("shrink(size) or shrink(client, size)"))?
                .extract()?,
        };
        let region = self.region(py)?;
        if region.writable && size > region.len {
            let text = format!(
                "cannot shrink to size {size} since the current size is {}",
                region.len
            );
            return Err(refuse(py, Code::Invalid, text));
        }
        if region.writable {
            self.check_no_views("shrink")?;
        }
        let writer = self.take(py, "shrink")?;
        match self.live.call(py, async |_| writer.shrink(size).await) {
            Ok(mut writer) => {
                let address = writer.as_mut_slice().as_mut_ptr() as usize;
                *self.fill() = Fill::Open { writer, address };
                Ok(())
            }
            Err(error) => {
                *self.fill() = Fill::Aborted;
                Err(error)
            }
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
    ///     ObjectSealedException: the blob is sealed.
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
        if !region.writable {
            return Err(Fill::refusal(&self.fill(), py, "copy into", self.id));
        }
        check_fits(py, region, offset, source.len())?;
        // Keeps the memory while the interpreter is free, as a view does.
        self.lent();
        let to = region_after(region, offset);
        py.detach(|| buffer::copy(&source, to, concurrency));
        self.returned();
        Ok(())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.size(py)
    }

    fn __getitem__(&self, py: Python<'_>, index: isize) -> PyResult<i8> {
        byte_at(self.region(py)?, index)
    }

    /// With an int index a byte (from -128 to 127), with a str a metadata value of the blob.
    fn __setitem__(
        &self,
        py: Python<'_>,
        index: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if let Ok(key) = index.cast::<PyString>() {
            let value = value::to_plain(value)?;
            self.extra().insert(key.to_cow()?.into_owned(), value);
            return Ok(());
        }
        let region = self.region(py)?;
        let at = position(region, index.extract()?)?;
        if !region.writable {
            return Err(Fill::refusal(&self.fill(), py, "write into", self.id));
        }
        let byte = value.extract::<i8>().map_err(|_| {
            PyTypeError::new_err(format!("a byte of a blob is from -128 to 127, not {value}"))
        })?;
        buffer::write(region, at, byte);
        Ok(())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        characters(py, self.region(py)?)
    }

    fn __repr__(&self) -> String {
        let state = match &*self.fill() {
            Fill::Open { writer, .. } => format!("{} bytes, unsealed", writer.len()),
            Fill::Sealed(blob) => format!("{} bytes, sealed", blob.len()),
            Fill::Busy => "being sealed".to_owned(),
            Fill::Aborted => "aborted".to_owned(),
        };
        format!("BlobBuilder <\"{}\": {state}>", self.id)
    }
}
