"""The processes that call a `chunk_hook`: started when they are needed, and ended with the read or
write.

Promise: a process that dies is an error of the batch it had, and leaves no other process behind.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
from typing import Any

from vineyard.io import _hook_worker as protocol
from vineyard.io._hooks import HookFailure, WrongType

# A process that has nothing to do ends at once.
END_SECONDS = 5.0


class HookProcesses:
    """Calls a hook in other processes; threads may call it at the same time."""

    def __init__(self, pickled: bytes, count: int) -> None:
        """Starts nothing yet.

        Parameters:
            pickled: bytes
                The hook.
            count: int
                How many processes there are at most. A call waits while all of them are busy.
        """
        self._pickled = pickled
        self._idle: list[_Process] = []
        self._free = threading.BoundedSemaphore(max(1, count))

    def __call__(self, batch: Any) -> Any:
        """What the hook makes of a batch (pyarrow.RecordBatch).

        Raises:
            HookFailure: it raised, or its process died.
            WrongType: it returned something else.
        """
        with self._free:
            try:
                process = self._idle.pop()
            except IndexError:
                process = _started(self._pickled)
            try:
                kind, content = process.call(batch)
            except BaseException:
                process.kill()
                raise
            self._idle.append(process)
        if kind == protocol.CHANGED:
            return protocol.decoded(content)
        if kind == protocol.WRONG_TYPE:
            raise WrongType(content.decode())
        name, text, trace = pickle.loads(content)
        raise HookFailure(f"raised {name}", text) from RuntimeError(trace)

    def close(self) -> None:
        """Ends the processes; no call may run."""
        for process in self._idle:
            process.end()
        for process in self._idle:
            process.wait()
        self._idle.clear()


def _started(pickled: bytes) -> _Process:
    try:
        return _Process(pickled)
    except OSError as error:
        raise HookFailure("got no process", str(error)) from error


class _Process:
    """One process, and this side's end of its pipe."""

    def __init__(self, pickled: bytes) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            descriptor = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", protocol.__file__, str(descriptor)],
                stdin=subprocess.DEVNULL,
                pass_fds=[descriptor],
            )
        # If it is dead already, the first call finds that out.
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(pickle.dumps(sys.path))
            self._pipe.send_bytes(pickled)

    def call(self, batch: Any) -> tuple[bytes, bytes]:
        """The two messages of the answer."""
        try:
            self._pipe.send_bytes(protocol.encoded(batch))
            return self._pipe.recv_bytes(), self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise HookFailure("lost its process", self._end_of_process()) from error

    def _end_of_process(self) -> str:
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if code < 0:
            return f"it ended by signal {-code} ({signal.strsignal(-code)})"
        return f"it ended with exit code {code}"

    def end(self) -> None:
        """Tells the process that it may end."""
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(protocol.END)

    def wait(self) -> None:
        """Waits until it has ended."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._pipe.close()

    def kill(self) -> None:
        """Ends it without a warning."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
