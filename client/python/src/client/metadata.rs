//! Objects as the node knows them: created, persisted, copied, labelled, deleted.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::Value;
use vineyard_client::{Created, DeleteOptions};
use vineyard_wire::meta::key;
use vineyard_wire::{Code, Tree};

use super::PyClientBase;
use super::target::{is_list, target_id, target_ids};
use crate::errors::{refuse, wrong_type};
use crate::id::{PyObjectId, id_of};
use crate::meta::{PyMeta, Sight};
use crate::tree::Node;
use crate::value;

#[pymethods]
impl PyClientBase {
    /// Creates the object that metadata describes, and completes the metadata in place: id, signature and instance.
    ///
    /// Parameters:
    ///     metadata: ObjectMeta or list of ObjectMeta
    ///         What to create; each needs a typename.
    ///     instance_id: int or None
    ///         The instance that the object is said to be on. None: the connected one.
    ///
    /// Returns:
    ///     ObjectMeta: the same, or the list of them
    ///
    /// Raises:
    ///     MetaTreeInvalidException: there is no typename.
    ///     MetaTreeSubtreeNotExistsException: a member does not exist.
    #[pyo3(signature = (metadata, instance_id = None))]
    fn create_metadata<'py>(
        &self,
        metadata: &Bound<'py, PyAny>,
        instance_id: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if is_list(metadata) {
            let made = metadata.try_iter()?;
            let made = made.map(|one| self.create_one(&one?, instance_id));
            let made = made.collect::<PyResult<Vec<_>>>()?;
            return Ok(PyList::new(metadata.py(), made)?.into_any());
        }
        self.create_one(metadata, instance_id)
    }

    /// Deletes objects and blobs, with their names. What does not exist is ignored; values that are in use here stay
    /// valid.
    ///
    /// Parameters:
    ///     object: ObjectID, ObjectMeta, Object, or a list of them
    ///         What to delete.
    ///     force: bool
    ///         Whether to delete also what refers to them, which otherwise keeps them. Default False.
    ///     deep: bool
    ///         Whether to delete also members that nothing else refers to; blobs go in any case. Default True.
    ///     memory_trim: bool
    ///         Whether to give their pages back to the system at once. Default False.
    ///
    /// Raises:
    ///     TypeError: it is none of these.
    #[pyo3(signature = (object, force = false, deep = true, memory_trim = false))]
    fn delete(
        &self,
        py: Python<'_>,
        object: &Bound<'_, PyAny>,
        force: bool,
        deep: bool,
        memory_trim: bool,
    ) -> PyResult<()> {
        let ids = target_ids(object)?;
        if ids.is_empty() {
            return Ok(());
        }
        let mut options = DeleteOptions::default();
        options.force = force;
        options.deep = deep;
        options.memory_trim = memory_trim;
        self.call(py, async move |client| client.delete(&ids, options).await)
    }

    /// Whether an object or blob exists, here or persisted anywhere.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The object.
    ///
    /// Returns:
    ///     bool
    ///
    /// Raises:
    ///     TypeError: it is no ObjectID.
    fn exists(&self, py: Python<'_>, object_id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let id = id_of(object_id)?;
        self.call(py, async move |client| client.exists(id).await)
    }

    /// Makes an object and its members known to the whole cluster, durably. Again is no error.
    ///
    /// Parameters:
    ///     object: ObjectID, ObjectMeta or Object
    ///         The object.
    ///
    /// Raises:
    ///     MetaTreeSubtreeNotExistsException: there is no such object.
    ///     AssertionFailedException: it is a blob.
    fn persist(&self, py: Python<'_>, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let id = target_id(object)?;
        if id.is_blob() {
            return Err(no_persistent_blob(py));
        }
        self.call(py, async move |client| client.persist(id).await)
    }

    /// A new object with the same members. It is not persisted.
    ///
    /// Parameters:
    ///     object_id: ObjectID
    ///         The object; no blob.
    ///     extra_metadata: dict or None
    ///         Values over the object's own, of str to str, int, float, bool or None.
    ///
    /// Returns:
    ///     ObjectID: the copy
    ///
    /// Raises:
    ///     AssertionFailedException: it is a blob, or a value is of another type.
    ///     MetaTreeSubtreeNotExistsException: there is no such object.
    #[pyo3(signature = (object_id, extra_metadata = None))]
    fn shallow_copy(
        &self,
        py: Python<'_>,
        object_id: &Bound<'_, PyAny>,
        extra_metadata: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyObjectId> {
        let id = id_of(object_id)?;
        if id.is_blob() {
            let text = format!("The blobs cannot be shallow copied: {id}");
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        let mut extra = Tree::new();
        for (key, value) in extra_metadata.into_iter().flatten() {
            let key: String = key.extract()?;
            let value = value::to_json(&value)?;
            if value.is_array() || value.is_object() {
                let text = format!(
                    "The value of items in 'extra_metadata' must be primitives: '{key}' is not"
                );
                return Err(refuse(py, Code::AssertionFailed, text));
            }
            extra.insert(key, value);
        }
        let copy = self.call(py, async move |client| client.shallow_copy(id, extra).await)?;
        Ok(PyObjectId(copy))
    }

    /// Adds labels to an object: `label(object, key, value)` or `label(object, {key: value})`.
    ///
    /// Parameters:
    ///     object_id: ObjectID, ObjectMeta or Object
    ///         The object.
    ///     key: str, or dict of str to str
    ///         One label's key, or several labels.
    ///     value: str or None
    ///         The value of the one.
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such object.
    #[pyo3(signature = (object_id, key, value = None))]
    fn label(
        &self,
        py: Python<'_>,
        object_id: &Bound<'_, PyAny>,
        key: &Bound<'_, PyAny>,
        value: Option<String>,
    ) -> PyResult<()> {
        let id = target_id(object_id)?;
        let labels = match (key.cast::<PyString>(), value) {
            (Ok(key), Some(value)) => BTreeMap::from([(key.to_cow()?.into_owned(), value)]),
            (Err(_), None) => key.extract::<BTreeMap<String, String>>()?,
            _ => {
                return Err(wrong_type(
                    "label(object, key, value) or label(object, dict)",
                    key,
                ));
            }
        };
        self.call(py, async move |client| client.label(id, labels).await)
    }

    /// Brings an object or blob to this instance.
    ///
    /// Parameters:
    ///     object_id: ObjectID, ObjectMeta or Object
    ///         The object.
    ///
    /// Returns:
    ///     ObjectID: the copy; the same if it is here
    ///
    /// Raises:
    ///     MetaTreeSubtreeNotExistsException: there is no such object.
    ///     NotEnoughMemoryException: there is no room here.
    fn migrate(&self, py: Python<'_>, object_id: &Bound<'_, PyAny>) -> PyResult<PyObjectId> {
        let id = target_id(object_id)?;
        let here = self.call(py, async move |client| client.migrate(id).await)?;
        Ok(PyObjectId(here))
    }
}

impl PyClientBase {
    fn create_one<'py>(
        &self,
        metadata: &Bound<'py, PyAny>,
        instance_id: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = metadata.py();
        let Ok(meta) = metadata.cast::<PyMeta>() else {
            return Err(wrong_type("an ObjectMeta, or a list of them", metadata));
        };
        let meta = meta.get();
        let node = meta.whole(py)?;
        if node.text(key::TYPENAME).is_none() {
            let text = "No 'typename' field in incoming metadata: set meta['typename'] first";
            return Err(refuse(py, Code::MetaTreeInvalid, text));
        }
        let mut made = (*node).clone();
        let instance = instance_id.unwrap_or_else(|| self.channel().instance_id().0);
        made.set(key::INSTANCE_ID, instance);
        made.set(key::TRANSIENT, true);
        if made.plain(key::NBYTES).is_none() {
            made.set(key::NBYTES, 0);
        }
        let tree = made.to_tree();
        let had_links = made.has_links();
        let (created, read) = self.call(py, async move |client| {
            let created = client.create_metadata(tree).await?;
            // A member that was given by its id is filled in.
            let read = match had_links {
                true => Some(client.get_metadata(created.id).await?),
                false => None,
            };
            Ok((created, read))
        })?;
        let made = match read {
            Some(tree) => Node::from(tree),
            None => {
                note(&mut made, created);
                made
            }
        };
        meta.turn_into(made, Sight::of(self.channel()));
        Ok(metadata.clone())
    }
}

/// Only objects are known to the whole cluster.
pub(super) fn no_persistent_blob(py: Python<'_>) -> PyErr {
    let text = "The blobs cannot be persisted, and so have no names; what contains one can: put bytes in a list, \
                put([value], persist=True), or as an array, put(numpy.frombuffer(value, 'uint8'), persist=True)";
    refuse(py, Code::AssertionFailed, text)
}

/// Puts down what the node made of a tree.
pub(super) fn note(node: &mut Node, created: Created) {
    node.set(key::ID, Value::String(created.id.to_string()));
    node.set(key::SIGNATURE, created.signature.0);
    node.set(key::INSTANCE_ID, created.instance_id.0);
    node.set(key::TRANSIENT, true);
}
