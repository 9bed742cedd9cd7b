"""Streams of bytes: a file that one process writes and another reads meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from vineyard._C import ObjectMeta, ObjectTypeErrorException
from vineyard.io.stream import BaseStream, bytes_of, register_type

# Written bytes are gathered up to this.
GATHERED_BYTES = 8 << 20


class ByteStream(BaseStream):
    """A stream whose chunks are bytes.

    >>> stream = ByteStream.new(client)
    >>> with stream.writer as writer:
    ...     writer.write(b"some bytes")
    10
    >>> b"".join(stream.reader)
    b'some bytes'
    """

    typename = "vineyard::ByteStream"

    @staticmethod
    def new(
        client: Any,
        params: dict[str, Any] | None = None,
        meta: ObjectMeta | None = None,
        **options: Any,
    ) -> ByteStream:
        """Makes a stream.

        Parameters:
            client: Client
                The client to make it with.
            params: dict or None
                What readers may want to know of the chunks.
            meta: ObjectMeta or None
                Metadata to add to.
            **options:
                As for :meth:`vineyard.Client.create_stream`.
        """
        return ByteStream._new(client, params, meta, options)

    class Reader(BaseStream.Reader):
        """Reads chunks, or bytes as from a file."""

        _rest = memoryview(b"")

        def next(self, timeout: float | None = None) -> memoryview:
            """The next chunk (memoryview, read-only): what :meth:`read` has left of it, or else a
            new one. Otherwise as :meth:`BaseStream.Reader.next`.
            """
            if self._rest.nbytes:
                rest, self._rest = self._rest, memoryview(b"")
                return rest
            chunk = self._next_chunk(timeout)
            view = bytes_of(chunk)
            if view is None:
                raise ObjectTypeErrorException(
                    f"Object type error: the chunk {chunk.id!r} of stream {self._stream!r} is a "
                    f"{chunk.typename}, and has no bytes of its own"
                )
            return view

        def readinto(self, buffer: Any) -> int:
            """Fills `buffer` with what comes next, or less at the end.

            Returns:
                int: how many bytes it got.
            """
            with memoryview(buffer).cast("B") as into:
                filled = 0
                try:
                    while filled < into.nbytes:
                        # A chunk that was read is released before the wait for the next one.
                        with self.next() as chunk:
                            size = min(into.nbytes - filled, chunk.nbytes)
                            into[filled : filled + size] = chunk[:size]
                            if size < chunk.nbytes:
                                self._rest = chunk[size:]
                        filled += size
                except StopIteration:
                    pass
                except BaseException:
                    # The next call begins with these.
                    self._rest = memoryview(bytes(into[:filled]))
                    raise
                return filled

        def read(self, size: int = -1) -> bytes:
            """What comes next.

            Parameters:
                size: int
                    At most so many bytes, fewer only at the end. Negative: all.

            Returns:
                bytes
            """
            if size is None or size < 0:
                return self._read_all()
            into = bytearray(size)
            filled = self.readinto(into)
            return bytes(memoryview(into)[:filled])

        def _read_all(self) -> bytes:
            whole = io.BytesIO()
            try:
                while True:
                    with self.next() as chunk:
                        whole.write(chunk)
            except StopIteration:
                return whole.getvalue()
            except BaseException:
                self._rest = memoryview(whole.getvalue())
                raise

        def readable(self) -> bool:
            """True (bool)."""
            return True

    class Writer(BaseStream.Writer):
        """A file to write to, and what other writers have."""

        def __init__(self, client: Any, stream: Any) -> None:
            """Opens the stream."""
            super().__init__(client, stream)
            self._gathered = io.BytesIO()
            self._limit = GATHERED_BYTES

        @property
        def buffer_size_limit(self) -> int:
            """So many bytes are gathered before they become a chunk (int); 8 MiB at first."""
            return self._limit

        @buffer_size_limit.setter
        def buffer_size_limit(self, value: int) -> None:
            self._limit = value

        def next(self, size: int) -> memoryview:
            """As :meth:`BaseStream.Writer.next`; what was gathered goes before it."""
            self.flush()
            return super().next(size)

        def append(self, chunk: Any, timeout: float | None = None) -> None:
            """As :meth:`BaseStream.Writer.append`; what was gathered goes before it."""
            self.flush()
            super().append(chunk, timeout)

        def fill(self, size: int, fill: Callable[[memoryview], None]) -> None:
            """As :meth:`BaseStream.Writer.fill`; what was gathered goes before it."""
            self.flush()
            super().fill(size, fill)

        def write(self, data: Any) -> int:
            """Writes bytes. Readers see them when so many were gathered, or after :meth:`flush`.

            Parameters:
                data: bytes-like
                    A contiguous buffer.

            Returns:
                int: how many bytes these are.
            """
            with memoryview(data).cast("B") as view:
                gathered = self._gathered.tell()
                if gathered + view.nbytes < self._limit:
                    self._gathered.write(view)
                    return view.nbytes
                self.flush()
                step = max(self._limit, 1)
                for begin in range(0, view.nbytes, step):
                    self._write_chunk(view[begin : begin + step])
                return view.nbytes

        def flush(self) -> None:
            """Lets readers see what was gathered."""
            if self._gathered.tell():
                with self._gathered.getbuffer() as view:
                    self._write_chunk(view, self._forget)

        def _forget(self) -> None:
            self._gathered = io.BytesIO()

        def _write_chunk(
            self, view: memoryview, written: Callable[[], None] = lambda: None
        ) -> None:
            def fill(chunk: memoryview) -> None:
                chunk[:] = view

            self._fill(view.nbytes, fill, written)

        def finish(self) -> None:
            """As :meth:`BaseStream.Writer.finish`, after all that was gathered."""
            self.flush()
            super().finish()

        def writable(self) -> bool:
            """True (bool)."""
            return True

        @property
        def closed(self) -> bool:
            """Whether the stream has ended (bool)."""
            return not self._leave.alive

        def close(self) -> None:
            """As :meth:`finish`, unless the stream has ended."""
            if not self.closed:
                self.finish()


def register_byte_stream_types(builder_ctx: Any, resolver_ctx: Any) -> None:
    """Registers what a get makes of these streams, as
    :func:`vineyard.data.register_builtin_types` does.
    """
    register_type(ByteStream.typename, resolver_ctx)
