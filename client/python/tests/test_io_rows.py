"""What the released package does wrong with files and streams, row by row, and the tests that show
that this package does not; a row that no other file tests is tested here.
"""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vineyard
import vineyard.io
from conftest import Node
from io_tables import table_of
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream
from vineyard.io.recordbatch import RecordBatchStream

UNTIL_SECONDS = 20

FILES: dict[int, tuple[str, str]] = {
    1: (
        "a path runs in a shell, credentials are shown",
        "test_io_options.py: test_a_path_is_only_a_name, test_secrets_stand_in_no_error",
    ),
    2: (
        "a failed stream is stored short, as success",
        "test_io_streams.py: test_a_stream_becomes_a_named_frame_or_nothing",
    ),
    3: (
        "a failing write leaves a part of the file",
        "test_io_write.py: test_a_write_that_fails_leaves_what_was_there",
    ),
    4: (
        "members of other nodes are not serialized",
        "test_io_serialize.py: test_a_global_object_of_three_nodes",
    ),
    5: (
        "a missing file reads one of a longer name",
        "test_io_options.py: test_a_missing_file_is_never_a_longer_name",
    ),
    6: (
        "0 means true, unknown options are ignored",
        "test_io_options.py: test_texts_that_mean_false, test_a_wrong_option_is_refused_by_name",
    ),
    7: (
        "columns are ignored, compressed text is not read, paths of Parquet have no options",
        "test_io_formats.py: test_chosen_columns_and_rows, test_a_text_format_keeps_plain_types; "
        "test_io_rows.py: test_file_row_07_a_path_of_parquet_may_have_options",
    ),
    8: (
        "a header with a mark or beyond ASCII is garbled, what is empty fails",
        "test_io_text.py: test_csv_has_names_and_types; "
        "test_io_rows.py: test_file_row_08_an_empty_stream_is_an_empty_file",
    ),
    9: (
        "a bad row has no number, readers are not told",
        "test_io_streams.py: test_a_bad_row_fails_the_stream_with_its_place; "
        "test_io_objects.py: test_an_error_leaves_nothing",
    ),
    10: (
        "a stream changes its types",
        "test_io_text.py: test_types_are_fixed_by_the_first_block",
    ),
    11: (
        "whole numbers with nulls become floats",
        "test_io_objects.py: test_a_frame_for_each_piece_in_order",
    ),
    12: (
        "two workers read every row twice",
        "test_io_streams.py: test_a_frame_of_the_store_is_read_by_its_name_or_id",
    ),
    13: (
        "a hook may not know much",
        "test_io_rows.py: test_file_row_13_a_hook_may_know_much",
    ),
    14: (
        "line ends in values break where a chunk ends",
        "test_io_text.py: test_a_line_end_in_a_value_that_is_cut_names_the_option, "
        "test_rows_are_read_once_and_in_order",
    ),
    15: (
        "the garbage collector waits, and prints",
        "test_io_rows.py: test_file_row_15_collecting_a_read_waits_for_nothing",
    ),
}
STREAMS: dict[int, tuple[str, str]] = {
    1: (
        "read_table gives wrong bytes",
        "test_streams.py: test_tables_of_many_batches_are_right_while_the_writer_writes",
    ),
    2: (
        "a wait keeps the threads of its process from running",
        "test_io_rows.py: test_stream_row_02_a_wait_lets_other_threads_run",
    ),
    3: (
        "a stream that is got has no client",
        "test_streams.py: test_a_stream_that_is_got_keeps_its_client",
    ),
    4: (
        "a reader waits for a writer that was killed",
        "test_streams_ends.py: test_a_reader_is_told_that_the_writer_was_killed",
    ),
    5: (
        "a writer waits for a reader that was killed",
        "test_streams_ends.py: test_a_writer_is_told_that_the_reader_was_killed",
    ),
    6: (
        "a chunk that is too large waits for ever",
        "test_streams_ends.py: test_a_chunk_that_can_never_fit_is_refused",
    ),
    7: (
        "append waits for no room",
        "test_io_rows.py: test_stream_row_07_appended_frames_wait_for_room",
    ),
    8: (
        "a chunk is seen when the next one is asked for",
        "test_io_rows.py: test_stream_row_08_a_chunk_is_seen_at_once",
    ),
    9: (
        "readers cannot be iterated",
        "test_io_rows.py: test_stream_row_09_a_reader_is_an_iterator",
    ),
    10: (
        "one reader, once",
        "test_streams.py: test_each_of_several_readers_gets_all, test_a_stream_may_be_read_again",
    ),
}


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    """A node whose memory is not filled by what other tests left: streams wait for room."""
    one = Node(short_folder / "of-rows", size="64M")
    yield one
    one.stop()


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + UNTIL_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def named_in(cell: str) -> Iterator[tuple[str, str]]:
    """The file and the name of each test that a row names."""
    for part in cell.split("; "):
        file, _, names = part.partition(": ")
        for name in names.split(", "):
            yield file, name


