//! `RPCClient`: blobs over TCP, as copies.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;
use vineyard_client::Blob;
use vineyard_wire::meta::key;
use vineyard_wire::{Code, ObjectId};

use super::PyClientBase;
use super::target::is_list;
use crate::blob::blob_tree;
use crate::errors::{refuse, wrong_type};
use crate::id::{id_of, ids_of};
use crate::meta::{PyMeta, Sight};
use crate::object::PyVineyardObject;
use crate::remote_blob::{Loan, PyRemoteBlob, PyRemoteBlobBuilder};

/// What `instance_id` says over TCP, as in the released package: the client is on no instance.
const ON_NO_INSTANCE: u64 = u64::MAX - 1;

/// A client anywhere, connected to a node over TCP: blobs travel as copies.
#[pyclass(name = "RPCClient", module = "vineyard._C", extends = PyClientBase, subclass, frozen)]
pub(crate) struct PyRpcClient;

#[pymethods]
impl PyRpcClient {
    /// 2**64-2, because this client is on no instance (int); see `remote_instance_id`.
    #[getter]
    fn instance_id(&self) -> u64 {
        ON_NO_INSTANCE
    }

    /// The instance this client is connected to (int).
    #[getter]
    fn remote_instance_id(slf: &Bound<'_, Self>) -> u64 {
        base(slf).channel().instance_id().0
    }

    /// Empty (str). This version has no RDMA.
    #[getter]
    fn rdma_endpoint(&self) -> &'static str {
        ""
    }

    /// Another client of the same node, with a connection of its own (RPCClient).
    ///
    /// Raises:
    ///     ConnectionFailedException: the node does not answer.
    fn fork<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let channel = base(slf).another(slf.py())?;
        let client = PyClientBase::new(Arc::new(channel), true);
        let client = PyClassInitializer::from(client).add_subclass(Self);
        Bound::new(slf.py(), client)
    }

    /// Sends bytes to the connected instance, which makes blobs of them.
    ///
    /// Parameters:
    ///     blob_builder: RemoteBlobBuilder or list of RemoteBlobBuilder
    ///         The bytes.
    ///
    /// Returns:
    ///     ObjectMeta of the new blob, or a list of them
    ///
    /// Raises:
    ///     NotEnoughMemoryException: the node has no room.
    fn create_remote_blob<'py>(
        slf: &Bound<'py, Self>,
        blob_builder: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if is_list(blob_builder) {
            let builders = blob_builder.try_iter()?.collect::<PyResult<Vec<_>>>()?;
            return Ok(PyList::new(py, send(slf, &builders)?)?.into_any());
        }
        let mut sent = send(slf, std::slice::from_ref(blob_builder))?;
        let meta = sent.pop().expect("one is sent for each builder");
        Ok(Bound::new(py, meta)?.into_any())
    }

    /// A copy of a blob of the connected instance.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The blob.
    ///     unsafe: bool
    ///         Whether it may still be being filled, which the released server grants and ours does not: bytes that may
    ///         change do not travel. Default False.
    ///
    /// Returns:
    ///     RemoteBlob
    ///
    /// Raises:
    ///     ObjectNotExistsException: the connected instance has no such blob.
    ///     ObjectNotSealedException: it is still being filled.
    #[pyo3(signature = (object_id, r#unsafe = false))]
    fn get_remote_blob<'py>(
        slf: &Bound<'py, Self>,
        object_id: &Bound<'py, PyAny>,
        r#unsafe: bool,
    ) -> PyResult<Bound<'py, PyRemoteBlob>> {
        let mut found = fetch(slf, vec![id_of(object_id)?], r#unsafe)?;
        Ok(found.pop().expect("one is found for each id"))
    }

    /// Copies of several blobs of the connected instance, in one exchange.
    ///
    /// Parameters:
    ///     object_ids: list of ObjectID
    ///         The blobs.
    ///     unsafe: bool
    ///         As for `get_remote_blob`. Default False.
    ///
    /// Returns:
    ///     list of RemoteBlob, in the same order
    ///
    /// Raises:
    ///     ObjectNotExistsException: the connected instance does not have one of them.
    ///     ObjectNotSealedException: one is still being filled.
    #[pyo3(signature = (object_ids, r#unsafe = false))]
    fn get_remote_blobs<'py>(
        slf: &Bound<'py, Self>,
        object_ids: &Bound<'py, PyAny>,
        r#unsafe: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        PyList::new(slf.py(), fetch(slf, ids_of(object_ids)?, r#unsafe)?)
    }

    /// An object, with the bytes that are on the connected instance. What is there counts as local.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The object.
    ///     sync_remote: bool
    ///         As for `get_meta`. Default True.
    ///
    /// Returns:
    ///     Object, or a Blob if it is one
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such object.
    #[pyo3(signature = (object_id, sync_remote = true))]
    fn get_object<'py>(
        slf: &Bound<'py, Self>,
        object_id: &Bound<'py, PyAny>,
        sync_remote: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let mut found = base(slf).read(py, vec![id_of(object_id)?], sync_remote)?;
        let meta = Bound::new(py, found.pop().expect("one is found for each id"))?;
        if Self::is_fetchable(slf, &meta)? {
            meta.get().force_local();
        }
        PyVineyardObject::of_meta(&meta)
    }

    /// Whether an object is on the connected instance, so that its bytes can be read from it.
    ///
    /// Parameters:
    ///     meta: ObjectMeta
    ///         The object.
    ///
    /// Returns:
    ///     bool
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    fn is_fetchable(slf: &Bound<'_, Self>, meta: &Bound<'_, PyMeta>) -> PyResult<bool> {
        let node = meta.get().whole(slf.py())?;
        let here = base(slf).channel().instance_id().0;
        Ok(node.number(key::INSTANCE_ID) == Some(here))
    }
}

