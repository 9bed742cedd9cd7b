//! Verbs of streams. Names and order of arguments are the released package's; those after are ours.

mod chunks;
mod sides;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vineyard_client::Client;
use vineyard_client::stream::{
    OnReaderGone, ReaderOptions, ReaderStart, ReadersKind, StreamOptions,
};
use vineyard_wire::Code;

use super::PyClientBase;
use super::names::wait_within;
use crate::errors::{refuse, too_late};
use crate::id::{PyObjectId, id_of};
use crate::runtime::steps::Waited;

pub(crate) use self::sides::Sides;

#[pymethods]
impl PyClientBase {
    /// Makes the stream of an object, on the node this client is connected to.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The object, whose metadata says what the stream has.
    ///     window_bytes_max: int or None
    ///         The writer waits while so many bytes are written, wait or are in flight. None: the node's memory
    ///         decides.
    ///     readers: str
    ///         "one"; "each": every cursor gets all; "share": each chunk goes to one cursor. Default "one".
    ///     readers_min: int
    ///         Chunks stay until so many cursors are open. Default 0.
    ///     retain_bytes_max: int
    ///         Chunks that were read are kept up to this, for replay. Default 0.
    ///     on_reader_gone: str
    ///         What a reader that goes before the end means: "fail", or "wait" for it to come back. Default "fail".
    ///     ephemeral: bool
    ///         Whether the stream, its metadata and its names go with this client's connection. Default False.
    ///
    /// Raises:
    ///     ObjectExistsException: there is one already.
    #[pyo3(signature = (
        stream,
        window_bytes_max = None,
        readers = "one",
        readers_min = 0,
        retain_bytes_max = 0,
        on_reader_gone = "fail",
        ephemeral = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn create_stream(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        window_bytes_max: Option<u64>,
        readers: &str,
        readers_min: u64,
        retain_bytes_max: u64,
        on_reader_gone: &str,
        ephemeral: bool,
    ) -> PyResult<()> {
        let id = id_of(stream)?;
        let readers = match readers {
            "one" => ReadersKind::One,
            "each" => ReadersKind::Each,
            "share" => ReadersKind::Share,
            other => return Err(wrong(py, "readers", other, "'one', 'each' or 'share'")),
        };
        let then = match on_reader_gone {
            "fail" => OnReaderGone::Fail,
            "wait" => OnReaderGone::Wait,
            other => return Err(wrong(py, "on_reader_gone", other, "'fail' or 'wait'")),
        };
        let mut options = StreamOptions::default()
            .readers(readers)
            .readers_min(readers_min)
            .retain_bytes_max(retain_bytes_max)
            .on_reader_gone(then);
        if let Some(bytes) = window_bytes_max {
            options = options.window_bytes_max(bytes);
        }
        if ephemeral {
            options = options.ephemeral();
        }
        self.call(py, async move |client| {
            client.create_stream_of(id, &options).await
        })
    }

    /// A stream of this client's node that gets the chunks of a stream of another node, as they come.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream, whose metadata is persisted.
    ///
    /// Returns:
    ///     ObjectID: the new stream; `stream` itself if it is of this node
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such stream, or its metadata is not persisted.
    ///     StreamOpenedException: it is read already.
    fn migrate_stream(&self, py: Python<'_>, stream: &Bound<'_, PyAny>) -> PyResult<PyObjectId> {
        let id = id_of(stream)?;
        let made = self.call(py, async move |client| client.migrate_stream(id).await)?;
        Ok(PyObjectId(made))
    }

    /// Opens one side of a stream.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     mode: str
    ///         "r" to read, "w" to write.
    ///     cursor: str or None
    ///         Which of several readers. Default None, the one reader.
    ///     from_: str, int or None
    ///         Where to read first: "next", "start", or the number of a chunk. Default None, as "next".
    ///
    /// Raises:
    ///     StreamOpenedException: another one has it open.
    ///     InvalidStreamStateException: the chunk `from_` is gone.
    #[pyo3(signature = (stream, mode, cursor = None, from_ = None))]
    fn open_stream(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        mode: &str,
        cursor: Option<String>,
        from_: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let id = id_of(stream)?;
        let live = self.channel().live(py)?;
        if mode == "w" {
            let opened = self
                .channel()
                .call_on(py, &live, async move |client| client.open_writer(id).await)?;
            self.sides.open_writer(id, opened, live);
            return Ok(());
        }
        check_mode(py, mode)?;
        let mut options = ReaderOptions::default();
        options.cursor.clone_from(&cursor);
        options.from = from_.map(start_of).transpose()?;
        let opened = self.channel().call_on(py, &live, async move |client| {
            client.open_reader(id, &options).await
        })?;
        self.sides.open_reader((id, cursor), opened, live);
        Ok(())
    }

