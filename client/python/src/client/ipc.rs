//! `IPCClient`: blobs in the node's memory, in place.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};
use vineyard_client::{BlobWriter, GetOptions};
use vineyard_wire::{ObjectId, Tree};

use super::PyClientBase;
use super::target::{is_list, target_id};
use crate::blob::PyBlob;
use crate::blob_builder::PyBlobBuilder;
use crate::buffer::Borrowed;
use crate::held::{self, Held};
use crate::id::{PyObjectId, id_of, ids_of};
use crate::meta::Sight;
use crate::runtime::Live;

/// A client on the same machine as the node, connected to its Unix socket: it reads and writes blobs in place.
#[pyclass(name = "IPCClient", module = "vineyard._C", extends = PyClientBase, subclass, frozen)]
pub(crate) struct PyIpcClient;

#[pymethods]
impl PyIpcClient {
    /// The instance this client is connected to (int).
    #[getter]
    fn instance_id(slf: &Bound<'_, Self>) -> u64 {
        base(slf).channel().instance_id().0
    }

    /// Another client of the same node, with a connection of its own (IPCClient).
    ///
    /// Raises:
    ///     ConnectionFailedException: the node does not answer.
    fn fork<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let channel = base(slf).another(slf.py())?;
        let client = PyClientBase::new(Arc::new(channel), true);
        let client = PyClassInitializer::from(client).add_subclass(Self);
        Bound::new(slf.py(), client)
    }

    /// A fresh blob to fill and then to seal; several of them are had all or none. The memory is not zeroed.
    ///
    /// Parameters:
    ///     size: int or list of int
    ///         Bytes of each.
    ///
    /// Returns:
    ///     BlobBuilder, or a list of them
    ///
    /// Raises:
    ///     NotEnoughMemoryException: the node has no room; the message has the figures.
    #[pyo3(signature = (size))]
    fn create_blob<'py>(
        slf: &Bound<'py, Self>,
        size: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let live = base(slf).channel().live(py)?;
        if is_list(size) {
            let sizes: Vec<usize> = size
                .try_iter()?
                .map(|one| bytes(&one?))
                .collect::<PyResult<_>>()?;
            let writers = slf.get_blobs_to_fill(&live, sizes)?;
            let builders = writers.into_iter().map(|writer| slf.builder(&live, writer));
            return Ok(PyList::new(py, builders.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        let size = bytes(size)?;
        let channel = base(slf).channel();
        let writer = channel.call_on(py, &live, async move |client| {
            client.create_blob(size).await
        })?;
        Ok(slf.builder(&live, writer)?.into_any())
    }

    /// The blob of no bytes (Blob), which exists on every instance.
    fn create_empty_blob<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBlob>> {
        slf.show(vineyard_client::Blob::empty())
    }

    /// A blob of this instance, in place.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The blob.
    ///     unsafe: bool
    ///         Whether it may still be being filled: its bytes change until it is sealed. Default False.
    ///
    /// Returns:
    ///     Blob, or None if this instance has no such blob
    ///
    /// Raises:
    ///     ObjectNotSealedException: it is not sealed yet, and `unsafe` is False.
    #[pyo3(signature = (object_id, r#unsafe = false))]
    fn get_blob<'py>(
        slf: &Bound<'py, Self>,
        object_id: &Bound<'py, PyAny>,
        r#unsafe: bool,
    ) -> PyResult<Option<Bound<'py, PyBlob>>> {
        let ids = vec![id_of(object_id)?];
        let found = slf.blobs(ids, r#unsafe)?.pop().flatten();
        found.map(|blob| slf.show(blob)).transpose()
    }

    /// Several blobs of this instance, in place and in one exchange.
    ///
    /// Parameters:
    ///     object_ids: list of ObjectID
    ///         The blobs.
    ///     unsafe: bool
    ///         As for `get_blob`. Default False.
    ///
    /// Returns:
    ///     list of Blob, with None for each that this instance does not have
    ///
    /// Raises:
    ///     ObjectNotSealedException: one is not sealed yet, and `unsafe` is False.
    #[pyo3(signature = (object_ids, r#unsafe = false))]
    fn get_blobs<'py>(
        slf: &Bound<'py, Self>,
        object_ids: &Bound<'py, PyAny>,
        r#unsafe: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let found = slf.blobs(ids_of(object_ids)?, r#unsafe)?.into_iter();
        let shown = found.map(|blob| blob.map(|blob| slf.show(blob)).transpose());
        PyList::new(slf.py(), shown.collect::<PyResult<Vec<_>>>()?)
    }

    /// An object, with the bytes that are on this instance.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The object.
    ///     fetch: bool
    ///         Whether to bring it to this instance first if it is elsewhere; it has a new id then. Default False.
    ///     sync_remote: bool
    ///         As for `get_meta`. Default True.
    ///
    /// Returns:
    ///     Object, or a Blob if it is one
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such object.
    #[pyo3(signature = (object_id, fetch = false, sync_remote = true))]
    fn get_object<'py>(
        slf: &Bound<'py, Self>,
        object_id: &Bound<'py, PyAny>,
        fetch: bool,
        sync_remote: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, id) = (slf.py(), id_of(object_id)?);
        let mut options = GetOptions::default();
        options.sync_remote = sync_remote;
        options.fetch = fetch;
        base(slf).object(py, id, options)
    }

    /// The bytes of the distinct blobs below an object, on this instance.
    ///
    /// Parameters:
    ///     target: ObjectID, ObjectMeta or Object
    ///         The object.
    ///
    /// Returns:
    ///     int: bytes
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such object.
    fn allocated_size(slf: &Bound<'_, Self>, target: &Bound<'_, PyAny>) -> PyResult<usize> {
        let (py, id) = (slf.py(), target_id(target)?);
        if id == ObjectId::EMPTY_BLOB {
            return Ok(0);
        }
        let metas = base(slf).read(py, vec![id], true)?;
        metas.iter().map(|meta| meta.bytes(py)).sum()
    }

    /// The blob of this instance that begins at an address, and that a value of this process shows.
    ///
    /// Parameters:
    ///     target: int or buffer
    ///         The address, or what lies there.
    ///
    /// Returns:
    ///     ObjectID, or None if there is none
    ///
    /// Raises:
    ///     TypeError: it is neither an address nor a buffer.
    fn find_shared_memory(
        slf: &Bound<'_, Self>,
        target: &Bound<'_, PyAny>,
    ) -> PyResult<Option<PyObjectId>> {
        let address = match target.is_instance_of::<PyInt>() {
            true => target.extract::<usize>()?,
            false => Borrowed::of(target)?.address(),
        };
        let origin = base(slf).channel().origin();
        Ok(held::find(&origin, address).map(PyObjectId))
    }

    /// Whether `find_shared_memory` finds a blob.
    ///
    /// Parameters:
    ///     target: int or buffer
    ///         The address, or what lies there.
    ///
    /// Returns:
    ///     bool
    ///
    /// Raises:
    ///     TypeError: it is neither an address nor a buffer.
    fn is_shared_memory(slf: &Bound<'_, Self>, target: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(Self::find_shared_memory(slf, target)?.is_some())
    }
}

