//! The sides of streams that a client has in use: each with a connection of its own, so that its waits hold up no other
//! call of the client.
//!
//! Promise: a side lives from its first use until its stream is stopped, dropped or closed here, or the client is gone;
//! a forked process never touches its parent's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use tokio::sync::Mutex as Turns;
use vineyard_client::stream::{Chunk, Reader, Writer};
use vineyard_client::{Client, Error};
use vineyard_wire::{Code, ObjectId, Tree};

use super::late;
use crate::blob::PyBlob;
use crate::blob_builder::PyBlobBuilder;
use crate::client::PyClientBase;
use crate::client::names::wait_within;
use crate::errors::refuse;
use crate::held::Held;
use crate::meta::{PyMeta, Sight};
use crate::object::PyVineyardObject;
use crate::runtime::Live;
use crate::runtime::steps::Waited;

/// The stream and its cursor.
pub(super) type ReaderKey = (ObjectId, Option<String>);

/// The sides of streams that a client has in use.
#[derive(Default)]
pub(crate) struct Sides {
    writers: Mutex<BTreeMap<ObjectId, Arc<Side<Writer>>>>,
    readers: Mutex<BTreeMap<ReaderKey, Arc<Side<Reader>>>>,
}

/// One side, and the connection whose runtime drives it.
pub(super) struct Side<S> {
    /// Taken by `drop` alone, before the runtime goes.
    end: Option<Turns<S>>,
    live: Arc<Live>,
    /// The chunk that the node completes with the next request; dropped sooner it would be no part of the stream.
    filled: Mutex<Option<Py<PyBlobBuilder>>>,
    /// What came when a signal ended the wait for it.
    late: Mutex<Vec<Chunk>>,
    /// It was closed here, perhaps while another thread waits.
    is_closed: AtomicBool,
}