def test_each_row_has_a_test_that_exists() -> None:
    assert (list(FILES), list(STREAMS)) == (list(range(1, 16)), list(range(1, 11)))
    folder = Path(__file__).parent
    named = {one for _, cell in [*FILES.values(), *STREAMS.values()] for one in named_in(cell)}
    there = set()
    for file in {file for file, _ in named}:
        tree = ast.parse((folder / file).read_text())
        there |= {(file, node.name) for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert named - there == set()


def test_file_row_07_a_path_of_parquet_may_have_options(tmp_path) -> None:
    path = tmp_path / "x.parquet"
    vineyard.io.write(path, pa.table({"a": [1], "b": ["x"]}))
    assert table_of(f"{path}#columns=b").to_pydict() == {"b": ["x"]}


@pytest.mark.parametrize("ending", ["csv", "parquet", "orc", "arrow", "jsonl"])
def test_file_row_08_an_empty_stream_is_an_empty_file(ipc_client, tmp_path, ending) -> None:
    stream = DataframeStream.new(ipc_client)
    with stream.writer as writer:
        writer.write(pa.table({"a": pa.array([], "i8")}))
    (path,) = vineyard.io.write(tmp_path / f"x.{ending}", stream, client=ipc_client)
    assert table_of(path, format=ending.replace("arrow", "ipc")).num_rows == 0
    stream.drop()


def test_file_row_13_a_hook_may_know_much(ipc_client, tmp_path) -> None:
    (tmp_path / "x.csv").write_text("1\n")
    much = bytes(10_000_000)

    def hook(batch: Any) -> Any:
        return pa.record_batch({"n": [len(much)]})

    read = vineyard.io.read(tmp_path / "x.csv", client=ipc_client, chunk_hook=hook)
    assert read.streams[0].reader.read_table()["n"].to_pylist() == [len(much)]


COLLECT = """
import gc, sys, threading, vineyard.io
client = vineyard.connect(sys.argv[1])
handlers, goes_on = [], threading.Event()

def hook(batch):
    goes_on.wait()
    raise ValueError("nobody asks")

read = vineyard.io.read(sys.argv[2], client=client, handlers=handlers, chunk_hook=hook)
job = handlers[0]
del read, handlers
gc.collect()
print(job.status)
goes_on.set()
job.wait()
del job
gc.collect()
print("collected")
"""


def test_file_row_15_collecting_a_read_waits_for_nothing(node, tmp_path) -> None:
    (tmp_path / "x.csv").write_text("1\n")
    run = subprocess.run(
        [sys.executable, "-c", COLLECT, node.socket, str(tmp_path / "x.csv")],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(vineyard.__file__).parents[1])},
    )
    assert (run.stdout, run.stderr, run.returncode) == ("running\ncollected\n", "", 0)


@pytest.mark.parametrize("kind", [ByteStream, DataframeStream, RecordBatchStream])
def test_stream_row_02_a_wait_lets_other_threads_run(ipc_client, node, kind) -> None:
    stream = kind.new(ipc_client)
    value = {ByteStream: b"x", DataframeStream: pa.table({"x": [1]}), RecordBatchStream: 7}[kind]
    begun = threading.Event()
    found: list[Any] = []

    def read() -> None:
        reader = ipc_client.get(stream.id).reader
        begun.set()
        found.extend(reader)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    with vineyard.connect(node.socket) as other:
        until(lambda: any(at["waits"] for at in other.stream_status(stream.id)["cursors"]))
        with other.get(stream.id).writer as writer:
            writer.write(value)
    thread.join()
    assert len(found) == 1
    stream.drop()


def test_stream_row_07_appended_frames_wait_for_room(ipc_client, node) -> None:
    frame = pd.DataFrame({"x": np.arange(1 << 20)})
    count = 16
    stream = RecordBatchStream.new(ipc_client, window_bytes_max=2 * (8 << 20))

    def write() -> None:
        with vineyard.connect(node.socket) as client, client.get(stream.id).writer as writer:
            for _ in range(count):
                writer.write(frame)

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: ipc_client.stream_status(stream.id)["writer_waits"])
    read = 0
    for value in stream.reader:
        read += len(value)
        del value
        gc.collect()
    thread.join()
    assert read == count * len(frame)
    stream.drop()


def test_stream_row_08_a_chunk_is_seen_at_once(client) -> None:
    for kind, value in ((ByteStream, b"x"), (DataframeStream, pa.table({"x": [1]}))):
        stream = kind.new(client)
        writer, reader = stream.writer, stream.reader
        writer.write(value)
        if kind is ByteStream:
            writer.flush()
        assert len(reader.next(timeout=60)) == 1
        writer.finish()
        stream.drop()


def test_stream_row_09_a_reader_is_an_iterator(client) -> None:
    stream = RecordBatchStream.new(client)
    with stream.writer as writer:
        for number in range(3):
            writer.write(number)

    def doubled() -> Iterator[int]:
        for value in stream.reader:
            yield 2 * value

    assert list(doubled()) == [0, 2, 4]
    assert next(stream.reader, "the end") == "the end"
    stream.drop()
