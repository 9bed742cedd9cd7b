"""Puts and gets one value, in a process of its own, and prints its private memory and its time.

    measure_value.py SOCKET ROW BYTES [--endpoint HOST:PORT]

Prints one JSON line: `put_private` and `get_private` (bytes above what the process had before, at
the worst moment, without what is mapped of the arena and of files), `put_seconds`, `get_seconds`,
`nbytes` (what the store holds of it). The peak is VmHWM, which is reset before each of both.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import vineyard
from value_rows import ROWS


def memory() -> dict[str, int]:
    """The lines of /proc/self/status about memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def give_back() -> None:
    """Returns what allocators keep to the system: what they use again would not be counted."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)


class Peak:
    """The most private memory within a `with` block, beyond what there was at its start."""

    def __enter__(self) -> Peak:
        give_back()
        Path("/proc/self/clear_refs").write_text("5")
        now = memory()
        self._before = now["RssAnon"]
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self._begin
        now = memory()
        shared = now["RssShmem"] + now["RssFile"]
        self.private = max(0, now["VmHWM"] - shared - self._before)


def main() -> None:
    socket, name, nbytes, *rest = sys.argv[1:]
    if rest:
        host, _, port = rest[1].rpartition(":")
        client = vineyard.connect(endpoint=(host, int(port)))
    else:
        client = vineyard.connect(socket)
    # Loads the libraries, and maps the arena.
    make = ROWS[name]
    small = client.put(make(1 << 16))
    client.get(small)
    client.get(client.put(np.ones(1 << 16)))
    value = make(int(nbytes))
    before = client.status.memory_usage
    with Peak() as put:
        object_id = client.put(value)
    stored = client.status.memory_usage - before
    with Peak() as got:
        again = client.get(object_id)
    del again
    figures = {
        "put_private": put.private,
        "put_seconds": put.seconds,
        "get_private": got.private,
        "get_seconds": got.seconds,
        "nbytes": stored,
    }
    client.delete(object_id)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
