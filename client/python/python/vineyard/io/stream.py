"""What all streams have in common: chunks that one process writes and another reads, in order,
while both run.

Promise: a wait ends when a chunk or room for one comes, when the other side ends or dies, at its
timeout, or by Ctrl-C. It must never know what the bytes of a chunk mean.
"""

from __future__ import annotations

import contextlib
import json
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar, Self

from vineyard._C import (
    Blob,
    ConnectionFailedException,
    ObjectID,
    ObjectMeta,
    RemoteBlobBuilder,
    StreamDrainedException,
    VineyardException,
)
from vineyard.io.collection import StreamCollection

__all__ = ["BaseStream", "StreamCollection", "register_stream_collection_types"]

END = "No more chunks"
# Of the reason that readers are told of an exception.
REASON_CHARS_MAX = 1000

# The appends of this process that have not returned, by the object that they queue. A reader in
# another thread waits for that: programs note what they have queued after the append, and expect
# the note there when the chunk is read.
_appending: dict[ObjectID, threading.Event] = {}
# In case the thread of the writer does not go on.
_APPEND_SECONDS = 1.0


class BaseStream:
    """A stream of objects. Made with ``new``, or got with ``client.get(id)``.

    One process writes with ``stream.writer``, another reads with ``stream.reader``.
    """

    typename: ClassVar[str] = ""

    def __init__(self, meta: ObjectMeta, params: dict[str, Any] | None = None) -> None:
        """The stream of an object.

        Parameters:
            meta: ObjectMeta
                Of the object.
            params: dict or None
                What the writer says of the chunks. None: what the metadata has.
        """
        self._meta = meta
        self._params = params if params is not None else _params_of(meta)
        self._client: Any = None
        self._reader: Any = None
        self._writer: Any = None

    @classmethod
    def of(cls, meta: ObjectMeta, client: Any) -> Self:
        """The stream of an object, which uses `client`."""
        made = cls(meta)
        made._client = client
        return made

    @classmethod
    def _new(
        cls, client: Any, params: dict[str, Any] | None, meta: ObjectMeta | None, options: Any
    ) -> Self:
        params = params if params is not None else {}
        meta = meta if meta is not None else ObjectMeta()
        meta["typename"] = cls.typename
        meta["params_"] = json.dumps(params)
        made = client.create_metadata(meta)
        try:
            client.create_stream(made.id, **options)
        except BaseException:
            client.delete(made.id)
            raise
        stream = cls(made, params)
        stream._client = client
        return stream

    def __repr__(self) -> str:
        return f"{type(self).__name__} <{self.id!r}>"

    @property
    def id(self) -> ObjectID:
        """Of the stream (ObjectID)."""
        return self._meta.id

    @property
    def meta(self) -> ObjectMeta:
        """Of the stream (ObjectMeta)."""
        return self._meta

    @property
    def params(self) -> dict[str, Any]:
        """What its writer says of the chunks (dict)."""
        return self._params

    @property
    def reader(self) -> Any:
        """The reader; opened when it is asked for first."""
        return self.open_reader()

    @property
    def writer(self) -> Any:
        """The writer; opened when it is asked for first."""
        return self.open_writer()

    def open_reader(
        self, client: Any = None, *, cursor: str | None = None, from_: str | int | None = None
    ) -> Any:
        """Opens the stream to read; again, the same reader.

        Parameters:
            client: Client or None
                None: the client that the stream was got with.
            cursor: str or None
                Which of several readers; each cursor has a reader of its own.
            from_: str, int or None
                Where to read first: ``"next"`` (as None), ``"start"``, or the number of a chunk.

        Raises:
            StreamOpenedException: another reader has it open.
            ObjectNotExistsException: the stream is on no instance, or was dropped.
        """
        if cursor is not None or from_ is not None:
            return self._make_reader(self._using(client), cursor, from_)
        if self._reader is None:
            self._reader = self._make_reader(self._using(client), None, None)
        return self._reader

    def open_writer(self, client: Any = None) -> Any:
        """Opens the stream to write; again, the same writer.

        Parameters:
            client: Client or None
                None: the client that the stream was got with.

        Raises:
            StreamOpenedException: another writer has it open.
            ObjectNotExistsException: the stream is on no instance, or was dropped.
        """
        if self._writer is None:
            self._writer = self._make_writer(self._using(client))
        return self._writer

    def drop(self, client: Any = None) -> None:
        """Drops the stream with its chunks and its metadata. Who waits for it is told.

        Parameters:
            client: Client or None
                None: the client that the stream was got with.
        """
        self._using(client).drop_stream(self.id)

    def _using(self, client: Any) -> Any:
        for found in (client, self._client, self._meta._client):
            if found is not None:
                return found
        raise ConnectionFailedException(
            f"{self!r} has no client: get it with client.get(...), or give one, as in "
            "stream.open_reader(client)"
        )

    def _make_reader(self, client: Any, cursor: str | None, from_: str | int | None) -> Any:
        return self.Reader(client, self.id, cursor=cursor, from_=from_)

    def _make_writer(self, client: Any) -> Any:
        return self.Writer(client, self.id)

    class _Side:
        """One side of a stream. When it is left, also by the garbage collector, the stream is."""

        _mode = ""

        def __init__(self, client: Any, stream: ObjectID, cursor: str | None = None) -> None:
            self._client = client
            self._stream = stream
            self._cursor = cursor
            self._leave = weakref.finalize(self, _leave, client, stream, self._mode, cursor)
            self._leave.atexit = False

        def __enter__(self) -> Self:
            return self

        def __repr__(self) -> str:
            return f"<{type(self).__qualname__} of stream {self._stream!r}>"

    class Reader(_Side):
        """Reads chunks in order; can be iterated."""

        _mode = "r"

        def __init__(
            self,
            client: Any,
            stream: ObjectID,
            resolver: Callable[[Any], Any] | None = None,
            *,
            cursor: str | None = None,
            from_: str | int | None = None,
        ) -> None:
            """Opens the stream; `resolver` makes values of chunks, else the contexts do."""
            client.open_stream(stream, "r", cursor, from_)
            super().__init__(client, stream, cursor)
            self._resolver = resolver

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            self.close()

        def close(self) -> None:
            """Leaves the stream. If it has not ended, its writer is told."""
            self._leave()

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return self.next()

        def next(self, timeout: float | None = None) -> Any:
            """The value of the next chunk.

            Parameters:
                timeout: float or None
                    The most seconds to wait. None: until there is one, or the stream ends.

            Raises:
                StopIteration: there are no more.
                StreamFailedException: the writer failed; the message says why.
                NotEnoughMemoryException: the writer waits for memory that the values in use keep.
                DeadlineException: none came in time; it is a TimeoutError too.
            """
            return self._value_of(self._next_chunk(timeout))

        def next_metadata(self, timeout: float | None = None) -> ObjectMeta:
            """The metadata of the next chunk (ObjectMeta); otherwise as :meth:`next`."""
            try:
                found: ObjectMeta = self._client.next_chunk_meta(
                    self._stream, self._cursor, timeout
                )
            except StreamDrainedException as error:
                raise StopIteration(END) from error
            return found

        def _next_chunk(self, timeout: float | None) -> Any:
            try:
                chunk = self._client.next_chunk(self._stream, self._cursor, timeout)
            except StreamDrainedException as error:
                raise StopIteration(END) from error
            returned = _appending.get(chunk.id)
            if returned is not None:
                returned.wait(_APPEND_SECONDS)
            return chunk

        def _value_of(self, chunk: Any) -> Any:
            if self._resolver is not None:
                return self._resolver(chunk)
            from vineyard.core.resolver import get_current_resolvers

            return get_current_resolvers()(chunk, __vineyard_client=self._client)

    class Writer(_Side):
        """Writes chunks in order. As a context manager it finishes the stream, or fails it if an
        exception ends the block.
        """

        _mode = "w"

        def __init__(self, client: Any, stream: ObjectID) -> None:
            """Opens the stream."""
            client.open_stream(stream, "w")
            super().__init__(client, stream)

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            if not self._leave.alive:
                return
            if error is None:
                self.finish()
                return
            with contextlib.suppress(VineyardException):
                # Readers are told of the exception that goes on.
                # That of a decoding error has all of its bytes.
                self.fail(repr(error)[:REASON_CHARS_MAX])

        def next(self, size: int) -> memoryview:
            """A chunk to fill, which readers see when the next chunk is asked for, or the stream
            ends. What is appended meanwhile is read before it.

            Parameters:
                size: int
                    Bytes. They are not zeroed.

            Returns:
                memoryview: writable, of unsigned bytes.

            Raises:
                NotEnoughMemoryException: it can never fit, or the memory is full of other things.
                StreamFailedException: the reader left.
            """
            view: memoryview = self._client.new_buffer_chunk(self._stream, size)
            return view

        def append(self, chunk: ObjectID, timeout: float | None = None) -> None:
            """Queues an object or a blob. The stream deletes it after it was read.

            Parameters:
                chunk: ObjectID
                    What to queue.
                timeout: float or None
                    The most seconds to wait for room, if the stream has a window.

            Raises:
                StreamFailedException: the reader left.
                InvalidStreamStateException: the stream has ended.
                DeadlineException: there was no room in time.
            """
            returned = _appending[chunk] = threading.Event()
            try:
                self._client.push_chunk(self._stream, chunk, False, timeout)
            finally:
                del _appending[chunk]
                returned.set()

        def finish(self) -> None:
            """Ends the stream: it is complete.

            Raises:
                InvalidStreamStateException: it has ended already.
            """
            self._client.stop_stream(self._stream, False)
            self._leave.detach()

        def fail(self, reason: str | None = None) -> None:
            """Ends the stream: it is not complete.

            Parameters:
                reason: str or None
                    What readers are told.

            Raises:
                InvalidStreamStateException: it has ended already.
            """
            self._client.stop_stream(self._stream, True, reason)
            self._leave.detach()

        def fill(self, size: int, fill: Callable[[memoryview], None]) -> None:
            """Queues a chunk, which is readable at once.

            Parameters:
                size: int
                    Bytes.
                fill: callable
                    Gets the writable memory of the chunk (memoryview), and writes it.

            Raises:
                NotEnoughMemoryException: it can never fit, or the memory is full of other things.
                StreamFailedException: the reader left.
            """
            self._fill(size, fill)

        def _fill(
            self,
            size: int,
            fill: Callable[[memoryview], None],
            filled: Callable[[], None] = lambda: None,
        ) -> None:
            """Queues a chunk of `size` bytes that `fill` writes. It is readable at once. `filled`
            is called when only the stream itself can refuse it.
            """
            if not self._client.is_ipc:
                builder = RemoteBlobBuilder(size)
                _fill_in(builder, fill)
                blob = self._client.create_remote_blob(builder)
                filled()
                try:
                    self._client.push_chunk(self._stream, blob.id)
                except VineyardException:
                    # No stream has it, and nobody else knows it.
                    self._client.delete(blob.id)
                    raise
                return
            chunk = self._client.new_chunk(self._stream, size)
            try:
                _fill_in(chunk, fill)
            except BaseException:
                chunk.abort()
                raise
            filled()
            self._client.push_chunk(self._stream, chunk.id, True)


