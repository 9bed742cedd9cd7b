"""Pickles with their buffers in place: `pickle.loads` reads them, and this package gives views."""

from __future__ import annotations

import datetime
import io
import pickle
import pickletools
import sys
import types
import zoneinfo

import numpy as np
import pandas as pd
import pytest
from data_equal import assert_same
from vineyard.data import _splice
from vineyard.data.pickle import PickledReader, PickledWriter

ALLOWED = types.SimpleNamespace(pickle="allow")
VALUES = {
    "plain": {"a": [1, 2]},
    "one": np.arange(100),
    "many": [np.arange(size) for size in range(40)],
    "opcode_in_text": ["\x97" * 5, "\u0097", b"\x97\x97", np.arange(9)],
    "several_frames": [*("x" * 1000 for _ in range(200)), np.arange(9), *map(str, range(50_000))],
    "large_bytes": [b"y" * 200_000, np.arange(9)],
    "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "read_only": np.frombuffer(b"12345678"),
    "empty": np.zeros((0, 3)),
    "views": [memoryview(b"abc"), memoryview(np.ones((2, 3))), memoryview(b"")],
    "frame": pd.DataFrame({"a": [1.5], "b": ["x"]}),
}


@pytest.mark.parametrize("name", VALUES)
def test_anyone_can_unpickle_it(name: str) -> None:
    payload = _splice.dumps(VALUES[name]).pieces.joined()
    assert_same(VALUES[name], pickle.loads(payload))


@pytest.mark.parametrize("name", VALUES)
def test_we_unpickle_it_without_copying_buffers(name: str) -> None:
    spliced = _splice.dumps(VALUES[name])
    assert_same(VALUES[name], _splice.read(spliced.pieces.joined(), spliced.spans, ALLOWED))


@pytest.mark.parametrize("name", VALUES)
def test_it_is_a_well_formed_pickle(name: str) -> None:
    payload = _splice.dumps(VALUES[name]).pieces.joined()
    pickletools.dis(payload, out=io.StringIO())


@pytest.mark.parametrize("before", range(130))
def test_buffers_begin_at_aligned_offsets(before: int) -> None:
    spliced = _splice.dumps(["x" * before, np.arange(9.0)])
    payload = spliced.pieces.joined()
    assert spliced.spans == 1
    offset, length = _splice.SPAN.unpack(payload[-16:])
    assert offset % 64 == 0
    assert payload[offset : offset + length] == np.arange(9.0).tobytes()


# Small blocks would be hundreds of thousands for the large values.
BLOCKS = [
    (name, block_size)
    for name in VALUES
    for block_size in (1, 7, 4096)
    if block_size == 4096 or name not in ("several_frames", "large_bytes")
]


@pytest.mark.parametrize(("name", "block_size"), BLOCKS)
def test_blocks_read_and_written_make_the_value(name: str, block_size: int) -> None:
    reader = PickledReader(VALUES[name])
    writer = PickledWriter(reader.store_size)
    total = 0
    while block := reader.read(block_size):
        assert len(block) <= block_size
        total += writer.write(block)
    assert total == reader.store_size
    assert writer.value is None
    writer.close()
    assert_same(VALUES[name], writer.value)


def test_a_writer_refuses_what_is_not_whole() -> None:
    reader = PickledReader([1, 2])
    writer = PickledWriter(reader.store_size)
    writer.write(reader.read(5))
    with pytest.raises(ValueError, match="5 of"):
        writer.close()
    with pytest.raises(ValueError, match="announced"):
        writer.write(bytes(reader.store_size))


def test_zones_of_pytz_are_read_without_pytz(monkeypatch) -> None:
    stream = b"\x80\x05cpytz\n_p\n(\x8c\nUS/EasternJ\xb0\xb9\xff\xffK\x00\x8c\x03LMTtR."
    monkeypatch.setitem(sys.modules, "pytz", None)
    assert _splice.read(stream, 0, ALLOWED) == zoneinfo.ZoneInfo("US/Eastern")
    assert _splice.read(b"\x80\x05cpytz\n_UTC\n)R.", 0, ALLOWED) is datetime.UTC
