"""Verbs of streams: chunks that go from one process to another, in order. `vineyard.io` has classes
on top of them.
"""

from __future__ import annotations

from typing import Any

from vineyard._C import Blob, BlobBuilder, Object, ObjectID, ObjectMeta
from vineyard.core.verbs.handles import Handles


class StreamVerbs(Handles):
    """Streams by their ids. A wait ends when its client leaves, by a signal, or by its timeout."""

    def create_stream(
        self,
        stream: ObjectID,
        window_bytes_max: int | None = None,
        readers: str = "one",
        readers_min: int = 0,
        retain_bytes_max: int = 0,
        on_reader_gone: str = "fail",
        ephemeral: bool = False,
    ) -> None:
        """Makes the stream of an object, on the instance this client is connected to.

        Parameters:
            stream: ObjectID
                The object, whose metadata says what the stream has.
            window_bytes_max: int or None
                The writer waits while so many bytes are written, wait or are being read. None: the
                memory of the instance decides.
            readers: str
                ``"one"``; ``"each"``: every cursor gets all chunks; ``"share"``: each chunk goes to
                one cursor.
            readers_min: int
                Chunks stay until so many cursors are open.
            retain_bytes_max: int
                Chunks that were read are kept up to so many bytes, for replay.
            on_reader_gone: str
                What a reader that goes before the end means: ``"fail"``, or ``"wait"`` for it to
                come back.
            ephemeral: bool
                Whether the stream, its metadata and its names go with this client's connection.

        Raises:
            ObjectExistsException: there is one already.
            UserInputErrorException: an option is none of these.
        """
        self.default_client().create_stream(
            stream,
            window_bytes_max,
            readers,
            readers_min,
            retain_bytes_max,
            on_reader_gone,
            ephemeral,
        )

    def migrate_stream(self, stream: ObjectID) -> ObjectID:
        """A stream of this client's instance that gets the chunks of a stream of another one, as
        they come. A stream can also be read where it is not, by its own id; a migrated one can be a
        member of objects of this instance.

        Parameters:
            stream: ObjectID
                The stream. Its metadata is persisted.

        Returns:
            ObjectID: the new stream; `stream` itself if it is of this instance.

        Raises:
            ObjectNotExistsException: there is no such stream, or its metadata is not persisted.
            StreamOpenedException: it is read already.
        """
        return self.default_client().migrate_stream(stream)

    def open_stream(
        self,
        stream: ObjectID,
        mode: str,
        cursor: str | None = None,
        from_: str | int | None = None,
    ) -> None:
        """Opens one side of a stream.

        Parameters:
            stream: ObjectID
                The stream.
            mode: str
                ``"r"`` or ``"w"``.
            cursor: str or None
                Which of several readers.
            from_: str, int or None
                Where to read first: ``"next"`` (as None), ``"start"``, or the number of a chunk.

        Raises:
            StreamOpenedException: that side is open already.
            InvalidStreamStateException: the chunk `from_` is no longer there.
            ObjectNotExistsException: there is no such stream.
        """
        self.default_client().open_stream(stream, mode, cursor, from_)

    def close_stream(self, stream: ObjectID, mode: str, cursor: str | None = None) -> None:
        """Leaves one side of a stream. If its writer leaves before :meth:`stop_stream`, the stream
        has failed.

        Parameters:
            stream: ObjectID
                The stream.
            mode: str
                ``"r"`` or ``"w"``.
            cursor: str or None
                As for :meth:`open_stream`.
        """
        self.default_client().close_stream(stream, mode, cursor)

    def new_chunk(self, stream: ObjectID, size: int, timeout: float | None = None) -> BlobBuilder:
        """A chunk to fill, in shared memory; ``push_chunk(stream, chunk.id, seal=True)`` makes it
        readable.

        Parameters:
            stream: ObjectID
                The stream.
            size: int
                Bytes. They are not zeroed.
            timeout: float or None
                The most seconds to wait for room.

        Returns:
            BlobBuilder

        Raises:
            NotEnoughMemoryException: it can never fit, or the memory is full of other things.
            StreamFailedException: the reader left.
            DeadlineException: there was no room in time.
        """
        return self.ipc_client.new_chunk(stream, size, timeout)

    def new_buffer_chunk(
        self, stream: ObjectID, size: int, timeout: float | None = None
    ) -> memoryview:
        """As :meth:`new_chunk`, but the chunk becomes readable with the writer's next request.

        Returns:
            memoryview: writable, of unsigned bytes.
        """
        return self.ipc_client.new_buffer_chunk(stream, size, timeout)

    def push_chunk(
        self,
        stream: ObjectID,
        chunk: ObjectID,
        seal: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Queues a blob or an object that exists. The stream deletes it after it was read.

        Parameters:
            stream: ObjectID
                The stream.
            chunk: ObjectID
                What to queue.
            seal: bool
                Whether it is a blob that was being filled.
            timeout: float or None
                The most seconds to wait for room in the window.

        Raises:
            StreamFailedException: the reader left.
            InvalidStreamStateException: the stream was stopped.
            DeadlineException: there was no room in time.
        """
        self.default_client().push_chunk(stream, chunk, seal, timeout)

    def next_chunk(
        self, stream: ObjectID, cursor: str | None = None, timeout: float | None = None
    ) -> Blob | Object:
        """The next chunk. What was read before may go, except what is still in use.

        Parameters:
            stream: ObjectID
                The stream.
            cursor: str or None
                As for :meth:`open_stream`.
            timeout: float or None
                The most seconds to wait.

        Returns:
            Blob or Object

        Raises:
            StreamDrainedException: there are no more.
            StreamFailedException: the writer failed; the message says why.
            NotEnoughMemoryException: the writer waits for memory that this reader's chunks keep.
            DeadlineException: none came in time.
        """
        return self.default_client().next_chunk(stream, cursor, timeout)

    def next_chunks(
        self,
        stream: ObjectID,
        max: int,
        cursor: str | None = None,
        timeout: float | None = None,
    ) -> list[tuple[int | None, Blob | Object]]:
        """As :meth:`next_chunk`: at least one chunk, and up to `max` of those that are there.

        Returns:
            list of (int, Blob or Object): each with its number in the stream, from 0.
        """
        return self.default_client().next_chunks(stream, max, cursor, timeout)

    def next_chunk_id(
        self, stream: ObjectID, cursor: str | None = None, timeout: float | None = None
    ) -> ObjectID:
        """As :meth:`next_chunk`: its id (ObjectID)."""
        return self.default_client().next_chunk_id(stream, cursor, timeout)

    def next_chunk_meta(
        self, stream: ObjectID, cursor: str | None = None, timeout: float | None = None
    ) -> ObjectMeta:
        """As :meth:`next_chunk`: its metadata (ObjectMeta)."""
        return self.default_client().next_chunk_meta(stream, cursor, timeout)

    def next_buffer_chunk(
        self, stream: ObjectID, cursor: str | None = None, timeout: float | None = None
    ) -> memoryview:
        """As :meth:`next_chunk`: the bytes of a chunk that is a blob (memoryview, read-only).

        Raises:
            ObjectTypeErrorException: the chunk is an object.
        """
        return self.ipc_client.next_buffer_chunk(stream, cursor, timeout)

    def stop_stream(self, stream: ObjectID, failed: bool, reason: str | None = None) -> None:
        """Ends a stream: no more is written. Readers get what is queued first.

        Parameters:
            stream: ObjectID
                The stream.
            failed: bool
                Whether it is not complete.
            reason: str or None
                Why; readers are told.

        Raises:
            InvalidStreamStateException: it has ended already.
        """
        self.default_client().stop_stream(stream, failed, reason)

    def drop_stream(self, stream: ObjectID, drop_metadata: bool = True) -> None:
        """Drops a stream with its chunks. Those who wait for it are told.

        Parameters:
            stream: ObjectID
                The stream.
            drop_metadata: bool
                Whether its object goes as well.
        """
        self.default_client().drop_stream(stream, drop_metadata)

    def stream_status(self, stream: ObjectID) -> dict[str, Any]:
        """What the instance knows of a stream.

        Returns:
            dict: ``state`` (``"open"``, ``"drained"`` or ``"failed"``), ``reason``, chunks, bytes,
            cursors, and who waits.

        Raises:
            ObjectNotExistsException: this instance has no such stream.
        """
        return self.default_client().stream_status(stream)
