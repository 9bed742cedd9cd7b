"""Values of every type of docs/python-types.md, inside each other to a depth of three, come back as
they were put, and so does what was got when it is put again.

`VINEYARD_EXAMPLES` says how many examples are tried, 200 without it. A failure prints the example;
`pytest --hypothesis-seed=SEED` repeats it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import vineyard
from data_cases import CASES
from data_equal import assert_same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_data_properties import array_dtypes, arrow_types, arrow_values, column_makers, leaves
from test_data_types import ROWS_WITH_A_TEST_OF_THEIR_OWN, documented_rows

many = settings(
    max_examples=int(os.environ.get("VINEYARD_EXAMPLES", "200")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

cases = st.sampled_from(sorted(CASES)).map(lambda name: CASES[name][1]())


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """numpy arrays of any dtype, also strided, in Fortran order, and as subclasses."""
    array = draw(hnp.arrays(draw(array_dtypes), hnp.array_shapes(min_dims=0, max_side=4)))
    if array.ndim and draw(st.booleans()):
        array = array[::-2]
    form = draw(st.sampled_from(["plain", "fortran", "masked", "records", "matrix"]))
    if form == "fortran":
        return np.asfortranarray(array)
    if form == "masked":
        return np.ma.array(array, mask=np.zeros(array.shape, "?"))
    if form == "records" and array.dtype.names:
        return array.view(np.recarray)
    return np.asmatrix(array) if form == "matrix" and array.ndim == 2 else array


@st.composite
def columns(draw: st.DrawFn, size: int) -> Any:
    """One column of a frame."""
    items, make = column_makers[draw(st.sampled_from(sorted(column_makers)))]
    return make(draw(st.lists(items, min_size=size, max_size=size)))


@st.composite
def frames(draw: st.DrawFn) -> Any:
    """Frames, series and indexes, also sliced, with labels that may be equal."""
    size = draw(st.integers(0, 5))
    width = draw(st.integers(0, 3))
    labels = draw(st.lists(st.sampled_from(["a", "b", 1]), min_size=width, max_size=width))
    frame = pd.DataFrame({at: draw(columns(size)) for at in range(width)}, index=range(size))
    frame.columns = pd.Index(labels, dtype=object)
    frame = frame.iloc[draw(st.integers(0, 2)) :]
    if width and draw(st.booleans()):
        return frame.iloc[:, 0]
    return frame


@st.composite
def arrow(draw: st.DrawFn) -> Any:
    """Arrow arrays, tables, scalars, types and schemas, also sliced."""
    kind = draw(arrow_types)
    array = pa.array(draw(st.lists(st.none() | arrow_values(kind), max_size=6)), kind)
    array = array[draw(st.integers(0, 3)) :]
    forms = [array, pa.table({"x": array}), pa.chunked_array([array], kind), kind]
    forms += [pa.table({"x": array}).schema, pa.field("x", kind), pa.scalar(None, kind)]
    return draw(st.sampled_from([*forms, *array[:1]]))


def objects(items: list[Any]) -> Any:
    """An array of objects."""
    array = np.empty(len(items), object)
    for at, item in enumerate(items):
        array[at] = item
    return array


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values with `inner` in them."""
    few = st.lists(inner, max_size=3)
    return st.one_of(
        few,
        few.map(tuple),
        st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3),
        few.map(objects),
        few.map(lambda items: pd.Series(objects(items), dtype=object)),
        few.map(lambda items: pd.DataFrame({"o": pd.Series(objects(items), dtype=object)})),
        inner.map(lambda item: pd.Series([1], name="s").pipe(with_attrs, {"k": item})),
    )


def with_attrs(series: pd.Series, attrs: dict[str, Any]) -> Any:
    series.attrs = attrs
    return series


flat = st.one_of(leaves, cases, arrays(), frames(), arrow())
values = st.one_of(flat, nested(flat), nested(nested(flat)), nested(nested(nested(flat))))


