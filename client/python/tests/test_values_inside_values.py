"""Frames, dtypes and scalars of libraries inside other values: they come back as they do alone."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from data_equal import assert_same

_VECTOR = pa.list_(pa.field("item", pa.float32(), nullable=False, metadata={"k": "v"}), 2)


def texts() -> list[Any]:
    storages = [pd.StringDtype("python"), pd.StringDtype("pyarrow")]
    if pd.__version__ >= "3":
        storages += [pd.StringDtype(storage, np.nan) for storage in ("python", "pyarrow")]
    return storages


def trips(client: Any, value: Any) -> list[Any]:
    """The value inside a dict and a list, and again after it was got."""
    nested = client.get(client.put({"in": [value]}))["in"][0]
    return [nested, client.get(client.put([nested, {"again": nested}]))[1]["again"]]


def test_frames_inside_values_keep_what_they_are(ipc_client) -> None:
    frame = pd.DataFrame(
        {
            "i": np.arange(4),
            "o": np.array(["x", None, 1.5, ("a",)], object),
            "c": pd.Categorical(["x", "y", None, "x"]),
            "t": pd.date_range("2020", periods=4, tz="US/Eastern"),
            "m": pd.date_range("2020", periods=4).as_unit("s"),
            "n": pd.array([1, None, 3, 4], dtype="Int64"),
            "p": pd.period_range("2020", periods=4, freq="M"),
        },
        index=pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", None]),
    )
    block = pd.DataFrame(np.arange(12.0).reshape(3, 4))
    plain = pd.DataFrame({"a": [1, 2], 0: [1.5, 2.5]}, index=["x", "y"])
    for value in (frame, frame["c"], frame.index, block, block.T, plain, plain.iloc[:0], frame.T):
        got = ipc_client.get(ipc_client.put({"in": (value, value)}))["in"]
        assert got[0] is got[1]
        assert_same(value, got[0])
    got = ipc_client.get(ipc_client.put({"in": block}))["in"]
    assert not got.to_numpy().flags.writeable or pd.__version__ >= "3"


def test_frames_that_contain_themselves_come_back(ipc_client) -> None:
    frame = pd.DataFrame({"a": np.array([None, 1], object), "n": [1, 2]})
    frame.iat[0, 0] = [frame]
    series = pd.Series([None, 1], dtype=object)
    series.iloc[0] = {"up": series}
    got = ipc_client.get(ipc_client.put({"frame": frame, "series": series}))
    assert got["frame"].iat[0, 0][0] is got["frame"]
    assert got["series"].iloc[0]["up"] is got["series"]
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        ipc_client.put({"deep": deep})


def test_pandas_singletons_and_dtypes_inside_values(ipc_client) -> None:
    values: list[Any] = [
        pd.NaT,
        pd.NA,
        pd.Timestamp("2020-01-01 00:00:00.000000001", tz="US/Eastern"),
        pd.Timedelta("1D 2ns"),
        pd.Period("2020Q2", freq="Q-FEB"),
        pd.Interval(1, 2, closed="both"),
        pd.offsets.QuarterEnd(startingMonth=2),
        pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]),
        pd.CategoricalDtype(["a", "b"], ordered=True),
        pd.CategoricalDtype(),
        pd.DatetimeTZDtype("us", "UTC"),
        pd.PeriodDtype("Q-FEB"),
        pd.IntervalDtype("int64", "left"),
        pd.SparseDtype("float64", 1.5),
        pd.Int64Dtype(),
        pd.BooleanDtype(),
        pd.ArrowDtype(_VECTOR),
        *texts(),
    ]
    for value, got in zip(
        values, ipc_client.get(ipc_client.put({"in": values}))["in"], strict=True
    ):
        assert type(got) is type(value)
        assert got is value or got == value
        assert repr(got) == repr(value)


def test_items_of_got_scalars_are_the_same(ipc_client) -> None:
    item = operator.itemgetter(0)
    assert item(ipc_client.get(ipc_client.put([pa.scalar(3)]))).as_py() == 3
