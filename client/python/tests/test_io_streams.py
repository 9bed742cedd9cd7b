"""Files into streams and out of them, with `vineyard.io`."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vineyard.io
from conftest import Node
from vineyard._C import StreamFailedException
from vineyard.io import ReadError
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream

ROWS = 10_000


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    """A node whose memory is not filled by what other tests left: streams wait for room."""
    one = Node(short_folder / "of-files", size="256M")
    yield one
    one.stop()


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": range(ROWS), "b": [f"text {at}" for at in range(ROWS)]})


@pytest.fixture
def csv(tmp_path, frame) -> str:
    path = str(tmp_path / "x.csv")
    frame.to_csv(path, index=False)
    return path


def table_of(stream: Any) -> pa.Table:
    return stream.reader.read_table()


def test_a_file_is_a_stream_that_another_client_reads(ipc_client, node, csv, frame) -> None:
    read = vineyard.io.read(csv, header_row=True, client=ipc_client)
    assert isinstance(read, vineyard.ObjectID)
    with vineyard.connect(node.socket) as other:
        (stream,) = other.get(read)
        assert type(stream) is DataframeStream
        assert stream.params["header_row"] == "1"
        pd.testing.assert_frame_equal(table_of(stream).to_pandas(), frame, check_dtype=False)
    read.join()
    assert read.progress == 1.0


def test_a_read_can_be_iterated(ipc_client, csv) -> None:
    read = vineyard.io.read(csv, header_row=True, client=ipc_client, chunk_size=4096)
    batches = list(read)
    assert len(batches) > 10
    assert pa.Table.from_batches(batches)["a"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("workers", [1, 3])
def test_partitions_in_order_are_the_file_in_order(ipc_client, tmp_path, workers) -> None:
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"x": range(ROWS)}), path, row_group_size=100)
    read = vineyard.io.read(path, client=ipc_client, num_workers=workers)
    tables = [table_of(stream) for stream in read.streams]
    assert len(tables) == workers and all(table.num_rows for table in tables)
    assert pa.concat_tables(tables)["x"].to_pylist() == list(range(ROWS))


def test_a_share_without_rows_has_the_columns(ipc_client, tmp_path) -> None:
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"x": [1]}), path)
    read = vineyard.io.read(path, client=ipc_client, num_workers=3)
    assert [table_of(stream).schema.names for stream in read.streams] == [["x"]] * 3


def test_bytes_are_a_byte_stream(ipc_client, tmp_path) -> None:
    path = tmp_path / "x.bin"
    data = np.random.default_rng(1).bytes(20_000_000)
    path.write_bytes(data)
    read = vineyard.io.read(str(path), format="bytes", client=ipc_client)
    assert type(read.streams[0]) is ByteStream
    assert b"".join(read) == data


def test_a_bad_row_fails_the_stream_with_its_place(ipc_client, tmp_path) -> None:
    path = tmp_path / "bad.csv"
    lines = ["a", *map(str, range(1_000_000)), "x", *map(str, range(5_000))]
    path.write_text("\n".join(lines) + "\n")
    handlers: list[Any] = []
    read = vineyard.io.read(str(path), header_row=True, client=ipc_client, handlers=handlers)
    with pytest.raises(StreamFailedException, match=r'bad\.csv, line 1000002, column "a": "x"'):
        list(read)
    for waits in (read.join, handlers[0].join):
        with pytest.raises(ReadError, match="line 1000002"):
            waits()
    assert handlers[0].status == "failed" and "line 1000002" in handlers[0].diagnostics[0]


def test_handlers_may_be_a_dict(ipc_client, csv) -> None:
    handlers: dict[int, Any] = {}
    stopped = threading.Event()

    def waits(batch: Any) -> Any:
        stopped.wait(60)
        return batch

    read = vineyard.io.read(
        csv, client=ipc_client, handlers=handlers, num_workers=2, chunk_hook=waits
    )
    assert sorted(handlers) == [0, 1] and handlers[0].status == "running"
    handlers[0].dispose()
    stopped.set()
    with pytest.raises(StreamFailedException, match="the reading was stopped"):
        list(read.streams[0].reader)
    list(read.streams[1].reader)
    assert handlers[1].wait(60) and handlers[1].status == "done"


def test_what_is_wrong_at_the_start_is_raised_at_once(ipc_client, tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        vineyard.io.read(str(tmp_path / "none.csv"), client=ipc_client)
    with pytest.raises(ValueError, match="index_col is for data frames"):
        (tmp_path / "x.csv").write_text("1\n")
        vineyard.io.read(str(tmp_path / "x.csv"), client=ipc_client, index_col=0)


def test_a_hook_changes_each_batch(ipc_client, csv) -> None:
    read = vineyard.io.read(
        csv, header_row=True, client=ipc_client, chunk_hook=lambda batch: batch.select(["b"])
    )
    assert table_of(read.streams[0]).schema.names == ["b"]

    def fails(batch: Any) -> Any:
        raise KeyError("no")

    read = vineyard.io.read(csv, header_row=True, client=ipc_client, chunk_hook=fails)
    with pytest.raises(StreamFailedException, match="chunk_hook raised KeyError for batch 0"):
        list(read)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_is_written_to_files_by_their_numbers(ipc_client, csv, workers) -> None:
    read = vineyard.io.read(csv, header_row=True, client=ipc_client, num_workers=workers)
    written = vineyard.io.write(csv + ".copy", read, client=ipc_client)
    assert written == [f"{csv}.copy_{number}" for number in range(workers)]
    copies = [Path(path).read_bytes() for path in written]
    header = copies[0].partition(b"\n")[0] + b"\n"
    whole = copies[0] + b"".join(copy.removeprefix(header) for copy in copies[1:])
    assert whole.replace(b'"', b"") == Path(csv).read_bytes().replace(b'"', b"")


def test_a_stream_is_written_to_one_file(ipc_client, tmp_path, csv, frame) -> None:
    path = str(tmp_path / "x.parquet")
    read = vineyard.io.read(csv, header_row=True, client=ipc_client, num_workers=3)
    assert vineyard.io.write(path, read, client=ipc_client, single_file=True) == [path]
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)


def test_a_failed_stream_leaves_no_file(ipc_client, tmp_path) -> None:
    stream = DataframeStream.new(ipc_client)
    writer = stream.writer
    writer.write(pa.table({"x": [1]}))
    writer.fail("line 7")
    with pytest.raises(StreamFailedException, match="line 7"):
        vineyard.io.write(str(tmp_path / "x.csv"), stream)
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_written_as_they_are(ipc_client, tmp_path) -> None:
    for name in ("x.bin", "x.csv"):
        (path,) = vineyard.io.write(str(tmp_path / name), b"a,b\n")
        assert Path(path).read_bytes() == b"a,b\n"
    stream = ByteStream.new(ipc_client)
    with stream.writer as writer:
        writer.write(b"some bytes")
    (path,) = vineyard.io.write(str(tmp_path / "x.bin"), stream.id, client=ipc_client)
    assert Path(path).read_bytes() == b"some bytes"


def test_a_process_that_ends_lets_its_readers_finish(ipc_client, node, csv) -> None:
    script = (
        "import sys, vineyard.io\n"
        "client = vineyard.connect(sys.argv[1])\n"
        "read = vineyard.io.read(sys.argv[2], header_row=True, client=client, chunk_size=4096)\n"
        "print(repr(read), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, node.socket, csv], stdout=subprocess.PIPE, text=True
    )
    (stream,) = ipc_client.get(vineyard.ObjectID(process.stdout.readline()))
    assert table_of(stream)["a"].to_pylist() == list(range(ROWS))
    assert process.wait(60) == 0


def test_a_frame_of_the_store_is_read_by_its_name_or_id(ipc_client, tmp_path, frame) -> None:
    object_id = ipc_client.put(frame, persist=True, name="a/named frame")
    for path in ("vineyard://a/named frame", f"vineyard://{object_id!r}"):
        read = vineyard.io.read(path, client=ipc_client, num_workers=1)
        pd.testing.assert_frame_equal(table_of(read.streams[0]).to_pandas(), frame)
    parts = vineyard.io.read("vineyard://a/named frame", client=ipc_client, num_workers=2)
    tables = [table_of(stream) for stream in parts.streams]
    assert sum(table.num_rows for table in tables) == ROWS
    with pytest.raises(vineyard.ObjectNotExistsException):
        vineyard.io.read("vineyard://no such name", client=ipc_client)
    ipc_client.delete(object_id)


def test_a_stream_becomes_a_named_frame_or_nothing(ipc_client, csv, frame) -> None:
    read = vineyard.io.read(csv, header_row=True, client=ipc_client, num_workers=2)
    object_id = vineyard.io.write("vineyard://made", read, client=ipc_client)
    assert ipc_client.get_name("made") == object_id
    parts = ipc_client.get(object_id)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), frame, check_dtype=False)
    ipc_client.delete(object_id)

    before = len(ipc_client.list_metadatas("*", limit=10_000))
    stream = DataframeStream.new(ipc_client)
    writer = stream.writer
    writer.write(pa.table({"x": [1]}))
    writer.fail("line 7")
    with pytest.raises(StreamFailedException, match="line 7"):
        vineyard.io.write("vineyard://short", stream, client=ipc_client)
    stream.drop()
    assert len(ipc_client.list_metadatas("*", limit=10_000)) == before
    with pytest.raises(vineyard.ObjectNotExistsException):
        ipc_client.get_name("short")


def test_a_hook_tells_readers_no_secret(ipc_client) -> None:
    secret = "MARKER-of-a-secret"

    def hook(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise LookupError(f"no such key: {secret}")

    options = {"secret": secret}
    vineyard.io.write("memory://told/x.csv", pa.table({"a": [1]}), storage_options=options)
    read = vineyard.io.read(
        "memory://told/x.csv", storage_options=options, chunk_hook=hook, client=ipc_client
    )
    with pytest.raises(StreamFailedException, match="no such key") as told:
        list(read.streams[0].reader)
    assert secret not in str(told.value)
