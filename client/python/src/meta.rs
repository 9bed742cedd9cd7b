//! `ObjectMeta`: the metadata tree of an object, and the bytes below it.
//!
//! Promise: a member is had without a copy and without asking the node again; a change stays in this object. What the
//! node was not asked for yet is asked for once, when it is first needed.

mod facts;
mod mapping;
mod members;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use vineyard_client::{Error, Object, RawObject};
use vineyard_wire::meta::key;
use vineyard_wire::{ObjectId, Tree, TreeText};

use crate::content::{self, Content};
use crate::errors::raise;
use crate::held::{Buffers, Held, Origin};
use crate::runtime::Channel;
use crate::tree::Node;

/// From where a tree was read.
#[derive(Clone, Default)]
pub(crate) struct Sight {
    /// Whom to ask for what is not here yet.
    pub(crate) channel: Option<Arc<Channel>>,
    /// The instance whose objects count as local. `None`: nothing does.
    pub(crate) instance: Option<u64>,
}

impl Sight {
    pub(crate) fn of(channel: &Arc<Channel>) -> Self {
        let instance = channel.is_ipc().then(|| channel.instance_id().0);
        Self {
            channel: Some(channel.clone()),
            instance,
        }
    }

    fn origin(&self) -> Option<Origin> {
        let channel = self.channel.as_ref().filter(|channel| channel.is_ipc())?;
        Some(channel.origin())
    }
}

/// The metadata of an object: plain values and members, under str keys.
///
/// ObjectMeta(global_=False) is an empty one, to describe an object that `client.create_metadata` then creates. A value
/// is a str, int, float, bool or None, and comes back as it went in; lists, tuples and dicts are kept as their JSON
/// text. A member is an Object, ObjectMeta or ObjectID, and reads as an ObjectMeta.
#[pyclass(name = "ObjectMeta", module = "vineyard._C", frozen, weakref)]
pub(crate) struct PyMeta {
    inner: Mutex<Inner>,
}

struct Inner {
    node: Arc<Node>,
    buffers: Buffers,
    sight: Sight,
    /// Set by `force_local`.
    forced_local: bool,
    /// What Python code attached under `_client`.
    client: Option<Py<PyAny>>,
    /// What `_tree` gave out.
    dict: Option<Py<PyDict>>,
    /// What `_content` gives out.
    content: Option<Py<PyDict>>,
    rest: Rest,
    /// The bytes that are not here were asked for.
    asked: bool,
}

/// What is not in the node yet: all but id, signature, instance and sometimes type.
enum Rest {
    Nothing,
    /// It is asked for when it is needed.
    AtTheNode,
    /// It is read when it is needed.
    In(TreeText),
}

impl PyMeta {
    pub(crate) fn of(node: Node, buffers: Buffers, sight: Sight) -> Self {
        let inner = Inner {
            node: Arc::new(node),
            buffers,
            sight,
            forced_local: false,
            client: None,
            dict: None,
            content: None,
            rest: Rest::Nothing,
            asked: false,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn empty(global: bool) -> Self {
        let mut node = Node::default();
        node.set(key::GLOBAL, global);
        Self::of(node, Buffers::default(), Sight::default())
    }

    /// An object that was just made, of which little is known here.
    pub(crate) fn partial(node: Node, sight: Sight) -> Self {
        let meta = Self::of(node, Buffers::default(), sight);
        meta.inner().rest = Rest::AtTheNode;
        meta
    }

    /// A tree, to which bytes are fetched when they are needed.
    pub(crate) fn of_tree(tree: Tree, sight: Sight) -> Self {
        Self::of(Node::from(tree), Buffers::default(), sight)
    }

    /// What a get found.
    pub(crate) fn of_object(object: Object, sight: Sight) -> Self {
        let meta = Self::of_tree(object.meta, sight);
        meta.attach(object.blobs.into_values());
        meta.inner().asked = true;
        meta
    }

    /// What a get found whose value is wanted, most likely, and not its metadata.
    pub(crate) fn of_raw(py: Python<'_>, unread: RawObject, sight: Sight) -> PyResult<Self> {
        let read = content::read(py, &unread.tree);
        let content = read.map_err(|error| raise(py, &malformed(&error)))?;
        let Content {
            tree,
            typename,
            instance,
            signature,
        } = content;
        let mut known = Node::default();
        known.set(key::ID, unread.id.to_string());
        let numbers = [(key::INSTANCE_ID, instance), (key::SIGNATURE, signature)];
        for (name, number) in numbers {
            number
                .into_iter()
                .for_each(|number| known.set(name, number));
        }
        typename
            .into_iter()
            .for_each(|typename| known.set(key::TYPENAME, typename));
        let meta = Self::of(known, Buffers::default(), sight);
        meta.attach(unread.blobs.into_values());
        let mut inner = meta.inner();
        inner.rest = Rest::In(unread.tree);
        inner.content = Some(tree.unbind());
        inner.asked = true;
        drop(inner);
        Ok(meta)
    }

    /// Adds bytes of this tree's blobs.
    pub(crate) fn attach(&self, blobs: impl IntoIterator<Item = vineyard_client::Blob>) {
        let inner = self.inner();
        let origin = inner.sight.origin();
        for blob in blobs {
            let node_memory = inner.sight.instance.is_some();
            let origin = origin.clone().filter(|_| node_memory);
            inner.buffers.add(Held { blob, origin });
        }
    }

    /// Adds bytes of this tree's blobs that came from elsewhere.
    pub(crate) fn attach_copies(&self, blobs: impl IntoIterator<Item = vineyard_client::Blob>) {
        let buffers = self.buffers();
        for blob in blobs
            .into_iter()
            .filter(|blob| buffers.size(blob.id()).is_none())
        {
            buffers.add(Held { blob, origin: None });
        }
    }

    /// The tree and its bytes as the SDK has them; `None` before it is created.
    pub(crate) fn to_object(&self, py: Python<'_>) -> PyResult<Option<Object>> {
        let node = self.whole(py)?;
        let buffers = self.buffers();
        let here = node.blobs(None).into_iter();
        let here = here.filter_map(|id| Some((id, buffers.get(id)?.blob)));
        Ok(node.id().map(|id| Object {
            id,
            meta: node.to_tree(),
            blobs: here.collect(),
        }))
    }

    /// Held for moments only, with the interpreter, and never across a call into Python or to the node.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        self.inner().node.clone()
    }

    pub(crate) fn sight(&self) -> Sight {
        self.inner().sight.clone()
    }

    pub(crate) fn buffers(&self) -> Buffers {
        self.inner().buffers.clone()
    }

    /// Changes the tree, for this object alone.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Node) -> T) -> T {
        let mut inner = self.inner();
        inner.forget_dicts();
        change(Arc::make_mut(&mut inner.node))
    }

