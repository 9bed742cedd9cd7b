"""Random numpy, pandas and Arrow values come back as they were put.

`VINEYARD_EXAMPLES` says how many examples are tried, 200 without it. A failure prints the example
and the seed: `pytest --hypothesis-seed=SEED` repeats it.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from data_equal import assert_same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra import pandas as hpd

modest = settings(
    max_examples=int(os.environ.get("VINEYARD_EXAMPLES", "200")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

array_dtypes = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.array_dtypes(allow_subarrays=False),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.binary(max_size=9),
)
containers = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=12,
)


def came_back(client: Any, value: Any) -> Any:
    """What is got of a value that was put. The object is deleted: many of them slow the node."""
    object_id = client.put(value)
    got = client.get(object_id)
    client.delete(object_id)
    return got


@modest
@given(value=containers)
def test_containers_come_back(ipc_client, value) -> None:
    assert_same(value, came_back(ipc_client, value))


def shape_of(value: object, seen: dict[int, int]) -> object:
    """The value with a number for each list, dict and array, the same wherever it occurs."""
    if not isinstance(value, list | dict | np.ndarray):
        return tuple(shape_of(item, seen) for item in value) if type(value) is tuple else value
    if id(value) in seen:
        return "seen", seen[id(value)]
    number = seen[id(value)] = len(seen)
    if isinstance(value, np.ndarray):
        return "array", number, value.tolist()
    if isinstance(value, dict):
        return "dict", number, [(key, shape_of(item, seen)) for key, item in value.items()]
    return "list", number, [shape_of(item, seen) for item in value]


def graph(sizes: list[int], within: list[int], links: list[list[int | str | None]]) -> list:
    """A list of lists, dicts, tuples and arrays that contain each other: a number among the items
    stands for the part of that number.
    """
    parts: list = [np.arange(size) for size in sizes]
    lists: list[list] = [[] for _ in links]
    parts += lists
    parts += [{"in": parts[at % len(parts)]} for at in within]
    parts.append((parts[0], lists[0]))
    for one, items in zip(lists, links, strict=True):
        one += [parts[at % len(parts)] if isinstance(at, int) else at for at in items]
    return lists[0]


@modest
@given(
    sizes=st.lists(st.sampled_from([0, 1, 20_000]), min_size=1, max_size=3),
    within=st.lists(st.integers(0, 9), max_size=2),
    links=st.lists(
        st.lists(st.integers(0, 9) | st.text(max_size=2) | st.none(), max_size=12),
        min_size=1,
        max_size=4,
    ),
)
def test_what_is_one_object_in_a_list_is_one_when_it_is_got(
    ipc_client, sizes, within, links
) -> None:
    value = graph(sizes, within, links)
    object_id = ipc_client.put(value)
    assert shape_of(ipc_client.get(object_id), {}) == shape_of(value, {})
    ipc_client.delete(object_id)


@modest
@given(data=st.data())
def test_numpy_arrays_come_back(ipc_client, data) -> None:
    dtype = data.draw(array_dtypes)
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    array = data.draw(hnp.arrays(dtype, shape))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    if array.ndim and data.draw(st.booleans()):
        array = array[::-2]
    assert_same(array, came_back(ipc_client, array))


times = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
column_makers = {
    "int": (st.integers(-(2**63), 2**63 - 1), lambda items: np.array(items, "i8")),
    "float": (st.floats(), lambda items: np.array(items, "f8")),
    "text": (texts, lambda items: np.array([*items, None], dtype=object)[:-1]),
    "string": (st.none() | texts, lambda items: pd.array(items, dtype="string")),
    "nullable": (
        st.none() | st.integers(-(2**63), 2**63 - 1),
        lambda items: pd.array(items, dtype="Int64"),
    ),
    "boolean": (st.none() | st.booleans(), lambda items: pd.array(items, dtype="boolean")),
    "category": (st.none() | texts, pd.Categorical),
    "time": (st.none() | times, lambda items: pd.DatetimeIndex(items).array),
    "zoned": (
        times,
        lambda items: pd.DatetimeIndex(items, tz="UTC").tz_convert("Asia/Tokyo").array,
    ),
    "sparse": (
        st.sampled_from([0, 0, 0, 1, 2]),
        lambda items: pd.arrays.SparseArray(items, dtype=int),
    ),
}
indexes = st.one_of(
    st.just(lambda size: pd.RangeIndex(size)),
    st.just(lambda size: pd.date_range("2020", periods=size, tz="UTC")),
    st.just(lambda size: pd.Index([f"r{at}" for at in range(size)], name="rows")),
    st.just(lambda size: pd.MultiIndex.from_arrays([range(size), ["x"] * size])),
)


@modest
@given(data=st.data())
def test_frames_come_back(ipc_client, data) -> None:
    size = data.draw(st.integers(0, 6))
    kinds = data.draw(st.lists(st.sampled_from(sorted(column_makers)), max_size=5))
    labels = data.draw(
        st.lists(texts | st.integers(-9, 9), min_size=len(kinds), max_size=len(kinds), unique=True)
    )
    index = data.draw(indexes)(size)
    columns = {}
    for label, kind in zip(labels, kinds, strict=True):
        items, make = column_makers[kind]
        columns[label] = make(data.draw(st.lists(items, min_size=size, max_size=size)))
    frame = pd.DataFrame(columns, index=index)
    assert_same(frame, came_back(ipc_client, frame))


@modest
@given(series=hpd.series(dtype=float, index=hpd.range_indexes(max_size=8)))
def test_series_come_back(ipc_client, series) -> None:
    assert_same(series, came_back(ipc_client, series))


def arrow_values(kind: pa.DataType) -> st.SearchStrategy:
    if pa.types.is_integer(kind):
        bits = kind.bit_width - 1
        return st.integers(-(2**bits), 2**bits - 1)
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return st.binary(max_size=20)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({f.name: st.none() | arrow_values(f.type) for f in kind})
    if pa.types.is_nested(kind):
        return st.lists(st.none() | arrow_values(kind.value_type), max_size=4)
    if pa.types.is_timestamp(kind):
        return st.integers(-(2**60), 2**60)
    return texts


flat_types = st.sampled_from(
    [
        *(pa.int8(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC")),
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
    ]
)
arrow_types = st.recursive(
    flat_types,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.tuples(inner, inner).map(lambda two: pa.struct([("a", two[0]), ("b", two[1])])),
    ),
    max_leaves=3,
)


@modest
@given(data=st.data())
def test_arrow_arrays_and_tables_come_back(ipc_client, data) -> None:
    kind = data.draw(arrow_types)
    items = data.draw(st.lists(st.none() | arrow_values(kind), max_size=20))
    array = pa.array(items, kind)
    begin = data.draw(st.integers(0, len(array)))
    array = array[begin : data.draw(st.integers(begin, len(array)))]
    got = came_back(ipc_client, array)
    if kind == pa.string():
        got = got.cast(kind)
    assert got.type == kind
    _assert_arrow_equal(array, got)
    table = pa.table({"x": array})
    again = came_back(ipc_client, table)
    assert again.schema == table.schema
    _assert_arrow_equal(pa.concat_arrays(table["x"].chunks or [array]), _whole(again["x"], kind))


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], kind)


def _assert_arrow_equal(put: pa.Array, got: pa.Array) -> None:
    """Equal, with NaN equal to itself."""
    got.validate(full=True)
    assert len(put) == len(got)
    try:
        items = put.to_pylist()
    except OverflowError:
        # Python has no such date.
        assert put.equals(got)
    else:
        assert repr(items) == repr(got.to_pylist())


def test_the_strategies_reach_every_kind_of_column() -> None:
    assert len(column_makers) == 10
    with pytest.raises(AssertionError):
        assert_same(np.arange(3), np.arange(3.0))
