//! Whole objects in one message: what the package's builders and resolvers are made of.
//!
//! Promise: a put makes all of a tree or nothing; its bytes are copied once, into the node's memory or into the
//! message, with the interpreter free.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::{Value, json};
use vineyard_client::{
    Client, DeleteOptions, Error, GetOptions, PutObject, RawObject, ReadOptions,
};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{Code, ObjectId, Tree};

use super::PyClientBase;
use super::metadata::no_persistent_blob;
use super::names::{wait_for, wait_within};
use crate::blob::blob_tree;
use crate::id::{id_of, name_of};
use crate::meta::{PyMeta, Sight};
use crate::source::Source;
use crate::tree::Node;
use crate::value;

/// What stands for the nth buffer in a tree from Python.
const BUFFER: &str = "_buffer";

#[pymethods]
impl PyClientBase {
    /// Stores a whole tree with its bytes: the ObjectMeta of what was made.
    ///
    /// tree: nested dict. A dict value is a member: `{"typename": "vineyard::Blob", "_buffer": i}` stands for
    /// `buffers[i]`, `{"id": "o..."}` links what exists, any other is made along with the tree. `{"_buffer": i}` alone
    /// puts a bare blob. buffers: list, for each blob a contiguous buffer object, or a list of buffer objects of any
    /// strides, whose bytes follow each other in C order. persist, name: as in `put`.
    #[pyo3(signature = (tree, buffers, persist = false, name = None))]
    fn _put_tree<'py>(
        &self,
        py: Python<'py>,
        tree: &Bound<'py, PyDict>,
        buffers: &Bound<'py, PyList>,
        persist: bool,
        name: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyMeta>> {
        let name = name.map(name_of).transpose()?;
        let sources = buffers.iter().map(|buffer| Source::of(&buffer));
        let sources = sources.collect::<PyResult<Vec<_>>>()?;
        if let Some(at) = tree.get_item(BUFFER)? {
            return self.put_bytes(py, &sources, at.extract()?, persist, name);
        }
        let mut converter = Content {
            buffers: sources.len(),
            linked: false,
        };
        let content = converter.of(tree)?;
        let linked = converter.linked;
        let mut known = Node::default();
        if let Some(Value::String(typename)) = content.get(key::TYPENAME) {
            known.set(key::TYPENAME, typename.clone());
        }
        let put = async |client: &Client| {
            let put = PutObject {
                content,
                blobs: sources.iter().map(Source::to_blob).collect(),
                persist,
                name,
            };
            client.put_object(put).await
        };
        let created = self.channel().make(py, put, async move |client, created| {
            // What the tree links was there before, and nothing else may keep it.
            match linked {
                true => Ok(()),
                false => rollback(client, created.id).await,
            }
        })?;
        super::metadata::note(&mut known, created);
        known.set(key::TRANSIENT, !persist);
        Bound::new(py, PyMeta::partial(known, Sight::of(self.channel())))
    }

    /// Reads an object with all its bytes that are on this instance, by `id` (ObjectID) or by `name`: its ObjectMeta.
    ///
    /// sync_remote: as in `get_meta`. wait: True or a number of seconds: until it exists. fetch: an object of another
    /// instance is copied to this one first, and the copy is read.
    #[pyo3(signature = (id = None, name = None, sync_remote = true, wait = None, fetch = false))]
    fn _get_tree<'py>(
        &self,
        py: Python<'py>,
        id: Option<&Bound<'py, PyAny>>,
        name: Option<&Bound<'py, PyAny>>,
        sync_remote: bool,
        wait: Option<&Bound<'py, PyAny>>,
        fetch: bool,
    ) -> PyResult<Bound<'py, PyMeta>> {
        let wait = match wait {
            None => None,
            Some(wait) if wait.is_instance_of::<pyo3::types::PyBool>() => {
                wait.is_truthy()?.then(|| wait_within(None)).transpose()?
            }
            Some(seconds) => Some(wait_within(Some(seconds.extract()?))?),
        };
        let mut options = GetOptions::default();
        options.sync_remote = sync_remote;
        options.wait = wait;
        options.fetch = fetch;
        let unread = match (id, name) {
            (Some(id), _) => {
                let id = id_of(id)?;
                self.call(py, async move |client| client.get_raw(id, &options).await)?
            }
            (None, Some(name)) => {
                let name = name_of(name)?;
                self.named(py, &name, &options)?
            }
            (None, None) => return Err(PyTypeError::new_err("an id or a name is needed")),
        };
        let meta = PyMeta::of_raw(py, unread, Sight::of(self.channel()))?;
        Bound::new(py, meta)
    }

    /// Reads all bytes below `meta` that are on other instances, over TCP from those, and attaches them.
    ///
    /// compression: whether they are compressed on the network. progress: called now and then with how many more bytes
    /// came; what it raises ends the read.
    #[pyo3(signature = (meta, compression = true, progress = None))]
    fn _complete(
        &self,
        py: Python<'_>,
        meta: &Bound<'_, PyMeta>,
        compression: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let meta = meta.get();
        if meta.is_complete(py)? {
            return Ok(());
        }
        let Some(mut object) = meta.to_object(py)? else {
            return Ok(());
        };
        let received = AtomicU64::new(0);
        let count = |bytes| _ = received.fetch_add(bytes, Ordering::Relaxed);
        let report = |py: Python<'_>| match (received.swap(0, Ordering::Relaxed), &progress) {
            (0, _) | (_, None) => Ok(()),
            (bytes, Some(progress)) => progress.call1(py, (bytes,)).map(drop),
        };
        let complete = async |client: &Client| {
            let mut options = ReadOptions::default();
            options.compression = Some(compression);
            options.progress = Some(&count);
            match client.complete_with(&mut object, &options).await {
                Err(error @ Error::Lost { .. }) => Err(Error::Status {
                    code: Code::ObjectNotExists,
                    message: error.to_string(),
                }),
                done => done.map(|()| object),
            }
        };
        let object = self.channel().call_watched(py, complete, |py| {
            py.check_signals()?;
            report(py)
        })?;
        report(py)?;
        meta.attach_copies(object.blobs.into_values());
        Ok(())
    }
}

