"""Streams whose other side dies, and streams of more bytes than the node has memory for."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vineyard
from conftest import Node
from vineyard._C import StreamFailedException, VineyardException
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
    with pytest.raises(vineyard.NotEnoughMemoryException) as error:
        stream.writer.next(NODE_BYTES)
    # Had the node waited for room, it would say for how long.
    assert "none was made in" not in str(error.value)
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


def test_a_reader_reads_more_than_the_memory_as_one_value(client, small_node) -> None:
    stream = ByteStream.new(client)
    process = start(WRITE, small_node, stream)
    data = stream.reader.read()
    out, _ = process.communicate(timeout=60)
    assert hashlib.sha256(data).hexdigest() == out.strip()
    stream.drop()


def test_a_file_reader_lets_a_chunk_go_before_it_waits_for_the_next(client, small_node) -> None:
    # Two of them do not fit.
    chunk_bytes = NODE_BYTES // 2
    script = f"""
import sys, vineyard
client = vineyard.connect(sys.argv[1])
with client.get(vineyard.ObjectID(sys.argv[2])).writer as writer:
    writer.buffer_size_limit = {chunk_bytes}
    for number in range(4):
        writer.write(bytes([number]) * {chunk_bytes})
"""
    stream = ByteStream.new(client)
    process = start(script, small_node, stream)
    reader = stream.reader
    for number in range(4):
        assert reader.read(chunk_bytes) == bytes([number]) * chunk_bytes
    assert reader.read() == b""
    assert process.wait(timeout=60) == 0
    stream.drop()


def test_what_a_reader_had_when_a_wait_failed_is_read_again(client) -> None:
    stream = ByteStream.new(client)
    writer, reader = stream.writer, stream.reader
    writer.write(b"abc")
    writer.flush()
    writer.fail("enough")
    for read in (lambda: reader.read(10), reader.read, lambda: reader.readinto(bytearray(5))):
        with pytest.raises(StreamFailedException, match="enough"):
            read()
    assert bytes(reader.next()) == b"abc"
    stream.drop()


class Signalled(Exception):
    """What a signal handler raises."""


def test_what_was_gathered_stays_when_a_signal_ends_the_wait_for_room(client) -> None:
    def handle(*_: object) -> None:
        raise Signalled

    before = signal.signal(signal.SIGUSR1, handle)
    stream = ByteStream.new(client, window_bytes_max=10)
    writer, reader = stream.writer, stream.reader
    writer.write(b"0123456789")
    writer.flush()
    writer.write(b"abc")
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(Signalled):
        writer.flush()
    timer.join()
    signal.signal(signal.SIGUSR1, before)
    assert bytes(reader.next()) == b"0123456789"
    with pytest.raises(TimeoutError):
        reader.next(timeout=0.01)
    writer.finish()
    assert b"".join(reader) == b"abc"
    stream.drop()


def test_the_reason_of_an_exception_with_much_text_is_cut(client) -> None:
    stream = ByteStream.new(client)
    with pytest.raises(ValueError), stream.writer:
        raise ValueError("x" * (300 << 20))
    with pytest.raises(StreamFailedException, match="ValueError") as caught:
        stream.reader.next()
    assert len(str(caught.value)) < 2000
    stream.drop()


def test_a_writer_lets_a_chunk_go_before_it_waits_for_the_next(client) -> None:
    # Two of them do not fit.
    chunk_bytes = NODE_BYTES // 2
    stream = ByteStream.new(client)
    reader = stream.reader

    def write() -> None:
        with stream.writer as writer:
            for number in range(3):
                writer.next(chunk_bytes)[:] = bytes([number]) * chunk_bytes

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    for number in range(3):
        assert reader.read(chunk_bytes) == bytes([number]) * chunk_bytes
    thread.join(10)
    assert not thread.is_alive()
    stream.drop()


@pytest.mark.parametrize("closes", ["reader", "client"])
def test_a_wait_ends_when_another_thread_closes_its_reader(small_node, closes) -> None:
    client = vineyard.connect(small_node.socket)
    stream = ByteStream.new(client, ephemeral=True)
    reader = stream.reader
    errors: list[BaseException] = []

    def read() -> None:
        try:
            reader.next()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(0.3)
    (reader if closes == "reader" else client).close()
    thread.join(10)
    client.close()
    assert isinstance(errors[0], VineyardException)
