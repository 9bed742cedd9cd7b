"""Frames of about as many columns as the bound between two layouts come back as they were put.

`VINEYARD_EXAMPLES`, which is 200 without it, are tried with a bound of a few columns. With the
bound of 1,000 it is an eighth: one costs as much as many small values. A failure prints the
example; `pytest --hypothesis-seed=SEED` repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from data_equal import assert_same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_wide_frames import KINDS
from vineyard.data import wide

EXAMPLES = int(os.environ.get("VINEYARD_EXAMPLES", "200"))
FEW_COLUMNS = 10


def examples(count: int) -> Any:
    return settings(
        max_examples=max(1, count),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# How the numbers lie in memory.
FORMS: dict[str, Callable[[np.ndarray], pd.DataFrame]] = {
    "C order": lambda numbers: pd.DataFrame(numbers, copy=False),
    "Fortran order": lambda numbers: pd.DataFrame(np.asfortranarray(numbers), copy=False),
    "transposed": lambda numbers: pd.DataFrame(numbers.T.copy()).T,
    "reversed": lambda numbers: pd.DataFrame(numbers[::-1]).iloc[::-1],
    "columns reversed": lambda numbers: pd.DataFrame(numbers).iloc[:, ::-1],
    "columns apart": lambda numbers: pd.DataFrame({at: row for at, row in enumerate(numbers.T)}),
}
LABELS: dict[str, Callable[[int], Any]] = {
    "range": pd.RangeIndex,
    "range with steps": lambda width: pd.RangeIndex(5, 5 + 3 * width, 3),
    "numbers": lambda width: pd.Index(np.arange(width)[::-1].copy()),
    "text": lambda width: pd.Index([f"gene {at}" for at in range(width)], name="gene"),
    "equal": lambda width: pd.Index(["same"] * width),
    "in pairs": lambda width: pd.Index([at // 2 for at in range(width)]),
    "mixed": lambda width: pd.Index([*range(width - 3), None, "x", (1, "y")], dtype=object),
    "levels": lambda width: pd.MultiIndex.from_product([["a"], range(width)], names=["x", None]),
    "times": lambda width: pd.date_range("2020", periods=width, tz="UTC"),
}


@st.composite
def wide_frames(draw: st.DrawFn, bound: int) -> pd.DataFrame:
    """Frames of one dtype, or two, that may be empty, with labels, flags and attributes."""
    widths = [bound - 2, bound - 1, bound, bound + 1, bound + 2, bound + 1 + bound // 10]
    width, size = draw(st.sampled_from(widths)), draw(st.integers(0, 3))
    # Few numbers are drawn: there is nothing to find in the others.
    seed = draw(st.integers(0, 2**32 - 1))
    numbers = np.random.default_rng(seed).integers(0, 256, (size, width))
    kind = draw(st.sampled_from(KINDS))
    frame = FORMS[draw(st.sampled_from(sorted(FORMS)))](numbers.astype(kind))
    frame.columns = LABELS[draw(st.sampled_from(sorted(LABELS)))](width)
    if draw(st.integers(0, 4)) == 4:
        other = draw(st.sampled_from(["f8", "string", "category", "Int64", "datetime64[ns, UTC]"]))
        column = pd.Series([None] * size, index=frame.index, dtype=other)
        frame.isetitem(draw(st.integers(0, width - 1)), column)
    if size and draw(st.booleans()):
        frame.index = pd.Index([f"row {at}" for at in range(size)], name="row")
    frame.attrs = draw(st.sampled_from([{}, {"source": "x", "shape": [1, {"a": None}]}]))
    if frame.columns.is_unique and frame.index.is_unique:
        frame.flags.allows_duplicate_labels = draw(st.booleans())
    return frame


def same(put: pd.DataFrame, got: pd.DataFrame) -> None:
    assert_same(put, got)
    assert put.flags.allows_duplicate_labels == got.flags.allows_duplicate_labels


def given_frames(bound: int) -> Any:
    """How a test is given frames around a bound, and ways to put and get them."""
    return given(
        frame=wide_frames(bound),
        options=st.sampled_from([{}, {}, {"layout": "columns"}]),
        copy=st.booleans(),
        is_nested=st.booleans(),
    )


@examples(EXAMPLES)
@given_frames(FEW_COLUMNS)
def test_frames_around_a_bound_of_few_columns_come_back(ipc_client, **how: Any) -> None:
    with mock.patch.object(wide, "COLUMNS_MAX", FEW_COLUMNS):
        comes_back(ipc_client, **how)


@examples(EXAMPLES // 8)
@given_frames(wide.COLUMNS_MAX)
def test_frames_around_the_bound_come_back(ipc_client, **how: Any) -> None:
    comes_back(ipc_client, **how)


def comes_back(
    client: Any, frame: pd.DataFrame, options: dict[str, str], copy: bool, is_nested: bool
) -> None:
    if is_nested:
        object_ids = [client.put({"in": frame})]
        got = client.get(object_ids[0], copy=copy)["in"]
    else:
        object_ids = [client.put(frame, **options)]
        got = client.get(object_ids[0], copy=copy)
    same(frame, got)
    object_ids.append(client.put(got))
    same(frame, client.get(object_ids[1]))
    client.delete(object_ids)