    /// Makes it what the node has now.
    pub(crate) fn turn_into(&self, node: Node, sight: Sight) {
        let mut inner = self.inner();
        inner.forget_dicts();
        inner.node = Arc::new(node);
        inner.sight = sight;
        inner.rest = Rest::Nothing;
        inner.asked = false;
    }

    /// Reads or asks for what is not known yet.
    pub(crate) fn complete(&self, py: Python<'_>) -> PyResult<()> {
        let (id, sight) = {
            let mut inner = self.inner();
            match &inner.rest {
                Rest::Nothing => return Ok(()),
                Rest::In(text) => {
                    let read = text.read().map(|tree| inner.take_over(tree));
                    drop(inner);
                    return read.map_err(|error| raise(py, &malformed(&error)));
                }
                Rest::AtTheNode => (inner.node.id(), inner.sight.clone()),
            }
        };
        let (Some(id), Some(channel)) = (id, &sight.channel) else {
            return Ok(());
        };
        let tree = channel.call(py, async move |client| client.get_metadata(id).await)?;
        self.turn_into(Node::from(tree), sight);
        Ok(())
    }

    /// The tree, all of it.
    pub(crate) fn whole(&self, py: Python<'_>) -> PyResult<Arc<Node>> {
        self.complete(py)?;
        Ok(self.node())
    }

    /// The bytes of the blob `id` of this tree, fetched if need be; `None` if they are not on this instance.
    pub(crate) fn held(&self, py: Python<'_>, id: ObjectId) -> PyResult<Option<Held>> {
        if let Some(held) = self.buffers().get(id) {
            return Ok(Some(held));
        }
        self.fetch(py)?;
        Ok(self.buffers().get(id))
    }

    /// Fetches the bytes of all blobs of this tree that are on this instance and not here yet, once.
    pub(crate) fn fetch(&self, py: Python<'_>) -> PyResult<()> {
        let node = self.whole(py)?;
        let sight = {
            let mut inner = self.inner();
            if inner.asked {
                return Ok(());
            }
            inner.asked = true;
            inner.sight.clone()
        };
        let Some(channel) = &sight.channel else {
            return Ok(());
        };
        let wanted = node.blobs(Some(channel.instance_id().0)).into_iter();
        let buffers = self.buffers();
        let wanted: Vec<ObjectId> = wanted.filter(|id| buffers.size(*id).is_none()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = channel.call(py, async move |client| {
            match client.get_blobs(&wanted).await {
                // Lost bytes are not here; reading them is an error.
                Err(Error::Lost { .. }) => Ok(Vec::new()),
                found => found,
            }
        })?;
        self.attach(found.into_iter().flatten());
        Ok(())
    }

    /// Whether all bytes below are at hand, after those of this instance were asked for.
    pub(crate) fn is_complete(&self, py: Python<'_>) -> PyResult<bool> {
        self.fetch(py)?;
        let (node, buffers) = (self.whole(py)?, self.buffers());
        let mut blobs = node.blobs(None).into_iter();
        Ok(blobs.all(|id| buffers.get(id).is_some()))
    }

    /// A member as metadata of its own, with the same bytes at hand.
    fn member_meta(&self, py: Python<'_>, node: Arc<Node>) -> Self {
        let inner = self.inner();
        let member = Inner {
            node,
            buffers: inner.buffers.clone(),
            sight: inner.sight.clone(),
            forced_local: inner.forced_local,
            client: inner.client.as_ref().map(|client| client.clone_ref(py)),
            dict: None,
            content: None,
            rest: Rest::Nothing,
            asked: inner.asked,
        };
        Self {
            inner: Mutex::new(member),
        }
    }
}

impl Inner {
    /// What Python was given no longer says what this says.
    fn forget_dicts(&mut self) {
        self.dict = None;
        self.content = None;
    }

    /// Takes over what was not known yet; what was changed meanwhile stays as it is.
    fn take_over(&mut self, tree: Tree) {
        let node = Arc::make_mut(&mut self.node);
        let known = std::mem::replace(node, Node::from(tree));
        node.entries.extend(known.entries);
        self.rest = Rest::Nothing;
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::Malformed {
        request: "get_object_request",
        reason: error.to_string(),
    }
}
