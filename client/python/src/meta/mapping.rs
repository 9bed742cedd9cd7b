//! `ObjectMeta` as a mapping: values by key, and the whole as text or dicts.

use std::sync::Arc;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};
use serde_json::Value;
use vineyard_wire::meta::key;
use vineyard_wire::{Code, ObjectId, Tree};

use super::{PyMeta, Sight};
use crate::errors::{refuse, wrong_type};
use crate::held::Buffers;
use crate::id::{PyObjectId, parse};
use crate::object::PyVineyardObject;
use crate::tree::{Entry, Node};
use crate::value;

#[pymethods]
impl PyMeta {
    #[new]
    #[pyo3(signature = (global_ = false, *_args, **_kwargs))]
    fn new(global_: bool, _args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::empty(global_)
    }

    fn __contains__(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        Ok(self.whole(py)?.entries.contains_key(key))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = self.find(py, key)?;
        found.ok_or_else(|| PyKeyError::new_err(format!("key '{key}' does not exist")))
    }

    /// The value of a key.
    ///
    /// Parameters:
    ///     key: str
    ///         The key.
    ///     default: object
    ///         What to return if there is no such key. Default None.
    ///
    /// Returns:
    ///     str, int, float, bool or None as it was stored; a member as ObjectMeta; else `default`
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.find(py, key)?.or(default))
    }

    /// Sets a plain value, or adds a member. ValueError for what JSON cannot hold exactly: NaN, infinities, and ints
    /// outside -2**63 to 2**64-1. AssertionFailedException (a RuntimeError) if there is a member `key` already.
    fn __setitem__(&self, py: Python<'_>, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if is_member(value) {
            return self.add_member(py, key, value);
        }
        let plain = value::to_plain(value)?;
        if self.whole(py)?.member(key).is_some() {
            let text = format!("'{key}' is a member already, it cannot become a plain value");
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        self.change(|node| node.set(key, plain));
        Ok(())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.keys(py)?.try_iter()?.into_any())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.whole(py)?.entries.len())
    }

    /// The keys, in order (list of str).
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.whole(py)?.entries.keys())
    }

    /// Pairs of key and value, in the order of the keys; members are ObjectMeta.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let node = self.whole(py)?;
        let pair = |(key, entry): (&String, &Entry)| {
            (PyString::new(py, key), self.entry(py, entry)?).into_pyobject(py)
        };
        let pairs: Vec<_> = node.entries.iter().map(pair).collect::<PyResult<_>>()?;
        Ok(PyList::new(py, pairs)?.try_iter()?.into_any())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.whole(py)?.pretty())
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ObjectMeta {}", self.whole(py)?.pretty()))
    }

    /// Forgets everything: an empty ObjectMeta.
    fn reset(&self) {
        let mut node = Node::default();
        node.set(key::GLOBAL, false);
        self.turn_into(node, Sight::default());
        self.inner().buffers = Buffers::default();
    }

    /// Removes a key, if it is there.
    ///
    /// Parameters:
    ///     key: str
    ///         The key.
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    fn reset_key(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        self.complete(py)?;
        self.change(|node| node.entries.remove(key));
        Ok(())
    }

    /// The whole tree as nested dicts; made once. Do not change it.
    fn _tree<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let node = self.whole(py)?;
        if let Some(dict) = &self.inner().dict {
            return Ok(dict.bind(py).clone());
        }
        let dict = value::to_dict(py, &node)?;
        self.inner().dict = Some(dict.clone().unbind());
        Ok(dict)
    }

    /// What the object's builder said, as nested dicts: `_tree` without most of what the protocol adds, if that is at
    /// hand. Do not change it.
    fn _content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let content = self.inner().content.as_ref().map(|dict| dict.clone_ref(py));
        match content {
            Some(content) => Ok(content.into_bound(py)),
            None => self._tree(py),
        }
    }

    /// Metadata as JSON, which pickling made of it.
    #[staticmethod]
    fn _from_json(text: &str) -> PyResult<Self> {
        let tree = serde_json::from_str::<Tree>(text);
        let tree = tree.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self::of_tree(tree, Sight::default()))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let py = slf.py();
        let text = Value::Object(slf.get().whole(py)?.to_tree()).to_string();
        let class: Bound<'py, PyType> = py.get_type::<Self>();
        Ok((class.getattr("_from_json")?, (text,)))
    }
}

impl PyMeta {
    fn find<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        // What is known of an object that was just made never changes.
        let mut node = self.node();
        if !node.entries.contains_key(key) {
            node = self.whole(py)?;
        }
        let found = node.entries.get(key);
        found.map(|entry| self.entry(py, entry)).transpose()
    }

    fn entry<'py>(&self, py: Python<'py>, entry: &Entry) -> PyResult<Bound<'py, PyAny>> {
        match entry {
            Entry::Plain(value) => value::to_python(py, value),
            Entry::Member(node) => {
                Ok(Bound::new(py, self.member_meta(py, node.clone()))?.into_any())
            }
        }
    }

    /// What `value`, an ObjectID, ObjectMeta or Object, is as a member; its bytes are taken over.
    pub(super) fn take_in(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Entry> {
        if let Ok(id) = value.cast::<PyObjectId>() {
            return Ok(Entry::Member(Arc::new(Node::link(id.get().0))));
        }
        let meta = if let Ok(meta) = value.cast::<Self>() {
            meta.clone()
        } else if let Ok(object) = value.cast::<PyVineyardObject>() {
            PyVineyardObject::meta(object)?
        } else {
            let expected = "an Object, ObjectMeta or ObjectID as member";
            return Err(wrong_type(expected, value));
        };
        self.buffers().add_all(&meta.get().buffers());
        Ok(Entry::Member(meta.get().whole(py)?))
    }
}

fn is_member(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyObjectId>()
        || value.is_instance_of::<PyMeta>()
        || value.is_instance_of::<PyVineyardObject>()
}

/// The id that `text` is, if it looks like a printed one.
pub(super) fn printed_id(text: &str) -> Option<ObjectId> {
    let looks = text.len() == 17 && text.starts_with('o');
    looks.then(|| parse(text).ok())?
}
