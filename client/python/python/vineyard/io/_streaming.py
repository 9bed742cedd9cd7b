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
from vineyard.io._hooks import NO_HOOK, Hook, hooked

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
        hook: Hook,
        advance: Callable[[int], None],
    ) -> None:
        """Opens the stream; `start` begins."""
        self.stream = stream
        self.total_bytes = sum(piece.size_bytes for piece in share)
        self.read_bytes = 0
        self.queued = 0
        self._source, self._share, self._threads, self._hook = source, share, threads, hook
        self._called: Callable[[Any], Any] | None = None
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
            with self._hook.opened(self._threads) as self._called:
                self._fill()
            self._writer.finish()
        except BaseException as error:
            self._error = error
            # A hook may say anything.
            self._fail(self._source.hide(str(error) or repr(error)))
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
        return hooked(self._called, batch, path, at, reads=True)

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


def open_jobs(
    client: Any,
    source: Any,
    shares: list[list[Piece]],
    threads: int,
    *,
    params: dict[str, str],
    hook: Hook = NO_HOOK,
    progress: bool | None = None,
) -> list[Job]:
    """Makes streams that files can be read into.

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
        hook: Hook
            Changes each batch.
        progress: bool or None
            Whether to show a bar.

    Returns:
        list of Job: for each stream what fills it, which has not begun.
    """
    from vineyard.io.byte import ByteStream
    from vineyard.io.dataframe import DataframeStream

    kind: Any = ByteStream if source.schema is None else DataframeStream
    bar = Progress(sum(piece.size_bytes for share in shares for piece in share), "read", progress)
    each = max(1, threads // max(1, len(shares)))
    streams: list[Any] = []
    try:
        for _ in shares:
            window = CHUNKS_WAITING * CHUNK_BYTES
            streams.append(kind.new(client, params, window_bytes_max=window))
        return [
            Job(source, share, stream, each, hook, bar.advance)
            for share, stream in zip(shares, streams, strict=True)
        ]
    except BaseException:
        for stream in streams:
            stream.drop()
        raise


def start_jobs(made: ObjectID, jobs: list[Job], handlers: Any = None) -> ReadStreams:
    """Begins to read.

    Parameters:
        made: ObjectID
            Of the parallel stream.
        jobs: list of Job
            Of :func:`open_jobs`.
        handlers: list, dict or None
            Gets the jobs: appended, or by the number of the partition.

    Returns:
        ReadStreams
    """
    for number, job in enumerate(jobs):
        if isinstance(handlers, dict):
            handlers[number] = job
        elif handlers is not None:
            handlers.append(job)
        job.start()
    return ReadStreams.of(made, jobs)


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
