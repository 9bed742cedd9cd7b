"""Frames of numbers, which are made without pandas' constructor, equal those it makes."""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from vineyard.data import _frames, dataframe

ROWS = 16


def columns_of(frame: pd.DataFrame) -> list[Any]:
    return [frame.iloc[:, at] for at in range(frame.shape[1])]


def numbers() -> dict[Any, np.ndarray]:
    kinds = ["?", "i1", "i8", "u2", "u8", "f2", "f4", "f8", ">f8", "c16", "f8"]
    return {kind + str(at): np.arange(ROWS).astype(kind) for at, kind in enumerate(kinds)}


FRAMES = {
    "numbers": lambda: pd.DataFrame(numbers()),
    "one": lambda: pd.DataFrame({"a": np.arange(ROWS)}),
    "no rows": lambda: pd.DataFrame({"a": np.arange(0), "b": np.ones(0)}),
    "no columns": lambda: pd.DataFrame(index=range(3)),
    "index": lambda: pd.DataFrame({"a": np.arange(3)}, index=["x", "y", "z"]),
    "labels": lambda: pd.DataFrame({1: np.arange(3), "b": np.ones(3)}),
    "twice": lambda: pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]),
    "range": lambda: pd.DataFrame(np.ones((3, 2))),
    "levels": lambda: pd.DataFrame(
        np.ones((3, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    ),
    "named": lambda: pd.DataFrame(np.ones((3, 2)), columns=pd.Index(["a", "b"], name="n")),
    "mixed": lambda: pd.DataFrame({"a": np.arange(3), "b": ["x", "y", None]}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_as_it_was(ipc_client, name: str) -> None:
    frame = FRAMES[name]()
    got = ipc_client.get(ipc_client.put(frame))
    assert_frame_equal(got, frame)
    assert type(got.columns) is type(frame.columns) and got.columns.dtype == frame.columns.dtype
    assert got.columns.name == frame.columns.name


def test_this_pandas_has_a_way_without_looking_at_the_columns() -> None:
    assert _frames._of_numbers is not None


def test_both_ways_make_the_same_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(numbers().values())
    for value in values:
        value.flags.writeable = False
    index, columns = pd.RangeIndex(ROWS), pd.Index(list(numbers()))
    soon = _frames.assemble(values, index, columns)
    monkeypatch.setattr(_frames, "_of_numbers", None)
    public = _frames.assemble(values, index, columns)
    assert_frame_equal(soon, public)
    for frame in (soon, public):
        for value, column in zip(values, columns_of(frame), strict=True):
            assert np.shares_memory(column.to_numpy(), value)
            assert not column.to_numpy().flags.writeable
    assert len(soon._mgr.blocks) == len(public._mgr.blocks) == len(values)


def test_the_frame_is_a_frame_to_work_with(ipc_client) -> None:
    frame = pd.DataFrame({"a": np.arange(4.0), "b": np.ones(4), "k": [1, 1, 2, 2]})
    for got in (frame.copy(), ipc_client.get(ipc_client.put(frame))):
        got["c"] = got["a"] + got["b"]
        got = got.assign(d=1).drop(columns="b").rename(columns={"a": "x"})
        got = got.groupby("k").sum().T.reset_index(names="n")
        expected = {"n": ["x", "c", "d"], 1: [1.0, 3.0, 2.0], 2: [5.0, 7.0, 2.0]}
        assert {label: got[label].tolist() for label in got} == expected
    got = ipc_client.get(ipc_client.put(frame))
    assert_frame_equal(pickle.loads(pickle.dumps(got)), frame)
    assert_frame_equal(copy.deepcopy(got), frame)
    assert_frame_equal(pd.concat([got, got])[:4], frame)
    assert_frame_equal(got.sort_values("a"), frame)
    assert got.loc[got["a"] > 1, "k"].tolist() == [2, 2]
    taken = got.pop("k")
    assert taken.tolist() == [1, 1, 2, 2] and list(got) == ["a", "b"]


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        _frames.assemble([np.ones(2), np.ones(3)], pd.RangeIndex(3), pd.Index(["a", "b"]))
    for labels in (["a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="Length mismatch"):
            _frames.assemble([np.ones(3), np.ones(3)], pd.RangeIndex(3), pd.Index(labels))


def test_who_changes_labels_changes_those_of_no_other_frame(ipc_client) -> None:
    object_id = ipc_client.put(pd.DataFrame({"a": np.arange(3), "b": np.ones(3)}))
    first, second = ipc_client.get(object_id), ipc_client.get(object_id)
    first.columns.name = "mine"
    with contextlib.suppress(ValueError):
        # pandas 3 refuses.
        first.columns.values[0] = "mine"
    for frame in (second, ipc_client.get(object_id)):
        assert list(frame.columns) == ["a", "b"] and frame.columns.name is None


def test_long_labels_are_not_remembered(ipc_client) -> None:
    before = dataframe._remembered_labels.cache_info().currsize
    frame = pd.DataFrame({"x" * 5000: np.arange(3)})
    assert_frame_equal(ipc_client.get(ipc_client.put(frame)), frame)
    assert dataframe._remembered_labels.cache_info().currsize == before


@pytest.mark.parametrize("kind", ["frame", "series", "index"])
def test_values_of_pandas_say_where_they_came_from(ipc_client, kind: str) -> None:
    frame = pd.DataFrame({"a": np.arange(3)}, index=["x", "y", "z"])
    value = {"frame": frame, "series": frame["a"], "index": frame.index}[kind]
    object_id = ipc_client.put(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = ipc_client.get(object_id)
    assert getattr(got, "__vineyard_ref").id == object_id
    assert getattr(got, "__vineyard_client") is ipc_client


def test_a_column_of_the_name_of_the_mark_stays(ipc_client) -> None:
    frame = pd.DataFrame({"__vineyard_ref": np.arange(3), "a": np.ones(3)})
    object_id = ipc_client.put(frame)
    got = ipc_client.get(object_id)
    assert_frame_equal(got, frame)
    assert getattr(got, "__vineyard_ref").id == object_id
