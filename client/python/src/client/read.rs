//! Metadata and objects, read.

use pyo3::prelude::*;
use pyo3::types::PyList;
use vineyard_client::{Error, GetOptions};
use vineyard_wire::{Code, ObjectId};

use super::PyClientBase;
use super::names::limit_of;
use crate::errors::refuse;
use crate::id::{id_of, ids_of};
use crate::meta::{PyMeta, Sight};
use crate::object::PyVineyardObject;

#[pymethods]
impl PyClientBase {
    /// The metadata of an object.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The object.
    ///     sync_remote: bool
    ///         Whether the node first catches up with the cluster; only then it surely knows what others persisted
    ///         just now.
    ///         Default True.
    ///
    /// Returns:
    ///     ObjectMeta
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such object.
    #[pyo3(signature = (object_id, sync_remote = true))]
    fn get_meta<'py>(
        &self,
        py: Python<'py>,
        object_id: &Bound<'py, PyAny>,
        sync_remote: bool,
    ) -> PyResult<Bound<'py, PyMeta>> {
        let id = id_of(object_id)?;
        let mut found = self.read(py, vec![id], sync_remote)?;
        let meta = found.pop().expect("one is found for each id");
        Bound::new(py, meta)
    }

    /// The metadata of several objects, in one exchange.
    ///
    /// Parameters:
    ///     object_ids: list of ObjectID
    ///         The objects.
    ///     sync_remote: bool
    ///         As for `get_meta`. Default True.
    ///
    /// Returns:
    ///     list of ObjectMeta, in the same order
    ///
    /// Raises:
    ///     ObjectNotExistsException: one does not exist.
    #[pyo3(signature = (object_ids, sync_remote = true))]
    fn get_metas<'py>(
        &self,
        py: Python<'py>,
        object_ids: &Bound<'py, PyAny>,
        sync_remote: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let found = self.read(py, ids_of(object_ids)?, sync_remote)?;
        PyList::new(py, found)
    }

    /// Several objects, in one exchange.
    ///
    /// Parameters:
    ///     object_ids: list of ObjectID
    ///         The objects.
    ///     sync_remote: bool
    ///         As for `get_meta`. Default True.
    ///
    /// Returns:
    ///     list of Object, in the same order
    ///
    /// Raises:
    ///     ObjectNotExistsException: one does not exist.
    #[pyo3(signature = (object_ids, sync_remote = true))]
    fn get_objects<'py>(
        &self,
        py: Python<'py>,
        object_ids: &Bound<'py, PyAny>,
        sync_remote: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let found = self.read(py, ids_of(object_ids)?, sync_remote)?;
        objects(py, found)
    }

    /// The metadata of objects of this cluster whose typename matches a pattern.
    ///
    /// Parameters:
    ///     pattern: str
    ///         With `*` and `?` as in a shell, for the whole typename.
    ///     regex: bool
    ///         Whether it is a regular expression instead. Default False.
    ///     limit: int
    ///         The most to return. Default 5.
    ///     nobuffer: bool
    ///         Whether their bytes will not be read. They are fetched when they are, either way. Default False.
    ///
    /// Returns:
    ///     list of ObjectMeta
    ///
    /// Raises:
    ///     ValueError: the limit is negative.
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (pattern, regex = false, limit = 5, nobuffer = false))]
    fn list_metadatas<'py>(
        &self,
        py: Python<'py>,
        pattern: String,
        regex: bool,
        #[pyo3(from_py_with = limit_of)] limit: u64,
        nobuffer: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let _ = nobuffer;
        PyList::new(py, self.list(py, pattern, regex, limit)?)
    }

    /// Objects of this cluster whose typename matches a pattern.
    ///
    /// Parameters:
    ///     pattern: str
    ///         With `*` and `?` as in a shell, for the whole typename.
    ///     regex: bool
    ///         Whether it is a regular expression instead. Default False.
    ///     limit: int
    ///         The most to return. Default 5.
    ///
    /// Returns:
    ///     list of Object
    ///
    /// Raises:
    ///     ValueError: the limit is negative.
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (pattern, regex = false, limit = 5))]
    fn list_objects<'py>(
        &self,
        py: Python<'py>,
        pattern: String,
        regex: bool,
        #[pyo3(from_py_with = limit_of)] limit: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        objects(py, self.list(py, pattern, regex, limit)?)
    }
}

impl PyClientBase {
    /// Metadata in the order of `ids`; over the Unix socket with the bytes that are here, in the same message.
    pub(super) fn read(
        &self,
        py: Python<'_>,
        ids: Vec<ObjectId>,
        sync_remote: bool,
    ) -> PyResult<Vec<PyMeta>> {
        let mut options = GetOptions::default();
        options.sync_remote = sync_remote;
        self.read_with(py, ids, options)
    }

    fn read_with(
        &self,
        py: Python<'_>,
        ids: Vec<ObjectId>,
        options: GetOptions,
    ) -> PyResult<Vec<PyMeta>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if self.channel().is_ipc() {
            let wanted = ids.clone();
            let found = self.call(py, async move |client| {
                match client.get_objects(&wanted, &options).await {
                    // Metadata of lost bytes stays readable.
                    Err(Error::Lost { .. }) => Ok(None),
                    found => found.map(Some),
                }
            })?;
            if let Some(found) = found {
                let sight = Sight::of(self.channel());
                let meta = |object| PyMeta::of_object(object, sight.clone());
                return Ok(found.into_iter().map(meta).collect());
            }
        }
        self.read_trees(py, ids, options.sync_remote)
    }

    fn read_trees(
        &self,
        py: Python<'_>,
        ids: Vec<ObjectId>,
        sync_remote: bool,
    ) -> PyResult<Vec<PyMeta>> {
        let wanted = ids.clone();
        let found = self.call(py, async move |client| {
            client.get_metadatas(&wanted, sync_remote).await
        })?;
        let sight = Sight::of(self.channel());
        let meta = |id: &ObjectId| {
            let tree = found.get(id).cloned();
            let tree = tree.ok_or_else(|| {
                let text = format!("failed to get metadata for '{id}': there is no such object");
                refuse(py, Code::ObjectNotExists, text)
            })?;
            Ok(PyMeta::of_tree(tree, sight.clone()))
        };
        ids.iter().map(meta).collect()
    }

    fn list(
        &self,
        py: Python<'_>,
        pattern: String,
        regex: bool,
        limit: u64,
    ) -> PyResult<Vec<PyMeta>> {
        let found = self.call(py, async move |client| {
            client.list_metadatas(&pattern, regex, limit).await
        })?;
        let sight = Sight::of(self.channel());
        let meta = |tree| PyMeta::of_tree(tree, sight.clone());
        Ok(found.into_values().map(meta).collect())
    }

    /// The object `id`, with its bytes at hand.
    pub(super) fn object<'py>(
        &self,
        py: Python<'py>,
        id: ObjectId,
        options: GetOptions,
    ) -> PyResult<Bound<'py, PyAny>> {
        let found = self.read_with(py, vec![id], options)?;
        let meta = found.into_iter().next().expect("one is found for each id");
        PyVineyardObject::of_meta(&Bound::new(py, meta)?)
    }
}

fn objects(py: Python<'_>, metas: Vec<PyMeta>) -> PyResult<Bound<'_, PyList>> {
    let objects = metas.into_iter();
    let objects = objects.map(|meta| PyVineyardObject::of_meta(&Bound::new(py, meta)?));
    PyList::new(py, objects.collect::<PyResult<Vec<_>>>()?)
}