    /// Leaves one side of a stream, as the end of the process would: a stream whose writer left before `stop_stream`
    /// has failed.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     mode: str
    ///         "r" or "w".
    ///     cursor: str or None
    ///         As for `open_stream`.
    #[pyo3(signature = (stream, mode, cursor = None))]
    fn close_stream(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        mode: &str,
        cursor: Option<String>,
    ) -> PyResult<()> {
        let id = id_of(stream)?;
        if mode == "w" {
            self.sides.close_writer(id);
            return Ok(());
        }
        check_mode(py, mode)?;
        self.sides.close_reader(&(id, cursor));
        Ok(())
    }

    /// Queues a blob or an object that exists. The stream deletes it after it was read.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     chunk: ObjectID
    ///         What to queue.
    ///     seal: bool
    ///         Whether it is a blob that was being filled: it is final and readable at once. Default False.
    ///     timeout: float or None
    ///         The most seconds to wait for room in the window. None: no limit.
    ///
    /// Raises:
    ///     StreamFailedException: the reader left.
    ///     InvalidStreamStateException: the stream was stopped.
    ///     DeadlineException: there was no room in time. A TimeoutError too.
    #[pyo3(signature = (stream, chunk, seal = false, timeout = None))]
    fn push_chunk(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        chunk: &Bound<'_, PyAny>,
        seal: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let (id, chunk) = (id_of(stream)?, id_of(chunk)?);
        let side = self.writer(py, id)?;
        let waited = side
            .live()
            .wait_in_steps(py, wait_within(timeout)?, async |step| {
                side.check_open(id)?;
                side.end()
                    .lock()
                    .await
                    .push_within(chunk, seal, Some(step))
                    .await
            })?;
        match waited {
            Waited::Done(()) => Ok(()),
            Waited::Interrupted((), raised) => Err(raised),
            Waited::Late => Err(late(py, "room for a chunk", timeout)),
        }
    }

