"""Streams of the released package on our node, and streams that the released package has at one
side and ours at the other.

The released package's own test of streams cannot fail: both of its threads end by an exception at
once. Here its classes are used as they can be, with a client that is given to them: each side is a
process (tools/stream_process.py), and what one wrote is compared with what the other read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vineyard
from conftest import Node

HELPER = Path(__file__).parent / "tools" / "stream_process.py"
KINDS = ["byte", "dataframe", "recordbatch"]
# Who writes, and who reads.
PAIRS = [("released", "released"), ("released", "ours"), ("ours", "released")]
NODE_BYTES = 16 << 20
CHUNKS = 30
# The chunks are more than the node has memory for. What is appended waits for no memory.
CHUNK_BYTES = {"byte": 1 << 20, "dataframe": 1 << 20, "recordbatch": 1 << 16}
SETTLE_SECONDS = 20
DRAINED = "StopIteration: No more chunks"


class Side:
    """A process that writes or reads streams when it is told to."""

    def __init__(self, interpreter: str, path: str | None, socket: str) -> None:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [interpreter, str(HELPER), socket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ | ({"PYTHONPATH": path} if path else {}),
            text=True,
        )

    def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        print(json.dumps(command), file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process of a side ended"
        return json.loads(line)

    def ask(self, **command: Any) -> dict[str, Any]:
        self.tell(**command)
        return self.answer()

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    one = Node(short_folder / "of-sides", size=str(NODE_BYTES))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def start(node) -> Iterator[Any]:
    """Starts a side of a package, and ends all at the end."""
    if os.environ.get("VINEYARD_WITHOUT_PEER"):
        pytest.skip("VINEYARD_WITHOUT_PEER=1")
    started: list[Side] = []

    def begin(package: str) -> Side:
        if package == "released":
            interpreter = str(Path(os.environ["VINEYARD_PEER"]) / "bin" / "python")
            side = Side(interpreter, None, node.socket)
        else:
            side = Side(sys.executable, str(Path(vineyard.__file__).parents[1]), node.socket)
        started.append(side)
        return side

    yield begin
    for side in started:
        side.stop()


@pytest.fixture(scope="module")
def sides(start) -> Any:
    """The side of a package that writes or reads, started when it is first asked for."""
    made: dict[tuple[str, str], Side] = {}

    def get(package: str, does: str) -> Side:
        if (package, does) not in made:
            made[package, does] = start(package)
        return made[package, does]

    return get


def eventually(holds: Any) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def dropped(client: Any, by: Side, stream: str) -> None:
    """Drops a stream, after which nothing of it is in the memory."""
    assert by.ask(do="drop", id=stream) == {}
    assert not client.exists(vineyard.ObjectID(stream))
    eventually(lambda: client.status.memory_usage == 0)


def read_of(written: dict[str, Any], is_short: bool = False) -> dict[str, Any]:
    """What is read to the end of what was written, or of all but the last chunk."""
    if is_short:
        return {"digest": written["before"], "chunks": written["chunks"] - 1, "end": DRAINED}
    return {"digest": written["digest"], "chunks": written["chunks"], "end": DRAINED}


def is_waiting(client: Any, stream: str, side: str) -> bool:
    status = client.stream_status(vineyard.ObjectID(stream))
    if side == "writer":
        return status["writer_waits"]
    return any(cursor["waits"] for cursor in status["cursors"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("writes", "reads"), PAIRS)
def test_every_byte_goes_from_one_process_to_the_other(
    ipc_client, sides, kind, writes, reads
) -> None:
    writer, reader = sides(writes, "writes"), sides(reads, "reads")
    stream = writer.ask(do="new", kind=kind)["id"]
    reader.tell(do="read", kind=kind, id=stream)
    size = CHUNK_BYTES[kind]
    written = writer.ask(do="write", kind=kind, id=stream, chunks=CHUNKS, bytes=size, end="finish")
    assert written["chunks"] == CHUNKS + (kind == "byte")
    assert reader.answer() == read_of(written)
    dropped(ipc_client, writer, stream)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("writes", "reads"), PAIRS)
def test_a_failure_is_told_after_the_chunks_before_it(
    ipc_client, sides, kind, writes, reads
) -> None:
    writer, reader = sides(writes, "writes"), sides(reads, "reads")
    stream = writer.ask(do="new", kind=kind)["id"]
    written = writer.ask(do="write", kind=kind, id=stream, chunks=3, bytes=1000, end="fail")
    found = reader.ask(do="read", kind=kind, id=stream)
    assert found["end"].startswith("StreamFailedException: ")
    # The chunk that is being filled goes where our writer fails.
    is_short = (writes, kind) == ("ours", "byte")
    assert found == {**read_of(written, is_short), "end": found["end"]}
    dropped(ipc_client, reader, stream)


@pytest.mark.parametrize("waits", ["reader", "writer"])
@pytest.mark.parametrize("kind", ["byte", "dataframe"])
def test_a_drop_ends_a_wait(ipc_client, sides, kind, waits) -> None:
    writer, reader = sides("released", "writes"), sides("released", "reads")
    stream = writer.ask(do="new", kind=kind)["id"]
    if waits == "reader":
        reader.tell(do="read", kind=kind, id=stream)
    else:
        size = CHUNK_BYTES[kind]
        writer.tell(do="write", kind=kind, id=stream, chunks=CHUNKS, bytes=size, end="")
    eventually(lambda: is_waiting(ipc_client, stream, waits))
    if waits == "reader":
        dropped(ipc_client, writer, stream)
        assert "StreamFailed" in reader.answer()["end"]
    else:
        dropped(ipc_client, reader, stream)
        assert "StreamFailed" in writer.answer()["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_is_told_that_its_writer_was_killed(ipc_client, start, sides, kind) -> None:
    writer, reader = start("released"), sides("released", "reads")
    stream = writer.ask(do="new", kind=kind)["id"]
    written = writer.ask(do="write", kind=kind, id=stream, chunks=3, bytes=1000, end="")
    reader.tell(do="read", kind=kind, id=stream)
    eventually(lambda: is_waiting(ipc_client, stream, "reader"))
    writer.process.send_signal(signal.SIGKILL)
    found = reader.answer()
    assert "the writer left" in found["end"]
    # The chunk that is being filled goes with its writer.
    is_short = kind != "recordbatch"
    assert found == {**read_of(written, is_short), "end": found["end"]}
    dropped(ipc_client, reader, stream)


def test_a_stream_has_one_reader(ipc_client, sides) -> None:
    writer, reader = sides("released", "writes"), sides("released", "reads")
    stream = writer.ask(do="new", kind="byte")["id"]
    reader.tell(do="read", kind="byte", id=stream)
    eventually(lambda: is_waiting(ipc_client, stream, "reader"))
    refused = sides("ours", "reads").ask(do="read", kind="byte", id=stream)
    assert refused["error"].startswith("StreamOpenedException: ")
    dropped(ipc_client, writer, stream)
    assert "StreamFailed" in reader.answer()["end"]


def test_two_threads_of_one_released_process(sides) -> None:
    found = sides("released", "writes").ask(do="threads", chunks=CHUNKS)
    assert found["read"] == read_of(found["written"])
