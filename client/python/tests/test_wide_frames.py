"""Frames of more than 1,000 columns: one block if they have one numpy dtype, else as others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from counting import calls
from data_equal import assert_same
from vineyard.data import wide

COLUMNS = 1_001
ROWS = 3
KINDS = ("?", "i1", "i8", "u2", "u8", "f2", "f4", "f8", ">f8", "c16", "M8[ns]", "M8[s]", "m8[us]")
# Lengths are longer numbers in a wider frame, and libraries may work in a few more parts.
TREE_BYTES_MORE = 100
CALLS_MORE = 100


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


def nodes(tree: dict[str, Any]) -> int:
    """How many objects and blobs a tree has."""
    return 1 + sum(nodes(part) for part in tree.values() if isinstance(part, dict))


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a put and a get of a frame take, apart from copying its bytes."""

    put_calls: int
    get_calls: int
    nodes: int
    tree_bytes: int


def cost(client: Any, columns: int, labels: str, **options: Any) -> Cost:
    frame = pd.DataFrame(np.zeros((10, columns)))
    if labels == "text":
        # Of as many digits, whatever their number is.
        frame.columns = pd.Index([f"gene{at:06}" for at in range(columns)])
    made: list[Any] = []
    # The first put and get of a kind load what they need.
    loading = client.put(frame, **options)
    client.get(loading)
    put_calls = calls(lambda: made.append(client.put(frame, **options)))
    get_calls = calls(lambda: made.append(client.get(made[0])))
    tree = json.loads(json.dumps(client.get_meta(made[0])._tree()))
    client.delete([loading, made[0]])
    return Cost(put_calls, get_calls, nodes(tree), len(json.dumps(tree)))


@pytest.mark.parametrize("labels", ["range", "text"])
def test_row_23_the_cost_of_a_frame_does_not_grow_with_its_columns(ipc_client, labels: str) -> None:
    few, many = (cost(ipc_client, columns, labels) for columns in (2_000, 20_000))
    assert many.nodes == few.nodes
    assert many.tree_bytes < few.tree_bytes + TREE_BYTES_MORE
    assert many.put_calls < few.put_calls + CALLS_MORE
    assert many.get_calls < few.get_calls + CALLS_MORE


def test_the_cost_of_a_member_for_each_column_is_seen(ipc_client) -> None:
    """So that the test above could fail."""
    few, many = (cost(ipc_client, columns, "range", layout="columns") for columns in (1_100, 1_300))
    for field in dataclasses.fields(Cost):
        assert getattr(many, field.name) >= getattr(few, field.name) + 200, field.name
