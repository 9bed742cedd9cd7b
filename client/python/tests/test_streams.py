"""Streams as the package has them, on a real node."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vineyard
from conftest import Node
from vineyard._C import StreamFailedException, StreamOpenedException
from vineyard.io import dataframe
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream
from vineyard.io.parallel import make_parallel_stream
from vineyard.io.recordbatch import RecordBatchStream
from vineyard.io.stream import StreamCollection

KINDS = [ByteStream, DataframeStream, RecordBatchStream]


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    """A node whose memory is not filled by what other tests left: streams wait for room."""
    one = Node(short_folder / "of-streams", size="256M")
    yield one
    one.stop()


@pytest.fixture
def running() -> Iterator[Callable[..., threading.Thread]]:
    """Runs functions in threads, whose exceptions are those of the test."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def start(function: Callable[..., Any], *args: Any) -> threading.Thread:
        def run() -> None:
            try:
                function(*args)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_got_keeps_its_client(client, kind) -> None:
    stream = kind.new(client, {"header_row": "1"})
    got = client.get(stream.id)
    assert type(got) is kind and got.id == stream.id
    assert got.params == {"header_row": "1"} == stream.params
    assert repr(got) == f"{kind.__name__} <{stream.id!r}>"
    got.writer.finish()
    assert list(got.reader) == []
    got.drop()
    assert not client.exists(stream.id)


