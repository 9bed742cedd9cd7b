"""Streams whose other side dies, and streams of more bytes than the node has memory for."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vineyard
from conftest import Node
from vineyard._C import StreamFailedException
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream

# The node, and what goes through it.
NODE_BYTES = 32 << 20
CHUNK_BYTES = 1 << 20
CHUNKS = 256
# By when the death of a side is known at the other.
KNOWN_SECONDS = 10

WRITE = f"""
import sys, vineyard, hashlib
client = vineyard.connect(sys.argv[1])
sum = hashlib.sha256()
with client.get(vineyard.ObjectID(sys.argv[2])).writer as writer:
    for number in range({CHUNKS}):
        data = number.to_bytes(4, "little") * ({CHUNK_BYTES} // 4)
        sum.update(data)
        writer.next(len(data))[:] = data
print(sum.hexdigest())
"""

TABLES = f"""
import sys, vineyard, numpy, pyarrow
client = vineyard.connect(sys.argv[1])
with client.get(vineyard.ObjectID(sys.argv[2])).writer as writer:
    for number in range({CHUNKS // 4}):
        writer.write(pyarrow.table({{"x": numpy.full({CHUNK_BYTES} // 8, number)}}))
"""

WAIT = """
import sys, vineyard
client = vineyard.connect(sys.argv[1])
stream = client.get(vineyard.ObjectID(sys.argv[2]))
if sys.argv[3] == "read":
    reader = stream.reader
    print("waits", flush=True)
    reader.next()
else:
    writer = stream.writer
    print("waits", flush=True)
    while True:
        writer.write(bytes(1 << 20))
        writer.flush()
"""


@pytest.fixture(scope="module")
def small_node(short_folder) -> Iterator[Node]:
    one = Node(short_folder / "small", size=str(NODE_BYTES))
    yield one
    one.stop()


@pytest.fixture
def client(small_node) -> Iterator[Any]:
    with vineyard.connect(small_node.socket) as one:
        yield one


def start(script: str, node: Node, stream: Any, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, node.socket, repr(stream.id), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed


def test_more_bytes_than_memory_go_through(client, small_node) -> None:
    stream = ByteStream.new(client)
    writer = start(WRITE, small_node, stream)
    read = hashlib.sha256()
    for chunk in stream.reader:
        read.update(chunk)
    assert ended(writer).split() == [read.hexdigest()]
    stream.drop()
    assert client.status.memory_usage == 0


def test_a_table_larger_than_memory_is_read(client, small_node) -> None:
    stream = DataframeStream.new(client)
    writer = start(TABLES, small_node, stream)
    table = stream.reader.read_table()
    ended(writer)
    expected = np.repeat(np.arange(CHUNKS // 4), CHUNK_BYTES // 8)
    np.testing.assert_array_equal(table["x"].to_numpy(), expected)
    stream.drop()


def test_views_that_fill_the_memory_are_named(client, small_node) -> None:
    stream = DataframeStream.new(client)
    writer = start(TABLES, small_node, stream)
    with pytest.raises(vineyard.NotEnoughMemoryException, match=r"chunks"):
        stream.reader.read_table(copy=False)
    stream.drop()
    writer.wait(60)
    assert writer.returncode != 0


def test_a_chunk_that_can_never_fit_is_refused(client) -> None:
    stream = ByteStream.new(client)
    began = time.monotonic()
    with pytest.raises(vineyard.NotEnoughMemoryException):
        stream.writer.next(NODE_BYTES)
    assert time.monotonic() - began < KNOWN_SECONDS
    stream.drop()


def test_a_reader_is_told_that_the_writer_was_killed(client, small_node) -> None:
    stream = ByteStream.new(client)
    writer = start(WAIT, small_node, stream, "write")
    reader = stream.reader
    assert reader.next().nbytes == 1 << 20
    writer.kill()
    with pytest.raises(StreamFailedException, match="the writer left"):
        while True:
            reader.next(timeout=KNOWN_SECONDS)
    writer.wait()
    stream.drop()
    assert client.status.memory_usage == 0


@pytest.mark.parametrize("is_full", [False, True])
def test_a_writer_is_told_that_the_reader_was_killed(client, small_node, is_full: bool) -> None:
    stream = ByteStream.new(client)
    reader = start(WAIT, small_node, stream, "read")
    assert reader.stdout.readline() == "waits\n"
    writer = stream.writer
    reader.kill()
    reader.wait()
    with pytest.raises(StreamFailedException, match="the reader left"):
        while True:
            writer.write(bytes(NODE_BYTES // 2 if is_full else 1))
            writer.flush()
    stream.drop()
    assert client.status.memory_usage == 0


def test_a_drop_tells_both_sides(client, small_node) -> None:
    for mode in ("read", "write"):
        stream = ByteStream.new(client)
        waiting = start(WAIT, small_node, stream, mode)
        assert waiting.stdout.readline() == "waits\n"
        stream.drop()
        assert waiting.wait(60) != 0
    assert client.status.memory_usage == 0


def test_a_batch_outlives_its_chunk(client) -> None:
    stream = DataframeStream.new(client, window_bytes_max=1 << 20)
    writer, reader = stream.writer, stream.reader
    kept = []
    for number in range(10):
        writer.write(pa.table({"x": np.full(1_000, number)}))
        kept.append(reader.next())
    writer.finish()
    assert [batch["x"].unique().to_pylist() for batch in kept] == [[at] for at in range(10)]
    stream.drop()
