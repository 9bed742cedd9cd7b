"""`get(..., copy=True)`: private bytes that can be written, made in one copy."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import vineyard
from data_cases import CASES
from data_equal import assert_same

SIZE_BYTES = 48 << 20


def arenas() -> list[tuple[int, int]]:
    """The addresses at which this process has mapped memory of nodes."""
    maps = Path("/proc/self/maps").read_text()
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*vineyard-bulk", maps, re.MULTILINE)
    return [(int(begin, 16), int(end, 16)) for begin, end in found]


def buffers_of(value: Any) -> list[memoryview]:
    """The memory that a value is made of, as pickle finds it."""
    if isinstance(value, memoryview):
        return [value]
    if isinstance(value, list | tuple):
        return [buffer for item in value for buffer in buffers_of(item)]
    if isinstance(value, pl.DataFrame | pl.Series):
        value = value.to_arrow()
    found: list[pickle.PickleBuffer] = []
    pickle.dumps(value, protocol=5, buffer_callback=found.append)
    return [buffer.raw() for buffer in found]


def is_shared(buffer: memoryview) -> bool:
    address = np.frombuffer(buffer, "u1").ctypes.data if buffer.nbytes else 0
    return any(begin <= address < end for begin, end in arenas())


@pytest.mark.parametrize("name", CASES)
def test_a_copy_is_the_same_value_without_shared_memory(client, name: str) -> None:
    value = CASES[name][1]()
    got = client.get(client.put(value), copy=True)
    assert_same(value, got)
    for buffer in buffers_of(got):
        assert not is_shared(buffer)


def test_views_are_shared_without_it(ipc_client) -> None:
    for name in ("numpy.ndarray float64", "plain dict", "pandas.DataFrame eight"):
        got = ipc_client.get(ipc_client.put(CASES[name][1]()))
        assert any(map(is_shared, buffers_of(got)))


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


WRITABLE: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
    "array": (lambda: np.zeros(9), lambda got: got),
    "array in Fortran order": (lambda: np.zeros((3, 3), order="F"), lambda got: got),
    "structured": (lambda: np.zeros(9, "i4, f8"), lambda got: got["f1"]),
    "times": (lambda: np.zeros(9, "M8[ns]"), lambda got: got.view("i8")),
    "in a dict": (lambda: {"a": np.zeros(9)}, lambda got: got["a"]),
    "that was read-only": (lambda: {"a": read_only(np.zeros(9))}, lambda got: got["a"]),
    "in a list": (lambda: [[np.zeros(9)]], lambda got: got[0][0]),
    "bytes": (lambda: bytes(9), lambda got: np.frombuffer(got, "u1")),
    "text": (lambda: np.array(["a", "b"]), lambda got: got.view("u4")),
    "objects": (lambda: np.array(["a", 1], object), lambda got: got),
    "matrix": (lambda: scipy.sparse.csr_matrix(2 * np.eye(3)), lambda got: got.data),
    "sparse array": (lambda: scipy.sparse.csr_array(2 * np.eye(3)), lambda got: got.data),
    "frame": (lambda: pd.DataFrame({"a": [1.0, 2]}), lambda got: got._get_column_array(0)),
    "wide frame": (
        lambda: pd.DataFrame(np.zeros((2, 1_001))),
        lambda got: got._mgr.blocks[0].values,
    ),
    "nullable": (lambda: pd.Series([5, None], dtype="Int64"), lambda got: got.array._data),
    "zone": (
        lambda: pd.Series(pd.date_range("2020", periods=3, tz="UTC")),
        lambda got: got.array._ndarray.view("i8"),
    ),
}


@pytest.mark.parametrize("pickles", ["allow", "refuse"])
@pytest.mark.parametrize("name", WRITABLE)
def test_a_copy_is_written_and_the_stored_value_stays(node, name: str, pickles: str) -> None:
    make, array_of = WRITABLE[name]
    with vineyard.connect(node.socket, pickle=pickles) as client:
        object_id = client.put(make())
        got, other = client.get(object_id, copy=True), client.get(object_id, copy=True)
        array = array_of(got)
        array[...] = 1
        assert (array_of(got) == 1).all()
        assert not (array_of(other) == 1).all()
        if isinstance(make(), bytes):
            assert bytes(client.get(object_id)) == make()
        else:
            assert not (array_of(client.get(object_id)) == 1).all()


def test_a_frame_that_is_a_copy_is_written_in_place(ipc_client) -> None:
    got = ipc_client.get(ipc_client.put(pd.DataFrame({"a": [1.0, 2]})), copy=True)
    before = got._get_column_array(0)
    with pd.option_context("mode.copy_on_write", True):
        got.loc[0, "a"] = 5.0
    assert np.shares_memory(before, got._get_column_array(0))


def test_resolvers_of_the_user_are_told(ipc_client) -> None:
    def resolver(obj: Any, **kwargs: Any) -> Any:
        return kwargs.get("copy", False)

    object_id = ipc_client.put([1])
    with vineyard.core.resolver.resolver_context({"vineyard::Sequence": resolver}):
        assert ipc_client.get(object_id, copy=True) is True
        assert ipc_client.get(object_id) is False


LARGE: dict[str, Callable[[], Any]] = {
    "array": lambda: np.ones(SIZE_BYTES // 8),
    "Fortran": lambda: np.ones((2, SIZE_BYTES // 16), order="F"),
    "dict": lambda: {"a": np.ones(SIZE_BYTES // 16), "b": np.ones(SIZE_BYTES // 16)},
    "list": lambda: [np.ones(SIZE_BYTES // 16), np.zeros(SIZE_BYTES // 16)],
    "frame": lambda: pd.DataFrame({at: np.ones(SIZE_BYTES // 32) for at in range(4)}),
    "wide frame": lambda: pd.DataFrame(np.ones((SIZE_BYTES // 8 // 2_000, 2_000))),
    "categories": lambda: pd.Series(pd.Categorical.from_codes(np.zeros(SIZE_BYTES, "i1"), ["a"])),
    "table": lambda: pa.table({"a": np.ones(SIZE_BYTES // 8)}),
    "bytes": lambda: bytes(SIZE_BYTES),
}


def memory(key: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{key}:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) << 10


@pytest.mark.parametrize("name", LARGE)
def test_a_copy_is_made_once(ipc_client, name: str) -> None:
    object_id = ipc_client.put(LARGE[name]())
    # Mapped pages count as well, so they are touched before.
    for buffer in buffers_of(ipc_client.get(object_id)):
        np.frombuffer(buffer, "u1")[::4096].max()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    got = ipc_client.get(object_id, copy=True)
    above = memory("VmHWM") - before
    assert above < 1.4 * SIZE_BYTES, f"{above >> 20} MB for {SIZE_BYTES >> 20}"
    ipc_client.delete(object_id)
    del got
