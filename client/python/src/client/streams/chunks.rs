//! Verbs on chunks that lie in the node's memory.

use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use vineyard_client::Error;
use vineyard_wire::Code;

use super::late;
use crate::blob_builder::PyBlobBuilder;
use crate::client::PyIpcClient;
use crate::client::names::wait_within;
use crate::errors::refuse;
use crate::id::id_of;
use crate::meta::Sight;
use crate::runtime::steps::Waited;

#[pymethods]
impl PyIpcClient {
    /// A chunk of a stream to fill, in the node's memory. `push_chunk(stream, builder.id, seal=True)` makes it
    /// readable; a builder that is dropped before that is no part of the stream.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     size: int
    ///         Bytes. The memory is not zeroed.
    ///     timeout: float or None
    ///         The most seconds to wait for room. None: no limit.
    ///
    /// Returns:
    ///     BlobBuilder
    ///
    /// Raises:
    ///     NotEnoughMemoryException: it never fits, or the node's memory is full of other things.
    ///     StreamFailedException: the reader left.
    ///     DeadlineException: there was no room in time. A TimeoutError too.
    #[pyo3(signature = (stream, size, timeout = None))]
    fn new_chunk<'py>(
        slf: &Bound<'py, Self>,
        stream: &Bound<'py, PyAny>,
        size: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBlobBuilder>> {
        let (py, base) = (slf.py(), slf.as_super().get());
        let id = id_of(stream)?;
        let side = base.writer(py, id)?;
        let waited = side
            .live()
            .wait_in_steps(py, wait_within(timeout)?, async |step| {
                side.check_open(id)?;
                let chunk = side.end().lock().await.chunk_timeout(size, step).await;
                if matches!(chunk, Err(Error::Deadline { .. })) {
                    // The node has completed the chunk before, and perhaps waits for its memory.
                    side.let_filled_go();
                }
                chunk
            })?;
        let chunk = match waited {
            Waited::Done(chunk) => chunk,
            // Dropped here, the chunk goes back.
            Waited::Interrupted(_, raised) => return Err(raised),
            Waited::Late => return Err(late(py, "room for a chunk", timeout)),
        };
        let channel = base.channel();
        let (origin, sight) = (channel.origin(), Sight::of(channel));
        PyBlobBuilder::make(py, chunk.into_blob(), origin, sight, side.live().clone())
    }

    /// As `new_chunk`, but the chunk becomes readable with the next request of the writer: the next chunk, or
    /// `stop_stream`.
    ///
    /// Returns:
    ///     memoryview
    #[pyo3(signature = (stream, size, timeout = None))]
    fn new_buffer_chunk<'py>(
        slf: &Bound<'py, Self>,
        stream: &Bound<'py, PyAny>,
        size: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let builder = Self::new_chunk(slf, stream, size, timeout)?;
        let side = slf.as_super().get().writer(slf.py(), id_of(stream)?)?;
        side.keep(builder.clone().unbind());
        bytes_of(builder.as_any())
    }

    /// As `next_chunk`: the bytes of a chunk that is a blob.
    ///
    /// Returns:
    ///     memoryview
    ///
    /// Raises:
    ///     ObjectTypeErrorException: the chunk is an object.
    #[pyo3(signature = (stream, cursor = None, timeout = None))]
    fn next_buffer_chunk<'py>(
        slf: &Bound<'py, Self>,
        stream: &Bound<'py, PyAny>,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, base) = (slf.py(), slf.as_super().get());
        let chunk = base.pull_one(py, id_of(stream)?, cursor, timeout)?;
        if chunk.blob().is_none() {
            let text = format!(
                "the chunk {} is an object, which has no bytes of its own",
                chunk.id()
            );
            return Err(refuse(py, Code::ObjectTypeError, text));
        }
        bytes_of(&base.show_chunk(py, chunk)?)
    }
}

/// A view of unsigned bytes, as the released package gives it.
fn bytes_of<'py>(buffer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    PyMemoryView::from(buffer)?.call_method1("cast", ("B",))
}
