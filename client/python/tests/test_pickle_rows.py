"""What docs/python-types.md says, row by row, of a get without pickles; labels and dtypes of all
ordinary kinds.
"""

from __future__ import annotations

import datetime
import decimal
import re
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import vineyard
from conftest import ROOT
from data_cases import CASES
from data_equal import assert_same


def documented() -> dict[str, str]:
    """The last column of the types table, by row: `yes` or `no`."""
    text = (ROOT / "docs" / "python-types.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \|.*\| (\w+) \|$", text, re.MULTILINE))


@pytest.fixture(params=["ipc", "rpc"])
def refusing(request: pytest.FixtureRequest, node) -> vineyard.Client:
    if request.param == "ipc":
        return vineyard.connect(node.socket, pickle="refuse")
    return vineyard.connect(endpoint=(node.host, node.port), pickle="refuse")


@pytest.fixture
def local(node) -> vineyard.Client:
    return vineyard.connect(node.socket, pickle="refuse")


def test_every_row_says_yes_or_no() -> None:
    rows = documented()
    assert {row for row, _ in CASES.values()} <= rows.keys()
    assert set(rows.values()) == {"yes", "no"}


@pytest.mark.parametrize("name", CASES)
def test_a_row_is_got_without_pickles_as_its_column_says(refusing, name: str) -> None:
    row, make = CASES[name]
    value = make()
    object_id = refusing.put(value)
    if documented()[row] == "yes":
        assert_same(value, refusing.get(object_id))
    else:
        with pytest.raises(vineyard.PickleRefused, match=re.escape(repr(object_id))):
            refusing.get(object_id)


LABELS: dict[str, Any] = {
    "text": "a",
    "surrogate": "\ud800",
    "int": 7,
    "large_int": 10**30,
    "bool": True,
    "float": 0.1,
    "negative_zero": -0.0,
    "inf": float("-inf"),
    "none": None,
    "tuple": ("a", 1, (2.5, None)),
    "frozenset": frozenset({1, "a"}),
    "bytes": b"\xff\0",
    "complex": complex(-0.0, float("inf")),
    "decimal": decimal.Decimal("1.50"),
    "date": datetime.date(2020, 2, 29),
    "time": datetime.time(1, 2, 3, 4, fold=1),
    "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
    "datetime_utc": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "datetime_zone": datetime.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")),
    "datetime_offset": datetime.datetime(
        2020, 1, 2, tzinfo=datetime.timezone(-datetime.timedelta(minutes=90), "west")
    ),
    "timedelta": datetime.timedelta(days=-1, microseconds=3),
    "Timestamp": pd.Timestamp("2020-01-02 03:04:05.123456789"),
    "Timestamp_seconds": pd.Timestamp("2020-01-02").as_unit("s"),
    "Timestamp_zone": pd.Timestamp("2020-11-01 01:30").tz_localize("US/Eastern", ambiguous=False),
    "Timedelta": pd.Timedelta("1D 2ns"),
    "Period": pd.Period("2020Q2", freq="Q-FEB"),
    "Interval": pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021"), closed="both"),
    "int8": np.int8(-3),
    "float32": np.float32(0.1),
    "numpy_bool": np.bool_(True),
    "numpy_text": np.str_("aé"),
    "numpy_time": np.datetime64("2020-01-02", "D"),
}
MISSING = {"nan": float("nan"), "NaT": pd.NaT, "NA": pd.NA, "numpy_nan": np.float64("nan")}


@pytest.mark.parametrize("name", LABELS)
def test_a_label_comes_back_without_pickles(local, name: str) -> None:
    label = LABELS[name]
    for value in (pd.Index([1], name=label), pd.Series([1], name=label)):
        got = local.get(local.put(value)).name
        assert (type(got), got, repr(got)) == (type(label), label, repr(label))
    frame = local.get(local.put(pd.DataFrame([[1, 2]], columns=pd.Index([label, "z"], dtype="O"))))
    got = frame.columns.tolist()[0]
    assert (type(got), got, repr(got)) == (type(label), label, repr(label))


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_label_comes_back_without_pickles(local, name: str) -> None:
    label = MISSING[name]
    got = local.get(local.put(pd.Series([1], name=label))).name
    assert (type(got), repr(got)) == (type(label), repr(label))


