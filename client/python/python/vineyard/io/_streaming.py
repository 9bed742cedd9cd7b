"""Files into streams: threads of this process read, while other processes take what was read.

Promise: a stream that is not complete has failed, with the reason; its readers are never told that
it ended. At most a few chunks wait in a stream: who reads slowly slows the reading down.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from vineyard._C import ObjectID, VineyardException
from vineyard.core.transfers.progress import Progress
from vineyard.io._ahead import in_order
from vineyard.io._formats import Piece
from vineyard.io._hooks import hooked
from vineyard.io.parallel import make_parallel_stream

CHUNK_BYTES = 8 << 20
# Chunks that are written, wait or are being read.
CHUNKS_WAITING = 4
# At the end of the process, a stream of which no chunk was taken for so long fails.
UNREAD_SECONDS = 30.0

_open_jobs: weakref.WeakSet[Job] = weakref.WeakSet()


class ReadStreams(ObjectID):
    """The id of a parallel stream that threads of this process fill; iterating it gives what they
    read, partition after partition. `streams` are its streams.
    """

    streams: list[Any]
    _jobs: list[Job]

    @classmethod
    def of(cls, object_id: ObjectID, jobs: list[Job]) -> ReadStreams:
        """The id, with what fills the streams."""
        made = cls(object_id)
        made._jobs = jobs
        made.streams = [job.stream for job in jobs]
        return made

    def __iter__(self) -> Iterator[Any]:
        for stream in self.streams:
            yield from stream.reader

    @property
    def progress(self) -> float:
        """How much was read of the bytes of all files (float from 0 to 1)."""
        total = sum(job.total_bytes for job in self._jobs)
        return sum(job.read_bytes for job in self._jobs) / total if total else 1.0

    def join(self) -> None:
        """Waits until everything was read and queued.

        Raises:
            ReadError: a file could not be read.
            StreamFailedException: a reader left before the end.
        """
        for job in self._jobs:
            job.join()


class Job:
    """Fills one stream from one share of the files."""

    def __init__(
        self,
        source: Any,
        share: list[Piece],
        stream: Any,
        threads: int,
        hook: Callable[[Any], Any] | None,
        advance: Callable[[int], None],
    ) -> None:
        """Opens the stream; `start` begins."""
        self.stream = stream
        self.total_bytes = sum(piece.size_bytes for piece in share)
        self.read_bytes = 0
        self.queued = 0
        self._source, self._share, self._threads, self._hook = source, share, threads, hook
        self._advance = advance
        self._writer = stream.open_writer()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="vineyard-io-read", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        _open_jobs.add(self)
        self._thread.start()

    @property
    def status(self) -> str:
        """``"running"``, ``"done"`` or ``"failed"`` (str)."""
        if self._thread.is_alive():
            return "running"
        return "done" if self._error is None else "failed"

    @property
    def diagnostics(self) -> list[str]:
        """What went wrong (list of str)."""
        return [] if self._error is None else [str(self._error)]

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the stream is complete or has failed.

        Parameters:
            timeout: float or None
                The most seconds.

        Returns:
            bool: whether it is.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def join(self) -> None:
        """Waits until the stream is complete.

        Raises:
            ReadError: a file could not be read.
            StreamFailedException: the reader left before the end.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def dispose(self) -> None:
        """Ends the reading; readers of the stream are told."""
        self._fail("the reading was stopped")

    def _run(self) -> None:
        try:
            self._fill()
            self._writer.finish()
        except BaseException as error:
            self._error = error
            self._fail(str(error) or repr(error))
        finally:
            _open_jobs.discard(self)

    def _fail(self, reason: str) -> None:
        # Where the reader has left, the stream has ended already.
        with contextlib.suppress(VineyardException):
            self._writer.fail(reason)

    def _fill(self) -> None:
        if self._source.schema is None:
            self._fill_bytes()
            return
        for batch in in_order(self._share, self._batches, self._threads):
            self._queue(batch)
        if not self.queued:
            # So that readers know the columns.
            self._queue(self._hooked(self._source.empty(), "an empty share", 0))

    def _queue(self, batch: Any) -> None:
        for part in _cut(batch):
            self._writer.write(part)
            self.queued += 1

    def _batches(self, piece: Piece) -> Iterator[Any]:
        for at, batch in enumerate(self._source.read(piece)):
            yield self._hooked(batch, piece.file.shown, at)
        self._has_read(piece.size_bytes)

    def _hooked(self, batch: Any, path: str, at: int) -> Any:
        return batch if self._hook is None else hooked(self._hook, batch, path, at, reads=True)

    def _fill_bytes(self) -> None:
        for piece in self._share:
            if piece.part is not None:
                self._writer.fill(
                    piece.size_bytes, lambda view, of=piece: self._source.read_into(of, view)
                )
                self.queued += 1
            else:
                for data in self._source.read(piece):
                    self._writer.write(data)
                    self._writer.flush()
                    self.queued += 1
            self._has_read(piece.size_bytes)

    def _has_read(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes
        self._advance(size_bytes)


def read_streams(
    client: Any,
    source: Any,
    shares: list[list[Piece]],
    threads: int,
    *,
    params: dict[str, str],
    chunk_hook: Callable[[Any], Any] | None = None,
    handlers: Any = None,
    name: str | None = None,
    progress: bool | None = None,
) -> ReadStreams:
    """Starts to read files into streams.

    Parameters:
        client: Client
            Makes and fills the streams.
        source: Source
            What to read.
        shares: list of lists of Piece
            The partitions, a stream each.
        threads: int
            How many pieces to read at once, in all streams together.
        params: dict of str to str
            What readers of the streams may want to know.
        chunk_hook: callable or None
            Changes each batch.
        handlers: list, dict or None
            Gets the :class:`Job` of each stream: appended, or by the number of the partition.
        name: str or None
            A name for the parallel stream.
        progress: bool or None
            Whether to show a bar.

    Returns:
        ReadStreams: of the parallel stream, which is persisted.
    """
    from vineyard.io.byte import ByteStream
    from vineyard.io.dataframe import DataframeStream

    kind: Any = ByteStream if source.schema is None else DataframeStream
    bar = Progress(sum(piece.size_bytes for share in shares for piece in share), "read", progress)
    each = max(1, threads // len(shares))
    streams: list[Any] = []
    try:
        for _ in shares:
            window = CHUNKS_WAITING * CHUNK_BYTES
            streams.append(kind.new(client, params, window_bytes_max=window))
        jobs = [
            Job(source, share, stream, each, chunk_hook, bar.advance)
            for share, stream in zip(shares, streams, strict=True)
        ]
        made = make_parallel_stream(client, [stream.id for stream in streams])
        if name is not None:
            client.put_name(made.id, name)
    except BaseException:
        for stream in streams:
            stream.drop()
        raise
    for number, job in enumerate(jobs):
        if isinstance(handlers, dict):
            handlers[number] = job
        elif handlers is not None:
            handlers.append(job)
        job.start()
    return ReadStreams.of(made.id, jobs)


def _cut(batch: Any) -> Iterator[Any]:
    """The batch in parts of about the size of a chunk."""
    if batch.nbytes <= CHUNK_BYTES or batch.num_rows <= 1:
        yield batch
        return
    rows = max(1, batch.num_rows * CHUNK_BYTES // batch.nbytes)
    for begin in range(0, batch.num_rows, rows):
        yield batch.slice(begin, rows)


@atexit.register
def _end() -> None:
    """Lets readers that are at it read to the end, and tells the others."""
    for job in list(_open_jobs):
        seen, since = job.queued, time.monotonic()
        while not job.wait(0.1):
            if job.queued != seen:
                seen, since = job.queued, time.monotonic()
            elif time.monotonic() - since > UNREAD_SECONDS:
                job.dispose()
                break
