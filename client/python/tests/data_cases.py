"""Values to put, by name: one or more for every row of the types table in docs/python-types.md.

Runs under the released client too, with the libraries that it takes (numpy 1.26, pandas 2.2).
Values are such that its single precision and its 64-bit integers hold them.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse

CASES: dict[str, tuple[str, Callable[[], Any]]] = {}


def case(row: str, name: str, make: Callable[[], Any]) -> None:
    assert name not in CASES, name
    CASES[name] = (row, make)


def values(row: str, **made: Callable[[], Any]) -> None:
    for name, make in made.items():
        case(row, f"{row} {name}", make)


values("int", zero=lambda: 0, negative=lambda: -7, largest=lambda: 2**63 - 1)
values("bool", true=lambda: True, false=lambda: False)
values("float", half=lambda: -1.5, zero=lambda: 0.0)
values("numpy.float64", half=lambda: np.float64(0.5))
values("str", empty=lambda: "", text=lambda: "é\u4e2d\N{GRINNING FACE}", nul=lambda: "a\0b")
values("tuple", nested=lambda: (1, ("a", 2.5), ()), mixed=lambda: (b"x", np.arange(3.0), None))
values("list", plain=lambda: [1, None, "a"], empty=lambda: [])
values(
    "bytes",
    plain=lambda: b"abc",
    empty=lambda: b"",
    memoryview=lambda: memoryview(b"abc"),
    arrow=lambda: pa.py_buffer(b"abc"),
)
values(
    "plain",
    none=lambda: None,
    dict=lambda: {"a": np.arange(5.0), "b": [1, 2], None: "x"},
    set=lambda: {1, 2},
    bytearray=lambda: bytearray(b"xy"),
    complex=lambda: 1 + 2j,
    scalar=lambda: np.int8(3),
    date=lambda: datetime.date(2020, 1, 2),
    decimal=lambda: decimal.Decimal("1.50"),
)
values(
    "object",
    fraction=lambda: fractions.Fraction(1, 3),
    path=lambda: pathlib.PurePosixPath("/a/b"),
    in_a_dict=lambda: {"a": fractions.Fraction(1, 3)},
)

NUMPY_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble"),
    *("M8[ns]", "M8[us]", "M8[s]", "M8[D]", "m8[ns]", "m8[s]", ">i4", ">f8"),
)
for dtype in NUMPY_DTYPES:
    values(
        "numpy.ndarray",
        **{
            dtype: lambda dtype=dtype: np.arange(12).astype("i8").astype(dtype),
            f"{dtype} fortran": lambda dtype=dtype: np.asfortranarray(
                np.arange(12).astype("i8").astype(dtype).reshape(3, 4)
            ),
        },
    )
values(
    "numpy.ndarray",
    strided=lambda: np.arange(20.0)[::3],
    empty=lambda: np.zeros((0, 3)),
    zero_dim=lambda: np.array(1.5),
    four_dim=lambda: np.arange(24).reshape(1, 2, 3, 4),
)
values(
    "numpy text",
    unicode=lambda: np.array(["", "é", "abc"]),
    unicode_2d=lambda: np.array([["a", "bc"], ["d", ""]]),
    objects=lambda: np.array(["a", "bc"], dtype=object),
    surrogate=lambda: np.array(["\ud800a"]),
)
values(
    "numpy object",
    mixed=lambda: np.array([1, "x", None, (1, 2)], dtype=object),
    zero_dim=lambda: np.ones((), dtype=object),
    empty=lambda: np.array([], dtype=object),
)
values("numpy bytes", plain=lambda: np.array([b"a", b"bc"]), fixed=lambda: np.zeros(2, "V3"))
values(
    "numpy structured",
    flat=lambda: np.array([(1, 2.5, b"x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "S2")]),
    nested=lambda: np.zeros(
        2, dtype=np.dtype([("a", "i1"), ("b", [("c", "i8", (2,))])], align=True)
    ),
)

_MATRIX = np.array([[1.0, 0, 2, 0], [0, 0, 3, 0], [0, 0, 0, 0], [4, 0, 0, 0]])
for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
    row = "scipy matrix" if kind not in ("dok", "lil") else "scipy other"
    for family in ("matrix", "array"):
        make = getattr(scipy.sparse, f"{kind}_{family}")
        values(
            row if family == "matrix" else "scipy other",
            **{f"{kind}_{family}": lambda make=make: make(_MATRIX)},
        )

INDEXES: dict[str, Callable[[], Any]] = {
    "int64": lambda: pd.Index([1, 2], name="n"),
    "uint8": lambda: pd.Index(np.array([1, 2], "u1")),
    "float": lambda: pd.Index([1.5, 2.5]),
    "bool": lambda: pd.Index([True, False]),
    "text": lambda: pd.Index(["a", "b"], dtype=object),
    "default_text": lambda: pd.Index(["a", "b"]),
    "mixed": lambda: pd.Index([1, "x"]),
    "empty": lambda: pd.Index([], dtype=object),
    "range": lambda: pd.RangeIndex(2, 10, 2, name="r"),
    "datetime": lambda: pd.DatetimeIndex(["2020-01-01", None]),
    "datetime_freq": lambda: pd.date_range("2020", periods=3),
    "datetime_zone": lambda: pd.date_range("2020", periods=3, tz="US/Eastern", name="z"),
    "datetime_utc": lambda: pd.date_range("2020", periods=3, tz="UTC"),
    "timedelta": lambda: pd.timedelta_range("1D", periods=3),
    "period": lambda: pd.period_range("2020", periods=3, freq="D"),
    "interval": lambda: pd.interval_range(0, 3),
    "categorical": lambda: pd.CategoricalIndex(["a", "b", "a"], categories=["b", "a"]),
    "multi": lambda: pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", None]),
    "nullable": lambda: pd.Index([1, None], dtype="Int64"),
    "string": lambda: pd.Index(["a", None], dtype="string"),
    "tuple_name": lambda: pd.Index([1], name=("a", 1)),
}
values("pandas.Index", **INDEXES)

ARRAYS: dict[str, Callable[[], Any]] = {
    "int": lambda: np.arange(4),
    "float32": lambda: np.ones(4, "f4"),
    "complex": lambda: np.ones(4, "c16"),
    "bool": lambda: np.array([True, False] * 2),
    "text": lambda: np.array(list("abcd"), dtype=object),
    "text_missing": lambda: np.array(["a", None, "c", "d"], dtype=object),
    "mixed": lambda: np.array([1, "a", None, 2.5], dtype=object),
    "datetime": lambda: pd.date_range("2020", periods=4).array,
    "datetime_seconds": lambda: pd.DatetimeIndex(np.arange(4).astype("M8[s]")).array,
    "timedelta": lambda: pd.to_timedelta([1, 2, None, 3], unit="s").array,
    "datetime_zone": lambda: pd.date_range("2020", periods=4, tz="US/Eastern").array,
    "categorical": lambda: pd.Categorical(["x", "y", None, "x"], ordered=True),
    "period": lambda: pd.period_range("2020", periods=4, freq="M").array,
    "interval": lambda: pd.interval_range(0, 4, closed="left").array,
    "Int64": lambda: pd.array([1, None, 3, 4], dtype="Int64"),
    "Float32": lambda: pd.array([1, None, 3, 4], dtype="Float32"),
    "boolean": lambda: pd.array([True, None, False, True], dtype="boolean"),
    "string": lambda: pd.array(["x", None, "é", "a"], dtype="string"),
    "string_python": lambda: pd.array(["x", None, "é", "a"], dtype="string[python]"),
    "string_arrow": lambda: pd.array(["x", None, "é", "a"], dtype="string[pyarrow]"),
    "arrow": lambda: pd.array([1, None, 3, 4], dtype=pd.ArrowDtype(pa.int32())),
    "arrow_list": lambda: pd.array(
        [[1], None, [2, 3], []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))
    ),
    "sparse": lambda: pd.arrays.SparseArray([1.0, np.nan, 3, np.nan]),
}
for name, make in ARRAYS.items():
    values("pandas.Series", **{name: lambda make=make: pd.Series(make(), name="s")})
    values(
        "pandas.DataFrame", **{name: lambda make=make: pd.DataFrame({"a": make(), "b": range(4)})}
    )
values(
    "pandas.Series",
    index=lambda: pd.Series([1.5, 2.5], index=["x", "y"], name=("a", 1)),
    empty=lambda: pd.Series([], dtype="f8"),
    default_text=lambda: pd.Series(["a", "b"]),
)
values(
    "pandas.DataFrame",
    eight=lambda: pd.DataFrame({f"c{i}": np.arange(5.0) + i for i in range(8)}),
    default_text=lambda: pd.DataFrame({"a": ["x", "y"]}),
    mixed_labels=lambda: pd.DataFrame({"a": [1], 0: [2.5]}),
    range_labels=lambda: pd.DataFrame(np.arange(12).reshape(3, 4)),
    multi_labels=lambda: pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    ),
    time_labels=lambda: pd.DataFrame([[1, 2]], columns=pd.date_range("2020", periods=2)),
    same_labels=lambda: pd.DataFrame([[1, 2.5]], columns=["a", "a"]),
    named_labels=lambda: pd.DataFrame({"a": [1]}).rename_axis(columns="c"),
    no_rows=lambda: pd.DataFrame({"a": [1], "b": [2.5]}).iloc[:0],
    no_columns=lambda: pd.DataFrame(index=[1, 2]),
    nothing=lambda: pd.DataFrame(),
    multi_index=lambda: pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")])),
    zone_index=lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.date_range("2020", periods=2, tz="UTC")
    ),
)
values(
    "pandas SparseArray",
    float=lambda: pd.arrays.SparseArray([1.0, np.nan, 3, np.nan]),
    int=lambda: pd.arrays.SparseArray([0, 0, 1, 2]),
    bool=lambda: pd.arrays.SparseArray([True, False, False, True]),
    block=lambda: pd.arrays.SparseArray([1.0, np.nan, 3], kind="block"),
    fill=lambda: pd.arrays.SparseArray([1.0, 2, 3, 1], fill_value=1.0),
)


def _arrow(kind: pa.DataType, items: list[Any]) -> None:
    row = _ARROW_ROWS.get(str(kind).partition("<")[0], "pyarrow numeric")
    named = {
        str(kind): lambda: pa.array(items * 5, kind),
        f"{kind} slice": lambda: pa.array(items * 5, kind)[3:9],
        f"{kind} empty": lambda: pa.array([], kind),
        f"{kind} nulls": lambda: pa.array([None] * 3, kind),
    }
    for name, make in named.items():
        # The lists of what the released client cannot do have them by this name.
        case(row, f"{row} {name}".replace("pyarrow views", "pyarrow other"), make)
    case(
        row if row == "pyarrow views" else "pyarrow.RecordBatch",
        f"pyarrow.RecordBatch {kind}",
        lambda: pa.RecordBatch.from_arrays([pa.array(items, kind)], ["x"]),
    )


_ARROW_ROWS = {
    "string": "pyarrow text",
    "large_string": "pyarrow text",
    "string_view": "pyarrow views",
    "binary": "pyarrow binary",
    "large_binary": "pyarrow binary",
    "binary_view": "pyarrow views",
    "fixed_size_binary[2]": "pyarrow binary",
    "bool": "pyarrow bool, null, list",
    "null": "pyarrow bool, null, list",
    "list": "pyarrow bool, null, list",
    "large_list": "pyarrow bool, null, list",
    **dict.fromkeys(
        ("fixed_size_list", "struct", "dictionary", "map", "decimal128(5, 2)"), "pyarrow other"
    ),
}
for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()):
    _arrow(kind, [1, None, 3])
for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.date32(), pa.time32("s")):
    _arrow(kind, [1, None, 3])
for kind in (pa.time64("ns"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.duration("s")):
    _arrow(kind, [1, None, 3])
_arrow(pa.date64(), [86_400_000, None])
_arrow(pa.float16(), [np.float16(1), None])
for kind in (pa.string(), pa.large_string(), pa.string_view()):
    _arrow(kind, ["a", None, "é, and longer than twelve bytes"])
for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
    _arrow(kind, [b"a", None, b"\xff, and longer than twelve bytes"])
_arrow(pa.binary(2), [b"ab", None])
_arrow(pa.bool_(), [True, None, False])
_arrow(pa.null(), [None, None])
_arrow(pa.list_(pa.int64()), [[1], None, [], [2, None]])
_arrow(pa.list_(pa.string()), [["a"], None, ["b", "c"]])
_arrow(pa.list_(pa.list_(pa.bool_())), [[[True], None], None])
_arrow(pa.large_list(pa.int64()), [[1], None, [2, 3]])
_arrow(pa.list_(pa.int64(), 2), [[1, 2], None])
_arrow(pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": "x"}, None])
_arrow(pa.dictionary(pa.int32(), pa.string()), ["a", None, "a"])
_arrow(pa.map_(pa.string(), pa.int64()), [[("a", 1)], None])
_arrow(pa.decimal128(5, 2), [decimal.Decimal("1.50"), None])
values("pyarrow other", chunked=lambda: pa.chunked_array([[1], [2, 3]]))

_BATCH = pa.RecordBatch.from_arrays(
    [pa.array([1, 2]), pa.array(["x", None]), pa.array([True, None])], ["a", "b", "c"]
)
values(
    "pyarrow.Schema",
    plain=lambda: _BATCH.schema,
    metadata=lambda: pa.schema(
        [pa.field("a", pa.list_(pa.string()), nullable=False)], metadata={"k": "v"}
    ),
)
values("pyarrow.RecordBatch", three=lambda: _BATCH, no_rows=lambda: _BATCH.slice(0, 0))
values(
    "pyarrow.Table",
    two=lambda: pa.Table.from_batches([_BATCH, _BATCH]),
    empty=lambda: _BATCH.schema.empty_table(),
    nothing=lambda: pa.table({}),
    dictionary=lambda: pa.table({"d": pa.array(["a", "b", "a"]).dictionary_encode()}),
    nested=lambda: pa.table({"l": [[1], None], "s": [{"x": 1}, {"x": 2}]}),
)
values(
    "polars.DataFrame",
    plain=lambda: pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [1.5, 2.5]}),
    times=lambda: pl.DataFrame(
        {"d": [datetime.date(2020, 1, 1)], "t": [datetime.datetime(2020, 1, 1)]}
    ),
    nested=lambda: pl.DataFrame({"l": [[1], [2, 3]], "s": [{"x": 1}, {"x": 2}]}),
    categories=lambda: pl.DataFrame({"c": pl.Series(["a", "b"], dtype=pl.Categorical)}),
    enumeration=lambda: pl.DataFrame({"e": pl.Series(["a"], dtype=pl.Enum(["a", "b"]))}),
    no_rows=lambda: pl.DataFrame({"a": [1], "b": ["x"]}).clear(),
)
values("polars.Series", text=lambda: pl.Series("s", ["a", None]))