impl PyClientBase {
    /// The object of a name, when there is one.
    fn named(&self, py: Python<'_>, name: &str, options: &GetOptions) -> PyResult<RawObject> {
        let mut now = *options;
        now.wait = None;
        let get = async |client: &Client| client.get_raw_named(name, &now).await;
        let Some(within) = options.wait else {
            return self.call(py, get);
        };
        let found = self.call(py, async |client| match get(client).await {
            Err(error) if error.is_not_exists() => Ok(None),
            found => found.map(Some),
        })?;
        if let Some(object) = found {
            return Ok(object);
        }
        wait_for(self, py, name, within)?;
        self.call(py, get)
    }

    /// A bare blob.
    fn put_bytes<'py>(
        &self,
        py: Python<'py>,
        sources: &[Source],
        at: usize,
        persist: bool,
        name: Option<String>,
    ) -> PyResult<Bound<'py, PyMeta>> {
        let source = sources
            .get(at)
            .ok_or_else(|| no_buffer(at, sources.len()))?;
        if persist {
            return Err(no_persistent_blob(py));
        }
        let put = async |client: &Client| match source {
            Source::Whole(buffer) => client.put_blob(buffer.bytes()).await,
            Source::Pieces(pieces) => client.put_source(pieces).await,
        };
        let undo = async |client: &Client, id| rollback(client, id).await;
        let id = self.channel().make(py, put, undo)?;
        if let Some(name) = name {
            self.call(py, async move |client| client.put_name(id, &name).await)?;
        }
        let instance = Some(self.channel().instance_id().0);
        let tree = blob_tree(id, source.len(), instance);
        Bound::new(py, PyMeta::of_tree(tree, Sight::of(self.channel())))
    }
}

/// Deletes what was just made, with its bytes.
async fn rollback(client: &Client, id: ObjectId) -> Result<(), Error> {
    client.delete(&[id], DeleteOptions::default()).await
}

/// A tree from Python as the SDK takes it.
struct Content {
    /// How many buffers there are.
    buffers: usize,
    /// Whether the tree links objects that exist.
    linked: bool,
}

impl Content {
    fn of(&mut self, tree: &Bound<'_, PyDict>) -> PyResult<Tree> {
        let mut content = Tree::new();
        for (name, entry) in tree {
            let name = name.cast_into::<PyString>()?.to_cow()?.into_owned();
            let entry = match entry.cast::<PyDict>() {
                Ok(member) => self.member(member)?,
                Err(_) => value::to_json(&entry)?,
            };
            content.insert(name, entry);
        }
        Ok(content)
    }

    fn member(&mut self, member: &Bound<'_, PyDict>) -> PyResult<Value> {
        let Some(at) = member.get_item(BUFFER)? else {
            let content = self.of(member)?;
            self.linked |= content.contains_key(key::ID);
            return Ok(Value::Object(content));
        };
        let at = at.extract::<usize>()?;
        if at >= self.buffers {
            return Err(no_buffer(at, self.buffers));
        }
        Ok(json!({ key::TYPENAME: BLOB_TYPENAME, key::INLINE: at }))
    }
}

fn no_buffer(at: usize, buffers: usize) -> PyErr {
    PyIndexError::new_err(format!("the tree names buffer {at} of {buffers}"))
}
