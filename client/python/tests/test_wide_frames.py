"""Frames of more than 1,000 columns: one block if they have one numpy dtype, else as others."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_equal import assert_same
from vineyard.data import wide

COLUMNS = 1_001
ROWS = 3
KINDS = ("?", "i1", "i8", "u2", "u8", "f2", "f4", "f8", ">f8", "c16", "M8[ns]", "M8[s]", "m8[us]")
# The most that a put or get may cost, in puts and gets by pickle.
PICKLES_MAX = 20


def numbers(kind: Any = "f8", columns: int = COLUMNS) -> np.ndarray:
    return np.arange(ROWS * columns).reshape(ROWS, columns).astype("i8").astype(kind)


def labelled(labels: Any) -> pd.DataFrame:
    return pd.DataFrame(numbers(columns=len(labels)), columns=labels)


def grown() -> pd.DataFrame:
    """Of many blocks: columns that were inserted one by one."""
    frame = pd.DataFrame(numbers(columns=COLUMNS - 3))
    for at in range(3):
        frame[f"new{at}"] = float(at)
    return frame


def with_attrs() -> pd.DataFrame:
    frame = pd.DataFrame(numbers())
    frame.attrs = {"source": "x", "shape": (1, 2)}
    return frame


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    **{kind: lambda kind=kind: pd.DataFrame(numbers(kind)) for kind in KINDS},
    "in C order": lambda: pd.DataFrame(np.ascontiguousarray(numbers()), copy=False),
    "in Fortran order": lambda: pd.DataFrame(np.asfortranarray(numbers()), copy=False),
    "strided": lambda: pd.DataFrame(numbers(columns=2 * COLUMNS)[:, ::2], copy=False),
    "reversed": lambda: pd.DataFrame(numbers())[::-1],
    "of many blocks": grown,
    "no rows": lambda: pd.DataFrame(numbers())[:0],
    "one row": lambda: pd.DataFrame(numbers())[:1],
    "text labels": lambda: labelled([f"gene{at}" for at in range(COLUMNS)]),
    "named labels": lambda: labelled(pd.Index([f"g{at}" for at in range(COLUMNS)], name="n")),
    "string labels": lambda: labelled(
        pd.Index([f"g{at}" for at in range(COLUMNS)], dtype="string")
    ),
    "equal labels": lambda: labelled(["same"] * COLUMNS),
    "mixed labels": lambda: labelled([*range(COLUMNS - 3), None, "x", (1, "y")]),
    "labels of levels": lambda: labelled(
        pd.MultiIndex.from_product([range(7), list("abc"), range(50)], names=["x", None, "z"])
    ),
    "labels of times": lambda: labelled(pd.date_range("2020", periods=COLUMNS, tz="UTC")),
    "labels of categories": lambda: labelled(
        pd.CategoricalIndex([f"g{at % 7}" for at in range(COLUMNS)])
    ),
    "a text index": lambda: pd.DataFrame(numbers(), index=["a", "b", "c"]),
    "an index of levels": lambda: pd.DataFrame(
        numbers(), index=pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")])
    ),
    "a time index": lambda: pd.DataFrame(
        numbers(), index=pd.date_range("2020", periods=ROWS, freq="D", name="t")
    ),
    "attrs": with_attrs,
    "flags": lambda: pd.DataFrame(numbers()).set_flags(allows_duplicate_labels=False),
}
OTHERS: dict[str, Callable[[], pd.DataFrame]] = {
    "two dtypes": lambda: pd.DataFrame(numbers()).assign(last=1),
    "objects": lambda: pd.DataFrame(numbers().astype(object)),
    "text": lambda: pd.DataFrame(numbers().astype(str)),
    "nullable": lambda: pd.DataFrame(numbers("i8")).astype("Int64"),
    "zones": lambda: pd.DataFrame(
        {at: pd.date_range("2020", periods=ROWS, tz="UTC") for at in range(COLUMNS)}
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_wide_frame_of_one_dtype_is_one_block(client, name: str) -> None:
    frame = FRAMES[name]()
    object_id = client.put(frame)
    meta = client.get_meta(object_id)
    assert meta.typename.startswith("vineyard::WideFrame<")
    got = client.get(object_id)
    assert_same(frame, got)
    assert got.flags.allows_duplicate_labels == frame.flags.allows_duplicate_labels
    assert len(got._mgr.blocks) == 1
    again = client.get(client.put(got))
    assert_same(frame, again)
    assert_same([frame], client.get(client.put([frame])))


@pytest.mark.parametrize("name", OTHERS)
def test_other_wide_frames_have_a_member_for_each_column(client, name: str) -> None:
    frame = OTHERS[name]()
    object_id = client.put(frame)
    assert client.get_meta(object_id).typename == "vineyard::DataFrame"
    assert_same(frame, client.get(object_id))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_block_is_a_view_of_the_shared_memory(ipc_client, order: str) -> None:
    frame = pd.DataFrame(np.asarray(numbers(), order=order), copy=False)
    object_id = ipc_client.put(frame)
    first, second = ipc_client.get(object_id), ipc_client.get(object_id)
    assert np.shares_memory(first.to_numpy(), second.to_numpy())
    assert first._mgr.blocks[0].values.strides == frame._mgr.blocks[0].values.strides
    before = ipc_client.status.memory_usage
    ipc_client.put(first)
    assert ipc_client.status.memory_usage - before < frame.memory_usage(index=False).sum() / 2


@pytest.mark.parametrize("columns", [wide.COLUMNS_MAX, wide.COLUMNS_MAX + 1])
def test_the_layout_of_columns_is_that_of_the_released_package(client, columns: int) -> None:
    frame = pd.DataFrame(numbers(columns=columns))
    for layout in ("columns", None) if columns == wide.COLUMNS_MAX else ("columns",):
        meta = client.get_meta(client.put(frame, layout=layout))
        assert meta.typename == "vineyard::DataFrame"
        assert meta["__values_-size"] == columns
        assert_same(frame, client.get(meta.id))
    nested = client.get_meta(client.put([frame], layout="columns"))
    assert nested["__elements_-0"].typename == "vineyard::DataFrame"


def test_a_partition_of_a_global_frame_has_the_released_layout(client) -> None:
    frame = pd.DataFrame(numbers())
    meta = client.get_meta(client.put(frame, partition_index=[1, 2]))
    assert (meta.typename, meta["partition_index_row_"]) == ("vineyard::DataFrame", 1)


@pytest.mark.parametrize("layout", ["rows", "", "Columns", 5])
@pytest.mark.parametrize("columns", [1, COLUMNS])
def test_a_layout_that_does_not_exist_is_refused(client, layout: Any, columns: int) -> None:
    frame = pd.DataFrame(numbers(columns=columns))
    for value in (frame, [frame]):
        with pytest.raises(ValueError, match=r"the layout of a frame is 'auto' or 'columns', not"):
            client.put(value, layout=layout)


def seconds(call: Callable[[], Any], after: Callable[[Any], Any] = lambda made: None) -> float:
    """The shortest of several calls; `after` has the result of each, and is not timed."""
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        made = call()
        times.append(time.perf_counter() - begin)
        after(made)
    return min(times)


@pytest.mark.parametrize("labels", ["range", "text"])
def test_the_cost_of_a_frame_does_not_grow_with_its_columns(ipc_client, labels: str) -> None:
    frame = pd.DataFrame(np.zeros((100, 10_000)))
    if labels == "text":
        frame.columns = [f"gene{at}" for at in range(10_000)]
    pickled, object_id = pickle.dumps(frame, 5), ipc_client.put(frame)
    put = seconds(lambda: ipc_client.put(frame), ipc_client.delete)
    got = seconds(lambda: ipc_client.get(object_id))
    assert put < PICKLES_MAX * seconds(lambda: pickle.dumps(frame, 5))
    assert got < PICKLES_MAX * seconds(lambda: pickle.loads(pickled))
    ipc_client.delete(object_id)
