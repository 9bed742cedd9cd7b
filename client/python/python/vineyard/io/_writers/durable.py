"""Local files whose bytes go to the disk while more are written, so that their end waits for few.

Promise: after `sync` all bytes are durable; it raises whatever storing any of them raised.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

# So many bytes are worth a sync of their own.
SYNCED_BYTES = 16 << 20
# Of one write to the system: after it a sync can begin.
PART_BYTES = 8 << 20
BUFFERED_BYTES = 64 << 10


class _Raw(io.FileIO):
    """The file without a buffer."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "xb")
        self._unsynced = 0
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def write(self, data: Any) -> int:
        """Writes some of the bytes, and returns how many (int)."""
        with memoryview(data) as view, view[:PART_BYTES] as part:
            written = super().write(part)
        self._unsynced += written
        if self._unsynced >= SYNCED_BYTES and (self._running is None or self._running.done()):
            self._begin_sync()
        return written

    def _begin_sync(self) -> None:
        self._await_sync()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "vineyard-io-sync")
        self._running = self._pool.submit(os.fdatasync, self.fileno())
        self._unsynced = 0

    def _await_sync(self) -> None:
        # The system tells of a failure once: this is where it was told.
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def sync(self) -> None:
        self._await_sync()
        os.fsync(self.fileno())

    def close(self) -> None:
        if self._pool is not None:
            # Nobody else may get the number of the descriptor meanwhile.
            self._pool.shutdown()
        super().close()


class DurableFile(io.BufferedWriter):
    """A new local file."""

    raw: _Raw

    def __init__(self, path: str) -> None:
        """Makes the file.

        Raises:
            FileExistsError: it is there already.
        """
        super().__init__(_Raw(path), BUFFERED_BYTES)

    def sync(self) -> None:
        """Makes all that was written durable.

        Raises:
            OSError: some of it could not be stored.
        """
        self.flush()
        self.raw.sync()