    /// The next chunk.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     cursor: str or None
    ///         As for `open_stream`.
    ///     timeout: float or None
    ///         The most seconds to wait. None: no limit.
    ///
    /// Returns:
    ///     Blob or Object
    ///
    /// Raises:
    ///     StreamDrainedException: there are no more.
    ///     StreamFailedException: the writer failed; the message has the reason.
    ///     NotEnoughMemoryException: the writer waits for memory that chunks of this reader keep.
    ///     DeadlineException: none came in time. A TimeoutError too.
    #[pyo3(signature = (stream, cursor = None, timeout = None))]
    fn next_chunk<'py>(
        &self,
        py: Python<'py>,
        stream: &Bound<'py, PyAny>,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let chunk = self.pull_one(py, id_of(stream)?, cursor, timeout)?;
        self.show_chunk(py, chunk)
    }

    /// As `next_chunk`, several at once: at least one, and up to `max` of those that are there.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     max: int
    ///         The most chunks.
    ///     cursor: str or None
    ///         As for `open_stream`.
    ///     timeout: float or None
    ///         The most seconds to wait for the first. None: no limit.
    ///
    /// Returns:
    ///     list of (int or None, Blob or Object): the number of each chunk in the stream, and the chunk
    #[pyo3(signature = (stream, max, cursor = None, timeout = None))]
    fn next_chunks<'py>(
        &self,
        py: Python<'py>,
        stream: &Bound<'py, PyAny>,
        max: u64,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let chunks = self
            .pull(py, id_of(stream)?, cursor, max, timeout)?
            .into_iter();
        let shown = chunks.map(|chunk| Ok((chunk.number(), self.show_chunk(py, chunk)?)));
        PyList::new(py, shown.collect::<PyResult<Vec<_>>>()?)
    }

    /// As `next_chunk`: the id alone. The chunk stays until the next one is asked for.
    ///
    /// Returns:
    ///     ObjectID
    #[pyo3(signature = (stream, cursor = None, timeout = None))]
    fn next_chunk_id(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<PyObjectId> {
        let chunk = self.pull_one(py, id_of(stream)?, cursor, timeout)?;
        Ok(PyObjectId(chunk.id()))
    }

    /// As `next_chunk`: its metadata, which has its bytes.
    ///
    /// Returns:
    ///     ObjectMeta
    #[pyo3(signature = (stream, cursor = None, timeout = None))]
    fn next_chunk_meta<'py>(
        &self,
        py: Python<'py>,
        stream: &Bound<'py, PyAny>,
        cursor: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let chunk = self.pull_one(py, id_of(stream)?, cursor, timeout)?;
        self.show_chunk(py, chunk)?.getattr("meta")
    }

    /// Ends a stream: no more is written. Readers get what is queued first.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     failed: bool
    ///         Whether it is not complete.
    ///     reason: str or None
    ///         Why; readers are told.
    ///
    /// Raises:
    ///     InvalidStreamStateException: it has ended already.
    #[pyo3(signature = (stream, failed, reason = None))]
    fn stop_stream(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        failed: bool,
        reason: Option<String>,
    ) -> PyResult<()> {
        let id = id_of(stream)?;
        let side = self.sides.writer(id);
        let stopped = match &side {
            None => self.call(py, async |client| {
                client.stop_stream(id, failed, reason.as_deref()).await
            }),
            // The connection of the writer, so that nothing that it said comes later.
            Some(side) => side.live().call(py, async |_: &Client| {
                let mut writer = side.end().lock().await;
                match failed {
                    true => writer.fail_with(reason.as_deref()).await,
                    false => writer.finish().await,
                }
            }),
        };
        if stopped.is_ok() {
            self.sides.close_writer(id);
        }
        stopped
    }

    /// Drops a stream with its chunks. Those who wait for it are told.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///     drop_metadata: bool
    ///         Whether its object goes as well. Default True.
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such stream, and `drop_metadata` is False.
    #[pyo3(signature = (stream, drop_metadata = true))]
    fn drop_stream(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        drop_metadata: bool,
    ) -> PyResult<()> {
        let id = id_of(stream)?;
        self.sides.forget(id);
        self.call(py, async move |client| match drop_metadata {
            true => client.drop_stream(id).await,
            false => client.forget_stream(id).await,
        })
    }

    /// What the node knows of a stream.
    ///
    /// Parameters:
    ///     stream: ObjectID
    ///         The stream.
    ///
    /// Returns:
    ///     dict: `id`, `state` ("open", "drained" or "failed"), `reason`, `instance_id`, `next_number`,
    ///     `oldest_number`, `waiting_chunks`, `in_flight_chunks`, `window_bytes`, `retained_bytes`, `writer_waits`,
    ///     `writers`, and `cursors`: for each its `name`, `next_number`, `is_open` and `waits`
    ///
    /// Raises:
    ///     ObjectNotExistsException: this node has no such stream.
    fn stream_status<'py>(
        &self,
        py: Python<'py>,
        stream: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let id = id_of(stream)?;
        let status = self.call(py, async move |client| client.stream_status(id).await)?;
        let dict = PyDict::new(py);
        dict.set_item("id", PyObjectId(status.id))?;
        dict.set_item("state", format!("{:?}", status.state).to_lowercase())?;
        dict.set_item("reason", status.reason)?;
        dict.set_item("instance_id", status.instance_id.0)?;
        for (name, number) in [
            ("next_number", status.next_number),
            ("oldest_number", status.oldest_number),
            ("waiting_chunks", status.waiting_chunks),
            ("in_flight_chunks", status.in_flight_chunks),
            ("window_bytes", status.window_bytes),
            ("retained_bytes", status.retained_bytes),
            ("writers", status.writers),
        ] {
            dict.set_item(name, number)?;
        }
        dict.set_item("writer_waits", status.writer_waits)?;
        let cursors = PyList::empty(py);
        for cursor in status.cursors {
            let one = PyDict::new(py);
            one.set_item("name", cursor.name)?;
            one.set_item("next_number", cursor.next_number)?;
            one.set_item("is_open", cursor.is_open)?;
            one.set_item("waits", cursor.waits)?;
            cursors.append(one)?;
        }
        dict.set_item("cursors", cursors)?;
        Ok(dict)
    }
}

fn check_mode(py: Python<'_>, mode: &str) -> PyResult<()> {
    match mode {
        "r" | "w" => Ok(()),
        _ => Err(refuse(
            py,
            Code::AssertionFailed,
            "Mode can only be 'r' or 'w'",
        )),
    }
}

fn start_of(from: &Bound<'_, PyAny>) -> PyResult<ReaderStart> {
    if let Ok(number) = from.extract::<u64>() {
        return Ok(ReaderStart::Number(number));
    }
    match from.extract::<String>().as_deref() {
        Ok("next") => Ok(ReaderStart::Next),
        Ok("start") => Ok(ReaderStart::Start),
        _ => Err(wrong(
            from.py(),
            "from_",
            &from.to_string(),
            "'next', 'start' or the number of a chunk",
        )),
    }
}

fn wrong(py: Python<'_>, what: &str, got: &str, allowed: &str) -> PyErr {
    refuse(
        py,
        Code::UserInputError,
        format!("{what} is {allowed}, not {got:?}"),
    )
}

fn late(py: Python<'_>, what: &str, timeout: Option<f64>) -> PyErr {
    let seconds = timeout.unwrap_or_default();
    too_late(py, &format!("no {what} came within {seconds} s"))
}
