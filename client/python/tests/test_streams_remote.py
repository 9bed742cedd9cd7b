"""Streams that are read, and migrated, on another node than the one they are written on."""

from __future__ import annotations

import filecmp

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vineyard
import vineyard.io
from vineyard._C import ObjectNotExistsException, StreamFailedException, StreamOpenedException
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream
from vineyard.io.recordbatch import RecordBatchStream


@pytest.fixture
def two(cluster):
    clients = [vineyard.connect(cluster[index].socket) for index in range(2)]
    yield clients
    for client in clients:
        client.close()


def batch(start: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(start, start + 1000)), "t": ["a", "b"] * 500})


def test_batches_reach_another_node_in_order(two):
    first, second = two
    stream = DataframeStream.new(first, {"header_row": "1"})
    first.persist(stream.id)
    with stream.writer as writer:
        for start in range(0, 5000, 1000):
            writer.write(batch(start))
    second.sync_meta()
    again = second.get(stream.id)
    assert again.params == {"header_row": "1"}
    assert list(again.reader) == [batch(start) for start in range(0, 5000, 1000)]


def test_frames_are_copied_with_their_values(two):
    first, second = two
    stream = RecordBatchStream.new(first)
    first.persist(stream.id)
    frame = pd.DataFrame({"x": np.arange(1000.0), "s": ["text"] * 1000})
    with stream.writer as writer:
        writer.write(frame)
    second.sync_meta()
    (got,) = list(second.get(stream.id).reader)
    pd.testing.assert_frame_equal(got, frame)


def test_a_failure_is_told_on_another_node(two):
    first, second = two
    stream = ByteStream.new(first)
    first.persist(stream.id)
    with pytest.raises(ZeroDivisionError), stream.writer as writer:
        writer.write(b"bytes")
        writer.flush()
        raise ZeroDivisionError("the source is dry")
    second.sync_meta()
    reader = second.get(stream.id).reader
    assert bytes(next(reader)) == b"bytes"
    with pytest.raises(StreamFailedException, match="the source is dry"):
        next(reader)


def test_a_migrated_stream_is_written_as_a_file(two, cluster, tmp_path):
    """What the released package has as a test that it skips."""
    first, second = two
    source = tmp_path / "p2p-31.e"
    source.write_text("".join(f"{n} {n + 1} {n * n}\n" for n in range(20_000)))
    stream = vineyard.io.open(
        f"file://{source}",
        vineyard_ipc_socket=cluster[0].socket,
        read_options={"header_row": False, "delimiter": " "},
    )
    (local,) = first.get(stream)
    second.sync_meta()
    migrated = second.migrate_stream(local.id)
    assert migrated != local.id
    with pytest.raises(StreamOpenedException, match=repr(migrated)):
        second.migrate_stream(local.id)
    assert first.migrate_stream(local.id) == local.id, "it is of this node"
    meta = vineyard.ObjectMeta()
    meta["typename"] = "vineyard::ParallelStream"
    meta.set_global(True)
    meta["__streams_-size"] = 1
    meta.add_member("__streams_-0", migrated)
    made = second.create_metadata(meta)
    second.persist(made)
    vineyard.io.open(
        f"file://{tmp_path}/p2p-31.out",
        made.id,
        mode="w",
        vineyard_ipc_socket=cluster[1].socket,
    )
    assert filecmp.cmp(source, tmp_path / "p2p-31.out_0", shallow=False)


def test_what_is_no_stream_of_another_node_is_not_migrated(two):
    first, second = two
    hidden = ByteStream.new(first)
    with pytest.raises(ObjectNotExistsException):
        second.migrate_stream(hidden.id)
    value = first.put(1, persist=True)
    second.sync_meta()
    with pytest.raises(ObjectNotExistsException, match="no such stream"):
        second.migrate_stream(value)