DTYPES = [
    np.dtype([("a", "i4"), ("b", ">f8", (2, 3)), ("c", "S2")]),
    np.dtype([("a", "i1"), ("b", [("c", "i8")])], align=True),
    np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2], "itemsize": 12}),
    np.dtype({"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0]}),
    np.dtype([(("title", "a"), "i4"), ("b", "M8[us]")]),
    np.dtype("M8[25s]"),
    np.dtype("m8[D]"),
    np.dtype("V5"),
    np.dtype(">U3"),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_dtype_comes_back_without_pickles(local, dtype) -> None:
    value = np.zeros((2, 3), dtype)
    assert_same(value, local.get(local.put(value)))
    columns = np.asfortranarray(value)
    got = local.get(local.put(columns))
    # Not byte by byte: the padding between fields is not kept.
    assert (got.dtype, got.flags.f_contiguous) == (dtype, True)
    assert repr(got.tolist()) == repr(columns.tolist())


def test_a_dtype_with_metadata_comes_back_without_pickles(local) -> None:
    value = np.zeros(2, np.dtype("i4", metadata={"a": 1}))
    assert local.get(local.put(value)).dtype.metadata == {"a": 1}
    nested = np.zeros(2, np.dtype([("a", np.dtype("i4", metadata={"a": 1}))]))
    assert local.get(local.put(nested)).dtype["a"].metadata == {"a": 1}


def test_attributes_and_frequencies_come_back_without_pickles(local) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020", periods=2, freq="QE-FEB"))
    frame.attrs = {"unit": "m", "shape": (1, [2.5, None]), 3: {"at": pd.Timestamp("2020")}}
    assert_same(frame, local.get(local.put(frame)))
    holidays = pd.offsets.CustomBusinessDay(holidays=["2020-01-02"])
    index = pd.date_range("2020", periods=3, freq=holidays)
    with pytest.raises(vineyard.PickleRefused):
        local.get(local.put(index))


def test_polars_types_come_back_without_pickles(local) -> None:
    frame = pl.DataFrame(
        {
            "e": pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
            "l": pl.Series([[1]], dtype=pl.List(pl.Int8)),
            "s": pl.Series([{"x": 1}], dtype=pl.Struct({"x": pl.Int16})),
            "d": pl.Series([datetime.datetime(2020, 1, 1)], dtype=pl.Datetime("ms", "UTC")),
            "n": pl.Series([decimal.Decimal("1.5")], dtype=pl.Decimal(10, 2)),
            "f": pl.Series([[1, 2]], dtype=pl.Array(pl.UInt8, 2)),
        }
    )
    assert_same(frame, local.get(local.put(frame)))


def test_strided_values_come_back_without_pickles(local) -> None:
    for value in (
        {"a": np.arange(20.0)[::3]},
        pd.Series(pd.Categorical(list("abcd")))[::2],
        pd.Series(pd.date_range("2020", periods=6, tz="UTC"))[::2],
        pd.Series(pd.array([1, None, 3, 4], dtype="Int64"))[::2],
    ):
        assert_same(value, local.get(local.put(value)))


def test_the_size_of_a_value_does_not_matter(local) -> None:
    texts = np.array(["x", None] * 10_000, object)
    labels = pd.MultiIndex.from_product([range(30_000), ["a", "b"]])
    large: list[Any] = [list(range(20_000)), texts, {"a": "x" * 100_000}, {1: b"x" * 100_000}]
    for value in (*large, labels, [{"a": texts}], "x" * 100_000, "\ud800" * 70_000, 1 << 200_000):
        assert_same(value, local.get(local.put(value)))