@pytest.mark.covers(
    "vineyard.io.byte.ByteStream",
    "vineyard.io.dataframe.DataframeStream",
    "vineyard.io.recordbatch.RecordBatchStream",
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_made_from_its_metadata_is_the_same(client, kind) -> None:
    stream = kind.new(client, {"a": 1})
    again = kind(client.get_meta(stream.id))
    assert again.params == {"a": 1} and again.id == stream.id
    assert kind(client.get_meta(stream.id), params={"b": 2}).params == {"b": 2}
    again.open_writer(client).finish()
    stream.drop()


def test_bytes_are_read_as_they_were_written(client, running) -> None:
    stream = ByteStream.new(client)
    data = np.random.default_rng(1).bytes(3_000_000)

    def write(stream: ByteStream) -> None:
        with stream.writer as writer:
            writer.buffer_size_limit = 100_000
            for begin in range(0, len(data), 7_000):
                assert writer.write(data[begin : begin + 7_000]) <= 7_000

    running(write, client.get(stream.id))
    chunks = list(stream.reader)
    assert b"".join(chunks) == data
    assert max(chunk.nbytes for chunk in chunks) <= 100_000
    stream.drop()


def test_a_reader_reads_as_a_file_does(client) -> None:
    stream = ByteStream.new(client)
    with stream.writer as writer:
        for part in (b"abc", b"", b"defgh"):
            writer.write(part)
            writer.flush()
        chunk = writer.next(2) if client.is_ipc else None
        if chunk is not None:
            chunk[:] = b"ij"
            del chunk
        else:
            writer.write(b"ij")
    reader = stream.reader
    assert reader.read(2) == b"ab"
    into = bytearray(3)
    assert reader.readinto(into) == 3 and into == b"cde"
    assert bytes(reader.next()) == b"fgh"
    assert reader.read() == b"ij"
    assert reader.read(5) == b""
    with pytest.raises(StopIteration, match="No more chunks"):
        reader.next()
    stream.drop()


def tables() -> list[Any]:
    frame = pd.DataFrame({"x": [1, 2, 3], "y": ["a", None, "c"]})
    return [
        pa.RecordBatch.from_pandas(frame),
        pa.Table.from_pandas(frame),
        frame,
        pa.table({"x": pa.array([], "i8")}),
        pa.table({"d": pa.chunked_array([["a", "b"], ["b"]]).dictionary_encode()}),
    ]


@pytest.mark.parametrize("value", tables(), ids=["batch", "table", "frame", "empty", "dictionary"])
def test_tables_are_read_as_they_were_written(client, value) -> None:
    stream = DataframeStream.new(client)
    with stream.writer as writer:
        writer.write(value)
    table = stream.reader.read_table()
    expected = pa.table(value)
    assert table.equals(expected.cast(table.schema))
    assert table.schema.names == expected.schema.names
    stream.drop()


def test_a_frame_stream_takes_nothing_else(client) -> None:
    stream = DataframeStream.new(client)
    with pytest.raises(TypeError, match="takes record batches, tables and data frames"):
        stream.writer.write([1, 2])
    stream.drop()


def test_a_frame_stream_reads_chunks_of_other_writers(client) -> None:
    """C++ and Java push objects."""
    stream = DataframeStream.new(client)
    batch = pa.record_batch({"x": [1, 2]})
    frame = pd.DataFrame({"x": [3]})
    with stream.writer as writer:
        writer.append(client.put(batch))
        writer.append(client.put(frame))
        writer.append(client.put(pa.table({"x": [4, 5]})))
    assert stream.reader.read_table()["x"].to_pylist() == [1, 2, 3, 4, 5]
    stream.drop()


def test_tables_of_many_batches_are_right_while_the_writer_writes(client, running) -> None:
    """The released package gave views of memory that was used again."""
    stream = DataframeStream.new(client, window_bytes_max=1 << 20)
    batches = [pa.record_batch({"x": np.full(5_000, number)}) for number in range(60)]

    def write(stream: DataframeStream) -> None:
        with stream.writer as writer:
            for batch in batches:
                writer.write(batch)

    running(write, client.get(stream.id))
    table = client.get(stream.id).reader.read_table()
    assert table.equals(pa.Table.from_batches(batches))
    stream.drop()


@pytest.mark.parametrize("copy", [None, True, False])
def test_a_table_may_be_private(ipc_client, copy) -> None:
    stream = DataframeStream.new(ipc_client)
    with stream.writer as writer:
        writer.write(pa.table({"x": np.arange(1_000)}))
    table = stream.reader.read_table(copy)
    stream.drop()
    gc.collect()
    kept = ipc_client.status.deleted_bytes
    assert table["x"].to_pylist() == list(range(1_000))
    del table
    gc.collect()
    assert (ipc_client.status.deleted_bytes < kept) is (copy is not True)


def test_values_are_chunks(client, running) -> None:
    stream = RecordBatchStream.new(client)
    values = [1, "two", {"three": np.arange(3)}, [None]]

    def write(stream: RecordBatchStream) -> None:
        with stream.writer as writer:
            for value in values:
                writer.write(value)

    running(write, client.get(stream.id))
    got = list(client.get(stream.id).reader)
    assert got[0] == 1 and got[1] == "two" and got[3] == [None]
    np.testing.assert_array_equal(got[2]["three"], np.arange(3))
    stream.drop()


def test_what_cannot_be_queued_is_deleted(client) -> None:
    stream = RecordBatchStream.new(client)
    writer = stream.writer
    writer.finish()
    before = len(client.list_metadatas("*", limit=1_000))
    with pytest.raises(vineyard.InvalidStreamStateException):
        writer.write(np.arange(10))
    assert len(client.list_metadatas("*", limit=1_000)) == before
    stream.drop()


def test_an_exception_in_the_block_fails_the_stream(client) -> None:
    stream = ByteStream.new(client)
    with pytest.raises(ZeroDivisionError), stream.writer as writer:
        writer.write(b"before")
        writer.flush()
        raise ZeroDivisionError("line 7")
    reader = stream.reader
    assert bytes(reader.next()) == b"before"
    with pytest.raises(StreamFailedException, match="line 7"):
        reader.next()
    stream.drop()


def test_a_writer_that_is_collected_has_left(client) -> None:
    stream = ByteStream.new(client)
    writer = client.get(stream.id).open_writer()
    with pytest.raises(StreamOpenedException):
        client.get(stream.id).open_writer()
    del writer
    gc.collect()
    with pytest.raises(StreamFailedException, match="the writer left"):
        stream.reader.next()
    stream.drop()


def test_a_reader_that_leaves_ends_the_writer(client) -> None:
    stream = ByteStream.new(client)
    writer = stream.writer
    writer.write(b"x")
    writer.flush()
    with client.get(stream.id).reader as reader:
        assert bytes(reader.next()) == b"x"
    with pytest.raises(StreamFailedException, match="the reader left"):
        writer.write(b"y" * (8 << 20))
    stream.drop()


def test_a_wait_has_a_limit(client) -> None:
    stream = ByteStream.new(client)
    with pytest.raises(TimeoutError):
        stream.reader.next(timeout=0.05)
    stream.drop()


def test_each_of_several_readers_gets_all(client) -> None:
    stream = RecordBatchStream.new(client, readers="each", readers_min=2)
    with stream.writer as writer:
        for number in range(5):
            writer.write(number)
        readers = [stream.open_reader(cursor=name) for name in "ab"]
    assert [list(reader) for reader in readers] == [list(range(5))] * 2
    stream.drop()


def test_a_stream_may_be_read_again(client) -> None:
    stream = RecordBatchStream.new(client, readers="each", retain_bytes_max=1 << 20)
    with stream.writer as writer:
        for number in range(5):
            writer.write(np.arange(number))
    first = stream.open_reader(cursor="first")
    assert sum(value.size for value in first) == 10
    again = stream.open_reader(cursor="again", from_=3)
    assert [value.size for value in again] == [3, 4]
    stream.drop()


def test_a_parallel_stream_is_a_list_of_streams(client) -> None:
    parts = [ByteStream.new(client), DataframeStream.new(client)]
    meta = make_parallel_stream(client, [part.id for part in parts])
    assert meta.isglobal
    got = client.get(meta.id)
    assert [type(part) for part in got] == [ByteStream, DataframeStream]
    assert [part.id for part in got] == [part.id for part in parts]
    with got[0].writer as writer:
        writer.write(b"x")
    assert b"".join(parts[0].reader) == b"x"
    client.delete(meta.id)


def test_a_collection_has_streams_and_metadata(client) -> None:
    stream = ByteStream.new(client)
    made = StreamCollection.new(
        client, {"__path": "a/b", "typename": "no", "__global": True}, [stream.id]
    )
    got = client.get(made.id)
    assert type(got) is StreamCollection and got.streams == [stream.id] == made.streams
    assert got.meta["__path"] == "a/b" and got.isglobal and got.id == made.id
    client.delete(made.id)
    stream.drop()


def test_a_batch_that_can_not_be_written_is_no_chunk(client, monkeypatch) -> None:
    stream = DataframeStream.new(client)
    writer = stream.writer
    write_ipc = dataframe._write_ipc
    calls = []

    def fail_second(batch: Any, sink: Any) -> None:
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError("line 7 is ragged")
        write_ipc(batch, sink)

    monkeypatch.setattr(dataframe, "_write_ipc", fail_second)
    try:
        writer.write(pa.record_batch({"x": [1]}))
    except RuntimeError as error:
        # While the exception lives, with all that its frames know.
        assert "ragged" in str(error)
        writer.write(pa.record_batch({"x": [2]}))
    writer.finish()
    assert stream.reader.read_table().column("x").to_pylist() == [2]
    stream.drop()