impl<S> Side<S> {
    pub(super) fn new(end: S, live: Arc<Live>) -> Arc<Self> {
        Arc::new(Self {
            end: Some(Turns::new(end)),
            live,
            filled: Mutex::default(),
            late: Mutex::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    pub(super) fn end(&self) -> &Turns<S> {
        self.end.as_ref().expect("only `drop` takes it")
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Refuses the next step of a wait if the side was closed meanwhile.
    pub(super) fn check_open(&self, id: ObjectId) -> Result<(), Error> {
        match self.is_closed.load(Ordering::Relaxed) {
            true => Err(Error::Closed {
                endpoint: format!("the stream {id}"),
            }),
            false => Ok(()),
        }
    }

    /// Keeps a chunk until the next request of the writer completes it.
    pub(super) fn keep(&self, builder: Py<PyBlobBuilder>) {
        let before = lock(&self.filled).replace(builder);
        drop(before);
    }

    /// The chunk that was kept is complete.
    pub(super) fn let_filled_go(&self) {
        let before = lock(&self.filled).take();
        drop(before);
    }

    /// At most `max` of the chunks that came when a signal ended the wait for them.
    fn take_late(&self, max: u64) -> Vec<Chunk> {
        let mut late = lock(&self.late);
        let count = usize::try_from(max.max(1))
            .unwrap_or(usize::MAX)
            .min(late.len());
        late.drain(..count).collect()
    }
}

impl<S> Drop for Side<S> {
    fn drop(&mut self) {
        if !self.live.is_ours() {
            // The parent's connection: closing it here would take it apart.
            std::mem::forget(self.end.take());
        }
    }
}

/// Held for moments only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side under `key`, if it belongs to this process.
fn known<K: Ord, S>(sides: &Mutex<BTreeMap<K, Arc<Side<S>>>>, key: &K) -> Option<Arc<Side<S>>> {
    let found = lock(sides).get(key).cloned();
    found.filter(|side| side.live.is_ours())
}

impl Sides {
    pub(super) fn open_writer(
        &self,
        id: ObjectId,
        writer: Writer,
        live: Arc<Live>,
    ) -> Arc<Side<Writer>> {
        let side = Side::new(writer, live);
        let before = lock(&self.writers).insert(id, side.clone());
        drop(before);
        side
    }

    pub(super) fn open_reader(
        &self,
        key: ReaderKey,
        reader: Reader,
        live: Arc<Live>,
    ) -> Arc<Side<Reader>> {
        let side = Side::new(reader, live);
        let before = lock(&self.readers).insert(key, side.clone());
        drop(before);
        side
    }

    pub(super) fn writer(&self, id: ObjectId) -> Option<Arc<Side<Writer>>> {
        known(&self.writers, &id)
    }

    pub(super) fn close_writer(&self, id: ObjectId) {
        let side = lock(&self.writers).remove(&id);
        drop(side);
    }

    pub(super) fn close_reader(&self, key: &ReaderKey) {
        let side = lock(&self.readers).remove(key);
        if let Some(side) = side {
            side.close();
        }
    }

    /// Leaves every stream.
    fn clear(&self) {
        let writers = std::mem::take(&mut *lock(&self.writers));
        let readers = std::mem::take(&mut *lock(&self.readers));
        writers.values().for_each(|side| side.close());
        readers.values().for_each(|side| side.close());
    }

    pub(super) fn forget(&self, id: ObjectId) {
        let writer = lock(&self.writers).remove(&id);
        let mut readers = lock(&self.readers);
        let (gone, kept) = std::mem::take(&mut *readers)
            .into_iter()
            .partition(|((of, _), _)| *of == id);
        *readers = kept;
        drop(readers);
        let gone: BTreeMap<_, _> = gone;
        drop((writer, gone));
    }
}

impl PyClientBase {
    pub(in crate::client) fn leave_streams(&self) {
        self.sides.clear();
    }

    pub(super) fn writer(&self, py: Python<'_>, id: ObjectId) -> PyResult<Arc<Side<Writer>>> {
        if let Some(side) = self.sides.writer(id) {
            return Ok(side);
        }
        let live = self.channel().live(py)?;
        let attach = async move |client: &Client| Writer::attach(client, id).await;
        let writer = self.channel().call_on(py, &live, attach)?;
        Ok(self.sides.open_writer(id, writer, live))
    }

    pub(super) fn reader(
        &self,
        py: Python<'_>,
        id: ObjectId,
        cursor: Option<String>,
    ) -> PyResult<Arc<Side<Reader>>> {
        let key = (id, cursor);
        if let Some(side) = known(&self.sides.readers, &key) {
            return Ok(side);
        }
        let live = self.channel().live(py)?;
        let cursor = key.1.clone();
        let attach = async move |client: &Client| Reader::attach(client, id, cursor).await;
        let reader = self.channel().call_on(py, &live, attach)?;
        Ok(self.sides.open_reader(key, reader, live))
    }

    pub(super) fn pull_one(
        &self,
        py: Python<'_>,
        id: ObjectId,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Chunk> {
        let chunks = self.pull(py, id, cursor, 1, timeout)?;
        Ok(chunks.into_iter().next().expect("a pull has one or raises"))
    }

    pub(super) fn pull(
        &self,
        py: Python<'_>,
        id: ObjectId,
        cursor: Option<String>,
        max: u64,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Chunk>> {
        let side = self.reader(py, id, cursor)?;
        let kept = side.take_late(max);
        if !kept.is_empty() {
            return Ok(kept);
        }
        let waited = side
            .live
            .wait_in_steps(py, wait_within(timeout)?, async |step| {
                side.check_open(id)?;
                side.end().lock().await.next_many_timeout(max, step).await
            })?;
        match waited {
            Waited::Done(chunks) if chunks.is_empty() => Err(refuse(
                py,
                Code::StreamDrained,
                "Stream drained: no more chunks",
            )),
            Waited::Done(chunks) => Ok(chunks),
            Waited::Interrupted(chunks, raised) => {
                lock(&side.late).extend(chunks);
                Err(raised)
            }
            Waited::Late => Err(late(py, "chunk", timeout)),
        }
    }

    pub(super) fn show_chunk<'py>(
        &self,
        py: Python<'py>,
        chunk: Chunk,
    ) -> PyResult<Bound<'py, PyAny>> {
        let channel = self.channel();
        let Some(blob) = chunk.blob() else {
            let raw = chunk.into_object().expect("a chunk is a blob or an object");
            let meta = PyMeta::of_raw(py, raw, Sight::of(channel))?;
            return PyVineyardObject::of_meta(&Bound::new(py, meta)?);
        };
        let origin = (channel.is_ipc() && !blob.is_empty()).then(|| channel.origin());
        let held = Held {
            blob: blob.clone(),
            origin,
        };
        let instance = Some(channel.instance_id().0);
        Ok(PyBlob::show(py, held, instance, Sight::of(channel), Tree::new())?.into_any())
    }
}
