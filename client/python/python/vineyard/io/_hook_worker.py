"""What a process of `chunk_hook` runs: it takes batches from a pipe, and sends back what the hook
makes of them.

Promise: it ends with the process that started it, also if that is killed. It is started by the path
of this file, and what it imports comes with Python or is what batches and the hook need.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

# The first message of a reply.
CHANGED = b"changed"
WRONG_TYPE = b"wrong type"
RAISED = b"raised"
# In place of a batch.
END = b""


def encoded(batch: Any) -> Any:
    """A record batch as an Arrow IPC stream (pyarrow.Buffer)."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def decoded(data: bytes) -> Any:
    """The record batch of :func:`encoded` (pyarrow.RecordBatch)."""
    import pyarrow

    with pyarrow.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def serve(descriptor: int) -> None:
    """Answers until the other side says that it is the end.

    Parameters:
        descriptor: int
            Of this side's end of the pipe.
    """
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as pipe:
        _end_with_the_other_side(descriptor)
        sys.path[:] = pickle.loads(pipe.recv_bytes())
        pickled = pipe.recv_bytes()
        hook: Any = None
        while data := pipe.recv_bytes():
            try:
                if hook is None:
                    hook = pickle.loads(pickled)
                kind, content = _changed(hook(decoded(data)))
            except Exception as error:
                texts = [type(error).__name__, str(error), traceback.format_exc()]
                kind, content = RAISED, pickle.dumps(texts)
            pipe.send_bytes(kind)
            pipe.send_bytes(content)


def _changed(batch: Any) -> tuple[bytes, Any]:
    import pyarrow

    if isinstance(batch, pyarrow.RecordBatch):
        return CHANGED, encoded(batch)
    return WRONG_TYPE, type(batch).__name__.encode()


def _end_with_the_other_side(descriptor: int) -> None:
    """Ends this process when the other end of the pipe is closed, whatever the hook does then."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)

    def watch() -> None:
        hung_up.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