def _fill_in(memory: Any, fill: Callable[[memoryview], None]) -> None:
    view = memoryview(memory).cast("B")
    try:
        fill(view)
    except BaseException as error:
        # Their variables may have views of the memory, which is given back now.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        view.release()


def _leave(client: Any, stream: ObjectID, mode: str, cursor: str | None) -> None:
    # A connection that has ended has left all its streams.
    with contextlib.suppress(VineyardException):
        client.close_stream(stream, mode, cursor)


def _params_of(meta: ObjectMeta) -> dict[str, Any]:
    found: Any = meta.get("params_", {})
    params: dict[str, Any] = json.loads(found) if isinstance(found, str) else dict(found)
    return params


def bytes_of(chunk: Any) -> memoryview | None:
    """The bytes of a chunk that is a blob, which stay while the view does; None for an object."""
    if isinstance(chunk, Blob) or chunk.typename == "vineyard::Blob":
        return memoryview(chunk).cast("B")
    return None


def register_stream_collection_types(builder_ctx: Any, resolver_ctx: Any) -> None:
    """Registers what a get makes of collections, as :func:`vineyard.data.register_builtin_types`
    does.
    """
    register_type("vineyard::StreamCollection", resolver_ctx)


def register_type(typename: str, resolver_ctx: Any) -> None:
    """Registers the resolver of a type of ours in another context."""
    if resolver_ctx is not None:
        from vineyard.core.resolver import default_resolver_context

        resolver_ctx.register(typename, default_resolver_context.find(typename))
