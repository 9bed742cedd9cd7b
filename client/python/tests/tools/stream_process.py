"""Writes and reads streams with the `vineyard` of its interpreter, in a process of its own: the
released package's, or ours.

Started by test_released_streams.py. Reads one JSON command a line, answers with one JSON line; in
place of an answer, {"error": TEXT}. KIND is byte, dataframe or recordbatch.

    {"do": "new", "kind": KIND}               {"id": ID}
    {"do": "write", "kind": KIND, "id": ID, "chunks": N, "bytes": N, "end": "finish", "fail" or ""}
                                              {"digest": TEXT, "chunks": N, "before": TEXT}
    {"do": "read", "kind": KIND, "id": ID}    {"digest": TEXT, "chunks": N, "end": TEXT}
    {"do": "threads", "chunks": N}            {"written": TEXT, "read": TEXT}
    {"do": "drop", "id": ID}                  {}
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import warnings
from typing import Any

warnings.filterwarnings("ignore")

import numpy  # noqa: E402
import pandas  # noqa: E402
import pyarrow  # noqa: E402
import vineyard  # noqa: E402
from vineyard._C import memory_copy  # noqa: E402
from vineyard.io.byte import ByteStream  # noqa: E402
from vineyard.io.dataframe import DataframeStream  # noqa: E402
from vineyard.io.recordbatch import RecordBatchStream  # noqa: E402

KINDS = {"byte": ByteStream, "dataframe": DataframeStream, "recordbatch": RecordBatchStream}
TAIL = b"what the stream gathers until its end"


class Digest:
    """A sum of all values and of where each begins."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()
        self.chunks = 0
        # Without the last one.
        self.before = ""

    def add(self, value: Any) -> None:
        self.chunks += 1
        self.before = self._sum.hexdigest()
        if isinstance(value, pandas.DataFrame):
            value = pyarrow.RecordBatch.from_pandas(value, preserve_index=False)
        if not isinstance(value, pyarrow.RecordBatch):
            self._sum.update(b"%d;" % len(value))
            self._sum.update(value)
            return
        for field, column in zip(value.schema, value.columns, strict=True):
            self._sum.update(f"{field.name} {field.type} {len(column)};".encode())
            if pyarrow.types.is_string(column.type):
                self._sum.update(repr(column.to_pylist()).encode())
            else:
                self._sum.update(column.to_numpy())

    def answer(self) -> dict[str, Any]:
        return {"digest": self._sum.hexdigest(), "chunks": self.chunks}


def chunk_of(kind: str, number: int, size: int) -> Any:
    """The chunk of a number: about `size` bytes."""
    random = numpy.random.default_rng(number)
    if kind == "byte":
        return random.bytes(size)
    columns = {"x": random.integers(-(2**62), 2**62, size // 32), "y": random.random(size // 32)}
    if kind == "recordbatch":
        return pandas.DataFrame(columns)
    some = pyarrow.array(columns["x"] % 1000, mask=columns["x"] % 3 == 0)
    return pyarrow.record_batch({**columns, "t": some.cast("string")})


def write(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    kind, digest = command["kind"], Digest()
    writer = client.get(vineyard.ObjectID(command["id"])).open_writer(client)
    for number in range(command["chunks"]):
        value = chunk_of(kind, number, command["bytes"])
        digest.add(value)
        if kind == "byte":
            memory_copy(writer.next(len(value)), value)
        elif kind == "dataframe":
            writer.write(value)
        else:
            writer.append(client.put(value))
    if command["end"] == "finish" and kind == "byte":
        writer.write(TAIL)
        digest.add(TAIL)
    if command["end"]:
        getattr(writer, command["end"])()
    return {**digest.answer(), "before": digest.before}


def read(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    digest = Digest()
    reader = client.get(vineyard.ObjectID(command["id"])).open_reader(client)
    while True:
        try:
            value = reader.next()
        except Exception as error:
            return {**digest.answer(), "end": f"{type(error).__name__}: {error}"[:300]}
        digest.add(value)
        # The next pull lets the memory of this chunk go.
        del value


def threads(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    stream = RecordBatchStream.new(client)
    common = {"kind": "recordbatch", "id": repr(stream.id)}
    written: dict[str, Any] = {}
    # The clients of a process share a connection, on which one waits at a time. The released
    # client's `fork` changes the client that it is called on.
    other = vineyard.connect(sys.argv[1]).fork()

    def run() -> None:
        told = {**common, "chunks": command["chunks"], "bytes": 4096, "end": "finish"}
        written.update(answer(other, {"do": "write", **told}))

    thread = threading.Thread(target=run)
    thread.start()
    found = read(client, common)
    thread.join()
    stream.drop(client)
    return {"written": written, "read": found}


def answer(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    try:
        return done(client, command)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def done(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "new":
        return {"id": repr(KINDS[command["kind"]].new(client, {"kind": command["kind"]}).id)}
    if command["do"] == "drop":
        client.get(vineyard.ObjectID(command["id"])).drop(client)
        return {}
    return {"write": write, "read": read, "threads": threads}[command["do"]](client, command)


def main() -> None:
    client = vineyard.connect(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(client, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
