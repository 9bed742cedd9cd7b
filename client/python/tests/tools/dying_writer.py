"""Writes files, and is killed or fails at one of its points, in a process of its own.

Started by test_io_killed.py with the libraries imported and nothing begun: each write is a fork,
so that it can be killed, and costs no start of an interpreter. A point is a call that the writer
of files makes of anything else: the file system, the file that it writes to, the operating system.

Reads one JSON command a line, answers with one JSON line:

    {"path": TEXT, "storage": DICT, "rows": N, "batches": N, "parts": N,
     "do": "kill", "fail" or "count", "at": N}
                      {"end": "killed", "failed" or "done", "points": N, "published": N or null}

`published` is the point after which the files get their names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import Any

import fsspec.implementations.webhdfs  # noqa: F401
import numpy
import pandas  # noqa: F401
import pyarrow
import pyarrow.compute
import s3fs  # noqa: F401
import sshfs  # noqa: F401
from vineyard.io import WriteError, _writers
from vineyard.io import _options as options
from vineyard.io._sink import Sink
from vineyard.io._writers import base, commit, ipc  # noqa: F401

# Where the calls that are counted come from.
CALLERS = {base.__file__, commit.__file__}
OURS = os.path.dirname(_writers.__file__)


class Points:
    """Counts the calls out of the writer, and acts before one of them."""

    def __init__(self, act: Any, at: int) -> None:
        self._act, self._at = act, at
        self.reached = 0
        self.published: int | None = None

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is commit.Output.publish.__code__:
            self.published = self.published or self.reached + 1
        if event == "c_call":
            caller: FrameType | None = frame
        elif event == "call" and not frame.f_code.co_filename.startswith(OURS):
            caller = frame.f_back
        else:
            return
        if caller is None or caller.f_code.co_filename not in CALLERS:
            return
        self.reached += 1
        if self.reached == self._at:
            self._act()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise OSError("this point fails")


def write(command: dict[str, Any]) -> None:
    asked = options.for_writing({"storage_options": command["storage"]})
    batch = pyarrow.record_batch({"a": pyarrow.array(numpy.arange(command["rows"]))})
    with Sink(command["path"], asked.data, asked.storage, numbered=True) as sink:
        for number in range(command["parts"]):
            with sink.part(batch.schema, number) as part:
                for _ in range(command["batches"]):
                    part.write(batch)


def child(command: dict[str, Any], answer: int) -> None:
    points = Points({"kill": kill, "fail": fail}.get(command["do"]), command["at"])
    sys.setprofile(points)
    try:
        write(command)
        end = "done"
    except (OSError, WriteError):
        end = "failed"
    except BaseException as error:
        end = repr(error)
    sys.setprofile(None)
    told = {"end": end, "points": points.reached, "published": points.published}
    os.write(answer, json.dumps(told).encode())


def run(command: dict[str, Any]) -> dict[str, Any]:
    read, answer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        try:
            child(command, answer)
        finally:
            # Threads of the storages do not hold this up.
            os._exit(0)
    os.close(answer)
    with open(read, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return {"end": "killed" if os.WTERMSIG(status) == signal.SIGKILL else str(status)}
    return json.loads(told)


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