/// What the methods above share.
trait InPlace<'py> {
    fn get_blobs_to_fill(&self, live: &Arc<Live>, sizes: Vec<usize>) -> PyResult<Vec<BlobWriter>>;
    fn builder(&self, live: &Arc<Live>, writer: BlobWriter) -> PyResult<Bound<'py, PyBlobBuilder>>;
    fn blobs(
        &self,
        ids: Vec<ObjectId>,
        unsealed: bool,
    ) -> PyResult<Vec<Option<vineyard_client::Blob>>>;
    fn show(&self, blob: vineyard_client::Blob) -> PyResult<Bound<'py, PyBlob>>;
}

impl<'py> InPlace<'py> for Bound<'py, PyIpcClient> {
    fn get_blobs_to_fill(&self, live: &Arc<Live>, sizes: Vec<usize>) -> PyResult<Vec<BlobWriter>> {
        let channel = base(self).channel();
        channel.call_on(self.py(), live, async move |client| {
            client.create_blobs(&sizes).await
        })
    }

    fn builder(&self, live: &Arc<Live>, writer: BlobWriter) -> PyResult<Bound<'py, PyBlobBuilder>> {
        let channel = base(self).channel();
        let (origin, sight) = (channel.origin(), Sight::of(channel));
        PyBlobBuilder::make(self.py(), writer, origin, sight, live.clone())
    }

    fn blobs(
        &self,
        ids: Vec<ObjectId>,
        unsealed: bool,
    ) -> PyResult<Vec<Option<vineyard_client::Blob>>> {
        let all_blobs = ids
            .iter()
            .copied()
            .filter(|id| id.is_blob())
            .collect::<Vec<_>>();
        if all_blobs.is_empty() {
            return Ok(vec![None; ids.len()]);
        }
        let wanted = all_blobs.clone();
        let found = base(self).call(self.py(), async move |client| {
            let found = match unsealed {
                true => client.get_unsealed_blobs(&wanted).await,
                false => client.get_blobs(&wanted).await,
            };
            match found {
                Err(error) if error.is_not_exists() => Ok(vec![None; wanted.len()]),
                found => found,
            }
        })?;
        let mut found = found.into_iter();
        let of = |id: &ObjectId| {
            if id.is_blob() {
                found.next().flatten()
            } else {
                None
            }
        };
        Ok(ids.iter().map(of).collect())
    }

    fn show(&self, blob: vineyard_client::Blob) -> PyResult<Bound<'py, PyBlob>> {
        let channel = base(self).channel();
        let origin = (!blob.is_empty()).then(|| channel.origin());
        let held = Held { blob, origin };
        let instance = Some(channel.instance_id().0);
        PyBlob::show(self.py(), held, instance, Sight::of(channel), Tree::new())
    }
}

fn base<'a>(client: &'a Bound<'_, PyIpcClient>) -> &'a PyClientBase {
    client.as_super().get()
}

/// A number of bytes.
fn bytes(size: &Bound<'_, PyAny>) -> PyResult<usize> {
    size.extract::<usize>().map_err(|_| {
        PyTypeError::new_err(format!(
            "a blob's size is an int from 0, in bytes, not {size}"
        ))
    })
}