def same(put: Any, got: Any) -> None:
    """As `assert_same`, but for what docs/python-types.md says is equal, in depth."""
    if isinstance(put, bytes | memoryview | pa.Buffer):
        assert bytes(got) == bytes(put)
    elif isinstance(put, pa.StringArray):
        assert got.cast(put.type).equals(put)
    elif isinstance(put, pa.Array | pa.ChunkedArray | pa.Scalar):
        assert text_of(got) == text_of(put)
        assert got.type == put.type
    elif isinstance(put, pa.RecordBatch | pa.Table):
        assert got.schema.equals(put.schema, check_metadata=True)
        try:
            items = put.to_pydict()
        except OverflowError:
            # Python has no such date.
            assert got.equals(put)
        else:
            assert repr(got.to_pydict()) == repr(items)
    elif isinstance(put, np.ma.MaskedArray):
        assert (type(got), got.dtype, repr(got)) == (type(put), put.dtype, repr(put))
    elif isinstance(put, np.ndarray) and put.dtype.kind == "O":
        assert put.shape == got.shape
        for one, other in zip(put.reshape(-1), got.reshape(-1), strict=True):
            same(one, other)
    elif isinstance(put, pd.Series | pd.DataFrame):
        same_frame(put, got)
    elif scipy.sparse.issparse(put):
        # Some kinds of old scipy are dicts as well.
        assert_same(put, got)
    elif isinstance(put, dict):
        assert list(put) == list(got)
        for key, item in put.items():
            same(item, got[key])
    elif isinstance(put, list | tuple):
        assert isinstance(got, type(put))
        for one, other in zip(put, got, strict=True):
            same(one, other)
    else:
        assert_same(put, got)


def text_of(value: Any) -> str:
    """What an Arrow value prints, also if Python has no such date."""
    try:
        return str(value)
    except OverflowError:
        return str(pa.repeat(value, 1))


def same_frame(put: Any, got: Any) -> None:
    """Frames and series, whose items may be anything."""
    assert type(put) is type(got)
    assert put.shape == got.shape
    assert put.index.equals(got.index)
    same(put.attrs, got.attrs)
    pairs = [(put, got)]
    if isinstance(put, pd.DataFrame):
        assert put.columns.equals(got.columns)
        pairs = [(put.iloc[:, at], got.iloc[:, at]) for at in range(put.shape[1])]
    for one, other in pairs:
        if isinstance(one.dtype, pd.SparseDtype) and one.dtype != other.dtype:
            # Columns of a frame that is not inside another value.
            one = one.sparse.to_dense()
        assert one.dtype == other.dtype
        if one.dtype == object:
            same(one.to_numpy(), other.to_numpy())
        else:
            pd.testing.assert_extension_array_equal(
                pd.array(one), pd.array(other), check_exact=True
            )


@many
@given(value=values)
def test_a_value_of_any_type_comes_back_from_inside_others(ipc_client, value) -> None:
    object_ids = [ipc_client.put(value)]
    got = ipc_client.get(object_ids[0])
    same(value, got)
    object_ids += [ipc_client.put(got), ipc_client.put({"in": got})]
    same(value, ipc_client.get(object_ids[1]))
    same(value, ipc_client.get(object_ids[2])["in"])
    # Many of them slow the node.
    ipc_client.delete(object_ids)


@many
@given(value=values)
def test_without_pickles_it_is_the_same_or_refused_by_a_name(node, ipc_client, value) -> None:
    refusing = vineyard.connect(node.socket, pickle="refuse")
    object_id = ipc_client.put(value)
    try:
        got = refusing.get(object_id)
    except vineyard.PickleRefused as error:
        assert error.name
        return
    same(value, got)


def test_the_strategies_have_every_row() -> None:
    rows = {row for row, _ in CASES.values()} | ROWS_WITH_A_TEST_OF_THEIR_OWN
    assert rows == documented_rows()
    with pytest.raises(AssertionError):
        same([np.arange(3)], [np.arange(3.0)])


def test_dates_that_python_has_not_come_back_inside_scalars(ipc_client) -> None:
    # Not explicit examples: hypothesis prints those, and they cannot be printed.
    struct = pa.array([{"a": 2**62}], pa.struct([("a", pa.timestamp("us"))]))[0]
    for value in (struct, pa.array([[2**62]], pa.list_(pa.timestamp("us")))[0], [struct]):
        same(value, ipc_client.get(ipc_client.put(value)))
