"""Frames of about 1,000 columns, the bound between two layouts, come back as they were put.

An eighth of `VINEYARD_EXAMPLES`, which is 200 without it, are tried: one costs as much as many
small values. A failure prints the example; `pytest --hypothesis-seed=SEED` repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from data_equal import assert_same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_wide_frames import KINDS

many = settings(
    max_examples=max(1, int(os.environ.get("VINEYARD_EXAMPLES", "200")) // 8),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WIDTHS = (998, 999, 1_000, 1_001, 1_002, 1_100)

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
def wide_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of one dtype, or two, that may be empty, with labels, flags and attributes."""
    width, size = draw(st.sampled_from(WIDTHS)), draw(st.integers(0, 3))
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


@many
@given(
    frame=wide_frames(),
    options=st.sampled_from([{}, {}, {"layout": "columns"}]),
    copy=st.booleans(),
    is_nested=st.booleans(),
)
def test_frames_around_the_bound_come_back(ipc_client, frame, options, copy, is_nested) -> None:
    if is_nested:
        object_ids = [ipc_client.put({"in": frame})]
        got = ipc_client.get(object_ids[0], copy=copy)["in"]
    else:
        object_ids = [ipc_client.put(frame, **options)]
        got = ipc_client.get(object_ids[0], copy=copy)
    same(frame, got)
    object_ids.append(ipc_client.put(got))
    same(frame, ipc_client.get(object_ids[1]))
    ipc_client.delete(object_ids)
