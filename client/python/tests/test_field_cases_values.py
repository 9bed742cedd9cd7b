"""Values that other stores and libraries lost, as public reports say: one test for each kind.

The numbers are the rows of the project's list of field cases; other files have tests of rows too.
What is got is compared strictly, put once more inside other values, and got again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.sparse
from data_equal import assert_same

MIB = 1 << 20
ROWS = range(1, 34)


def test_every_row_has_a_test_of_its_number() -> None:
    """Here or in another file: `test_row_7_...`, or `test_rows_8_and_9_...`."""
    texts = [file.read_text() for file in Path(__file__).parent.glob("test_*.py")]
    named = re.findall(r"^def test_rows?_(\d+)(?:_and_(\d+))?_", "\n".join(texts), re.MULTILINE)
    assert {int(number) for numbers in named for number in numbers if number} == set(ROWS)


def trips(client: Any, value: Any) -> list[Any]:
    """The value as it is got alone, inside a dict, and again after it was got."""
    alone = client.get(client.put(value))
    nested = client.get(client.put({"in": [value]}))["in"][0]
    again = client.get(client.put({"in": alone}))["in"]
    return [alone, nested, again, client.get(client.put(nested))]


def used(client: Any, value: Any) -> int:
    """How many bytes of the store a value takes."""
    before = client.status.memory_usage
    client.put(value)
    return client.status.memory_usage - before


SLICES: dict[str, Callable[[pa.Table], Any]] = {
    "array": lambda table: table["x"].chunk(0)[5:15],
    "chunked": lambda table: table["x"][5:15],
    "batch": lambda table: table.to_batches()[0].slice(5, 10),
    "table": lambda table: table.slice(5, 10),
    "scalar": lambda table: table["s"][7],
    "struct": lambda table: table["s"].chunk(0)[5:15],
    "series": lambda table: pd.Series(pd.arrays.ArrowExtensionArray(table["x"]))[5:15],
    "frame": lambda table: pd.DataFrame({"x": pd.arrays.ArrowExtensionArray(table["x"])})[5:15],
    "categories": lambda table: pd.Series(pd.arrays.ArrowExtensionArray(table["s"]))[5:15],
}


@pytest.mark.parametrize("name", SLICES)
def test_row_2_a_slice_takes_its_rows_alone(fresh_node, name: str) -> None:
    import vineyard

    client = vineyard.connect(fresh_node.socket)
    numbers = pa.array(np.ones(1 << 20))
    structs = pa.StructArray.from_arrays([numbers], ["a"])
    value = SLICES[name](pa.table({"x": numbers, "s": structs}))
    for put in (value, {"in": value}, [{"in": value}]):
        assert used(client, put) < MIB
    assert_same(value, client.get(client.put({"in": value}))["in"])


def test_row_2_also_beside_functions_of_this_module(fresh_node) -> None:
    import vineyard

    pytest.importorskip("cloudpickle")
    client = vineyard.connect(fresh_node.socket)
    table = pa.table({"x": np.ones(1 << 20)}).slice(5, 10)
    records = np.rec.array(np.zeros(1000, [("a", "i8")]))
    value = {"table": table, "function": lambda: 7, "records": records}
    assert used(client, value) < MIB
    got = client.get(client.put(value))
    assert_same(table, got["table"])
    assert got["function"]() == 7
    assert not got["records"].flags.writeable


def test_row_3_rows_without_columns_are_counted(ipc_client) -> None:
    batch = pa.RecordBatch.from_pydict({"a": range(5)}).select([])
    noted = batch.replace_schema_metadata({"k": "v"})
    tables = [pa.table({"a": range(5)}).select([]), pa.Table.from_batches([noted])]
    for value in (batch, noted, *tables):
        for got in trips(ipc_client, value):
            assert (type(got), got.num_rows) == (type(value), 5)
            assert got.schema.equals(value.schema, check_metadata=True)
    frame = pl.DataFrame({"a": range(5)}).select([])
    for got in trips(ipc_client, frame):
        assert got.shape == frame.shape


_VECTOR = pa.list_(pa.field("item", pa.float32(), nullable=False, metadata={"k": "v"}), 2)
_SORTED = pa.map_(pa.string(), pa.int64(), keys_sorted=True)
_NAMED = pa.map_(pa.field("k", pa.string(), nullable=False), pa.field("v", pa.list_(_VECTOR)))
ARROW_TYPES = {
    "vector": (_VECTOR, [[1, 2]]),
    "vectors": (pa.list_(_VECTOR), [[[1, 2], [3, 4]]]),
    "vector_of_vectors": (pa.list_(_VECTOR, 1), [[[1, 2]]]),
    "sorted_map": (_SORTED, [[("a", 1)]]),
    "named_map": (_NAMED, [[("a", [[1, 2]])]]),
    "struct": (pa.struct([pa.field("v", _VECTOR), pa.field("m", _SORTED)]), [None]),
    "categories": (pa.dictionary(pa.int8(), pa.string(), ordered=True), ["a"]),
}


@pytest.mark.parametrize("name", ARROW_TYPES)
def test_rows_8_and_9_arrow_types_keep_every_detail(ipc_client, name: str) -> None:
    kind, items = ARROW_TYPES[name]
    array = _of_type(kind, items)
    kind = array.type
    table = pa.table([array], pa.schema([pa.field("x", kind)]))
    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))
    values = [array, pa.chunked_array([array])]
    if name != "named_map":
        # Schemas are stored as Arrow's own format has them, without names of entries of a map.
        values += [table, table.to_batches()[0]]
    for value in values:
        for got in trips(ipc_client, value):
            assert said(kind_of(got)) == said(kind), name
    for value in (kind, pa.field("x", kind), table.schema):
        got = ipc_client.get(ipc_client.put({"in": value}))["in"]
        assert said(kind_of(got)) == said(kind)
    for got in trips(ipc_client, column):
        assert said(got.dtype.pyarrow_dtype) == said(kind)


def _of_type(kind: pa.DataType, items: list[Any]) -> pa.Array:
    if pa.types.is_fixed_size_list(kind) and not kind.value_field.nullable:
        values = pa.array([1, 2], kind.value_type)
        return pa.FixedSizeListArray.from_arrays(values, type=kind)
    try:
        return pa.array(items, kind)
    except pa.ArrowNotImplementedError:
        return pa.nulls(1, kind)


def kind_of(value: Any) -> pa.DataType:
    if isinstance(value, pa.DataType):
        return value
    if hasattr(value, "schema"):
        return value.schema.field(0).type
    if isinstance(value, pa.Schema):
        return value.field(0).type
    return value.type


def said(kind: pa.DataType) -> Any:
    """All that a type says of itself, in depth."""
    fields = [kind.field(at) for at in range(kind.num_fields)]
    if pa.types.is_map(kind):
        fields = [kind.key_field, kind.item_field]
    below = [(f.name, f.nullable, f.metadata, said(f.type)) for f in fields]
    return str(kind), getattr(kind, "keys_sorted", None), getattr(kind, "ordered", None), below


def test_row_9_polars_arrays_keep_their_type(ipc_client) -> None:
    kind = pl.Enum(["a", "b"])
    for inner in (pl.Array(kind, 2), pl.List(kind), pl.Struct({"e": kind}), pl.Array(pl.Int8, 2)):
        items: Any = {"e": "a"} if isinstance(inner, pl.Struct) else ["a", "b"]
        series = pl.Series("s", [[1, 2] if inner == pl.Array(pl.Int8, 2) else items], dtype=inner)
        for value in (series, series.to_frame()):
            for got in trips(ipc_client, value):
                assert_same(value, got)


def test_row_10_polars_columns_of_objects_come_back(ipc_client) -> None:
    series = pl.Series("o", [{1}, None, "x"], dtype=pl.Object)
    frame = pl.DataFrame([series, pl.Series("n", [1, 2, 3])])
    for got in trips(ipc_client, frame):
        assert got.schema == frame.schema
        assert got["o"].to_list() == [{1}, None, "x"]
    for got in trips(ipc_client, series):
        assert (got.name, got.dtype, got.to_list()) == ("o", pl.Object, [{1}, None, "x"])


def test_row_11_categories_inside_polars_lists_come_back(ipc_client) -> None:
    for kind in (pl.Enum(["a"]), pl.Categorical()):
        for value in (
            pl.DataFrame({"l": pl.Series([["a"], None], dtype=pl.List(kind))}),
            pl.DataFrame({"s": pl.Series([{"x": "a"}], dtype=pl.Struct({"x": kind}))}),
            pl.Series("l", [["a"]], dtype=pl.List(kind)),
        ):
            for got in trips(ipc_client, value):
                assert_same(value, got)


DTYPES = {
    "out_of_order": np.dtype([("a", "i4"), ("b", "f8"), ("c", "S5")])[["c", "a"]],
    "overlapping": np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]}),
    "nested_overlap": np.dtype(
        [("x", {"names": ["a", "b"], "formats": ["i4"] * 2, "offsets": [4, 0]})]
    ),
    "aligned": np.dtype("i1, i4", align=True),
    "nested_aligned": np.dtype([("x", np.dtype("i1, i4", align=True))]),
    "big_longdouble": np.dtype(">g"),
    "big_clongdouble": np.dtype(">G"),
    "big_half": np.dtype(">e"),
    "named_bytes": np.dtype(("i4", {"low": ("i2", 0), "high": ("i2", 2)})),
    "record": np.dtype((np.record, [("a", "i4")])),
    "subarray": np.dtype([("a", "i4", (2,)), ("b", np.dtype("i1, i4", align=True), (1, 2))]),
    "metadata": np.dtype("i4", metadata={"a": 1}),
    "field_metadata": np.dtype([("a", np.dtype("i4", metadata={"a": 1}))]),
    "titles": np.dtype([(("title", "a"), "i4"), ("b", "M8[us]")]),
    "empty": np.dtype([]),
}


@pytest.mark.parametrize("name", DTYPES)
def test_rows_12_and_28_dtypes_keep_every_detail(ipc_client, name: str) -> None:
    from vineyard.data._dtypes import same

    dtype = DTYPES[name]
    for value in (np.zeros(3, dtype), np.zeros((2, 3), dtype, "F"), np.zeros(6, dtype)[::2]):
        for got in trips(ipc_client, value):
            assert same(got.dtype, value.dtype), (got.dtype, value.dtype)
            assert (type(got), got.shape) == (type(value), value.shape)
            assert repr(got.tolist()) == repr(value.tolist())
    got = ipc_client.get(ipc_client.put({"in": dtype}))["in"]
    assert same(got, dtype)


class Name(bytes):
    """A subclass of bytes, of this module."""


def test_row_13_subclasses_of_bytes_come_back_as_themselves(ipc_client) -> None:
    for value in (np.bytes_(b"a\0b"), Name(b"a")):
        for got in (*trips(ipc_client, value), ipc_client.get(ipc_client.put([value]))[0]):
            assert (type(got), got) == (type(value), value)


VIEWS = {
    "string_view": (pa.list_(pa.string_view()), [["a", "longer than twelve bytes"], None]),
    "binary_view": (pa.list_(pa.binary_view()), [[b"a"]]),
    "list_view": (pa.list_(pa.list_view(pa.int64())), [[[1, 2]], None]),
    "struct": (pa.list_(pa.struct([("v", pa.string_view())])), [[{"v": "a"}]]),
    "large": (pa.large_list(pa.list_(pa.string_view())), [[["a"]]]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_row_14_lists_of_views_come_back(ipc_client, name: str) -> None:
    kind, items = VIEWS[name]
    value = pa.array(items, kind)
    for got in trips(ipc_client, value):
        assert got.type == kind
        assert got.to_pylist() == items
    for got in trips(ipc_client, pa.table({"x": value})):
        assert got.column(0).to_pylist() == items


def texts() -> list[Any]:
    storages = [pd.StringDtype("python"), pd.StringDtype("pyarrow")]
    if pd.__version__ >= "3":
        storages += [pd.StringDtype(storage, np.nan) for storage in ("python", "pyarrow")]
    return storages


@pytest.mark.parametrize("dtype", texts(), ids=repr)
def test_row_15_text_keeps_its_storage(ipc_client, dtype) -> None:
    text = pd.array(["a", "b", None], dtype=dtype)
    categories = pd.Categorical.from_codes([0, 1, -1], pd.Index(text[:2], name="n"))
    for got in trips(ipc_client, pd.Series(categories)):
        assert same_text(got.cat.categories.dtype, dtype)
    for got in trips(ipc_client, pd.CategoricalIndex(categories)):
        assert same_text(got.categories.dtype, dtype)
    levels = pd.MultiIndex.from_arrays([text, [1, 2, 3]])
    for got in trips(ipc_client, levels):
        assert same_text(got.levels[0].dtype, dtype)
    for value in (pd.Series(text), pd.DataFrame({"a": text}), pd.Index(text), text):
        for got in trips(ipc_client, value):
            held = got["a"] if isinstance(got, pd.DataFrame) else got
            assert same_text(held.dtype, dtype)
            assert_same(value, got)


def same_text(one: Any, other: Any) -> bool:
    missing = (one.na_value is pd.NA, other.na_value is pd.NA)
    return one.storage == other.storage and missing[0] == missing[1]


def missing_levels() -> pd.MultiIndex:
    frame = pd.DataFrame({"a": [np.nan, 1], "b": [1, 1], "n": [0, 1]})
    return frame.groupby(["a", "b"], dropna=False).n.sum().index


def test_row_16_levels_that_are_missing_keep_their_codes(ipc_client) -> None:
    index = missing_levels()
    for got in trips(ipc_client, index):
        assert [list(codes) for codes in got.codes] == [list(codes) for codes in index.codes]
        assert [list(map(repr, level)) for level in got.levels] == [
            list(map(repr, level)) for level in index.levels
        ]
        assert got.equals(index)


def test_row_17_columns_are_found_by_place(ipc_client) -> None:
    missing = pd.DataFrame({"a": [np.nan, 1], "b": [1, 1], "d": [1, np.nan], "n": [0, 1]})
    index = missing.groupby(["a", "b", "d"], dropna=False).n.sum().index
    for columns in (index, pd.Index([np.nan, np.nan]), pd.Index(["a", "a"])):
        frame = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=columns)
        for got in trips(ipc_client, frame):
            assert got.to_numpy().tolist() == [[1, 2.5], [3, 4.5]]
            assert list(map(repr, got.columns)) == list(map(repr, columns))


def test_row_18_flags_and_attributes_come_back(ipc_client) -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]}).set_flags(allows_duplicate_labels=False)
    frame.attrs = {"unit": np.arange(3), 1: [frame.index]}
    for value in (frame, frame["a"], frame[["a"]]):
        value.attrs = frame.attrs
        for got in trips(ipc_client, value):
            assert got.flags.allows_duplicate_labels is False
            assert got.attrs["unit"].tolist() == [0, 1, 2]
            assert list(got.attrs[1][0]) == [0]


def test_row_19_text_that_utf8_cannot_carry_comes_back(ipc_client) -> None:
    text = pd.array(["\ud800", None, "a"], dtype="string[python]")
    for value in (pd.Series(text), pd.DataFrame({"a": text}), pd.Index(text), text):
        for got in trips(ipc_client, value):
            assert_same(value, got)


@pytest.mark.parametrize("kind", ["bsr", "coo", "csc", "csr", "dia"])
@pytest.mark.parametrize("family", ["matrix", "array"])
def test_row_21_indices_keep_their_dtype(ipc_client, kind: str, family: str) -> None:
    matrix = getattr(scipy.sparse, f"{kind}_{family}")(np.eye(3))
    names = {"coo": ("row", "col"), "dia": ("offsets",)}.get(kind, ("indices", "indptr"))
    for name in names:
        setattr(matrix, name, getattr(matrix, name).astype("i8"))
    for got in trips(ipc_client, matrix):
        assert type(got) is type(matrix)
        assert (got.toarray() == matrix.toarray()).all()
        for name in names:
            index = getattr(got, name)
            assert index.dtype == getattr(matrix, name).dtype
            assert not index.flags.writeable, "a copy"


class Tagged(np.ndarray):
    """An array of a class of this module."""


SUBCLASSES: dict[str, Callable[[], Any]] = {
    "recarray": lambda: np.rec.array(np.zeros(1000, [("a", "i8"), ("b", "f4")])),
    "matrix": lambda: np.asmatrix(np.arange(1000.0).reshape(10, 100)),
    "fortran_matrix": lambda: np.asmatrix(np.asfortranarray(np.ones((10, 100)))),
    "masked": lambda: np.ma.masked_less(np.arange(1000.0), 5),
    "hard_masked": lambda: np.ma.array(np.arange(1000), mask=[True] * 1000, hard_mask=True),
    "unmasked": lambda: np.ma.array(np.arange(1000), fill_value=7),
    "masked_records": lambda: np.ma.array(np.zeros(100, "i8, f8"), mask=[(True, False)] * 100),
    "own": lambda: np.arange(1000).view(Tagged),
    "own_strided": lambda: np.arange(1000).view(Tagged)[::2],
}


@pytest.mark.parametrize("name", SUBCLASSES)
def test_row_24_subclasses_of_arrays_are_views(ipc_client, name: str) -> None:
    value = SUBCLASSES[name]()
    for got in trips(ipc_client, value):
        assert (type(got), got.dtype, got.shape) == (type(value), value.dtype, value.shape)
        assert repr(got.tolist()) == repr(value.tolist())
        assert not got.flags.writeable, "a copy"
        assert got.flags.f_contiguous == value.flags.f_contiguous or not value.flags.forc
    if isinstance(value, np.ma.MaskedArray):
        got = ipc_client.get(ipc_client.put(value))
        assert (got.fill_value, got.hardmask) == (value.fill_value, value.hardmask)
        assert (np.ma.getmask(got) is np.ma.nomask) == (np.ma.getmask(value) is np.ma.nomask)


def test_row_24_a_mapped_file_is_a_view(ipc_client, tmp_path) -> None:
    value = np.memmap(tmp_path / "file", "i8", "w+", shape=(1000,))
    value[:] = np.arange(1000)
    for got in trips(ipc_client, value):
        assert type(got) is np.memmap
        assert not got.flags.writeable
        assert got.tolist() == value.tolist()


def test_row_24_arrays_of_objects_come_back_as_their_class(ipc_client) -> None:
    itself = np.empty(2, object)
    itself[:] = [{"a": 1}, itself]
    got = ipc_client.get(ipc_client.put({"in": itself}))["in"]
    assert got[1] is got
    assert got[0] == {"a": 1}
    masked = np.ma.array([{1}, None], mask=[False, True], dtype=object)
    assert repr(ipc_client.get(ipc_client.put(masked))) == repr(masked)


SCALARS = {
    "run_end": lambda: pc.run_end_encode(pa.array([1, 1]))[0],
    "interval": lambda: pa.scalar((1, 2, 3), pa.month_day_nano_interval()),
    "tensor": lambda: pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int8(), (2,)), pa.array([[1, 2]], pa.list_(pa.int8(), 2))
    )[0],
    "null_tensor": lambda: pa.nulls(1, pa.fixed_shape_tensor(pa.int8(), (2,)))[0],
    "categories": lambda: pa.array(["a"]).dictionary_encode()[0],
    "list": lambda: pa.array([[1, None]])[0],
    "sorted_map": lambda: pa.array([[("a", 1)]], _SORTED)[0],
    "union": lambda: pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
    )[1],
    "nanoseconds": lambda: pa.array([1], pa.timestamp("ns", "UTC"))[0],
    "nan": lambda: pa.scalar(float("nan")),
    "null": lambda: pa.scalar(None),
    "view": lambda: pa.array(["longer than twelve bytes"], pa.string_view())[0],
}


@pytest.mark.parametrize("name", SCALARS)
def test_row_31_arrow_scalars_come_back(ipc_client, name: str) -> None:
    value = SCALARS[name]()
    for got in trips(ipc_client, value):
        assert (type(got), said(got.type)) == (type(value), said(value.type))
        assert repr(got) == repr(value) or got.equals(value)


RUNS = pc.run_end_encode(pa.array([1, 1, 2]))
RARE_LISTS = {
    "runs": lambda: pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), RUNS),
    "no_lists": lambda: pa.ListArray.from_arrays(pa.array([0], pa.int32()), RUNS[:0]),
    "nested": lambda: pa.ListArray.from_arrays(
        pa.array([0, 2], pa.int32()),
        pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), RUNS),
    ),
    "sliced": lambda: pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), RUNS)[1:],
    "in_struct": lambda: pa.StructArray.from_arrays([RUNS], ["r"])[1:],
}


@pytest.mark.parametrize("name", RARE_LISTS)
def test_row_31_lists_of_runs_come_back(ipc_client, name: str) -> None:
    value = RARE_LISTS[name]()
    for put in (value, pa.table({"x": value})):
        for got in trips(ipc_client, put):
            array = got if isinstance(got, pa.Array) else got.column(0)
            assert array.type == value.type
            assert array.to_pylist() == value.to_pylist()


def test_row_31_polars_arrays_without_items_come_back(ipc_client) -> None:
    for inner in (pl.Int8, pl.Enum(["a"])):
        value = pl.Series("z", [[], None], dtype=pl.Array(inner, 0))
        for put in (value, value.to_frame()):
            for got in trips(ipc_client, put):
                assert_same(put, got)