fn base<'a>(client: &'a Bound<'_, PyRpcClient>) -> &'a PyClientBase {
    client.as_super().get()
}

fn send(client: &Bound<'_, PyRpcClient>, builders: &[Bound<'_, PyAny>]) -> PyResult<Vec<PyMeta>> {
    let py = client.py();
    let mut loans: Vec<Loan<'_>> = Vec::with_capacity(builders.len());
    for builder in builders {
        let Ok(builder) = builder.cast::<PyRemoteBlobBuilder>() else {
            return Err(wrong_type(
                "a RemoteBlobBuilder, or a list of them",
                builder,
            ));
        };
        loans.push(builder.get().lend(py)?);
    }
    let bytes: Vec<&[u8]> = loans.iter().map(|loan| loan.source.bytes()).collect();
    let channel = base(client).channel();
    let ids = match bytes.is_empty() {
        true => Vec::new(),
        false => channel.call(py, async |client| client.put_blobs(&bytes).await)?,
    };
    let instance = Some(channel.instance_id().0);
    let sizes = bytes.iter().map(|bytes| bytes.len());
    let meta = |(id, size)| PyMeta::of_tree(blob_tree(id, size, instance), Sight::of(channel));
    Ok(ids.into_iter().zip(sizes).map(meta).collect())
}

fn fetch<'py>(
    client: &Bound<'py, PyRpcClient>,
    ids: Vec<ObjectId>,
    unsealed: bool,
) -> PyResult<Vec<Bound<'py, PyRemoteBlob>>> {
    let py = client.py();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = ids.clone();
    let channel = base(client).channel();
    let found: Vec<Option<Blob>> = channel.call(py, async move |client| {
        let found = match unsealed {
            true => client.get_unsealed_blobs(&wanted).await,
            false => client.get_blobs(&wanted).await,
        };
        match found {
            Err(error) if error.is_not_exists() => Ok(vec![None; wanted.len()]),
            found => found,
        }
    })?;
    let instance = channel.instance_id().0;
    let blob = |(id, blob): (&ObjectId, Option<Blob>)| {
        let blob = blob.ok_or_else(|| {
            let text = format!("failed to get blob {id} from instance i{instance}: it has none");
            refuse(py, Code::ObjectNotExists, text)
        })?;
        PyRemoteBlob::make(py, blob, instance)
    };
    ids.iter().zip(found).map(blob).collect()
}
