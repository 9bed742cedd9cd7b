"""Values whose pickles are recorded under old and new libraries, for each to read the other's.

`python crossed_values.py FILE` writes the pickles that the installed libraries make, as JSON: by
name the payload in base 64, and the number of its buffers.
"""

from __future__ import annotations

import base64
import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse
from vineyard.data import _splice


def frame() -> pd.DataFrame:
    """A frame of the kinds of columns that pandas 2 and 3 both have."""
    made = pd.DataFrame(
        {
            "i": np.arange(3),
            "f": np.array([0.5, 1.5, 2.5]),
            "o": np.array(["x", None, 7], object),
            "c": pd.Categorical(np.array(["x", "y", "x"], object)),
            "z": pd.DatetimeIndex(["2020-01-01"] * 3, dtype="M8[us, UTC]"),
            "t": np.array([1, 2, 3], "M8[s]"),
            "n": pd.array([1, None, 3], dtype="Int64"),
            "p": pd.period_range("2020", periods=3, freq="M"),
            "s": pd.array(["a", None, "b"], dtype="string[pyarrow]"),
        },
        index=pd.Index([1, 2, 3], name="rows"),
    )
    made.attrs = {"unit": np.arange(2)}
    return made


VALUES: dict[str, Callable[[], Any]] = {
    "frame": frame,
    "text_frame": lambda: pd.DataFrame({"s": ["x", "y"]}),
    "missing_text": lambda: pd.Series(["x", None, "y"]),
    "block": lambda: pd.DataFrame(np.arange(6.0).reshape(2, 3)),
    "multi": lambda: pd.Series([1, 2], pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
    "text_index": lambda: pd.Index(["x", "y"], name="n"),
    "text_categories": lambda: pd.Series(["x", "y"], dtype="category"),
    "missing": lambda: [pd.NaT, pd.NA, np.nan],
    "missing_objects": lambda: np.array([pd.NaT, pd.NA, None], object),
    "times": lambda: [
        pd.Timestamp("2020-01-01 01:00").as_unit("us"),
        pd.Timedelta("1h").as_unit("us"),
    ],
    "zoned": lambda: pd.Timestamp("2020-01-01", tz=datetime.UTC).as_unit("us"),
    "offsets": lambda: [pd.offsets.MonthEnd(2), pd.offsets.Hour(3), pd.Period("2020", "M")],
    "interval": lambda: pd.Series(pd.interval_range(0, 2)),
    "sparse": lambda: pd.arrays.SparseArray([0.0, 1.5, 0.0], fill_value=0.0),
    "dtypes": lambda: [str(pd.Series([1]).dtype), np.dtype("i4, f8"), pd.CategoricalDtype([1, 2])],
    "records": lambda: np.rec.array(np.zeros(2, [("a", "i4"), ("b", "f8")])),
    "record_dtype": lambda: np.zeros(2, np.dtype((np.record, [("a", "i4")]))),
    "matrix": lambda: np.asmatrix(np.eye(2)),
    "masked": lambda: np.ma.array([1.5, 2.5], mask=[True, False]),
    "scalars": lambda: [np.float32(1.5), np.datetime64("2020", "D"), np.str_("a"), np.bytes_(b"a")],
    "objects": lambda: np.array([1, "x", (2, None)], object),
    "in_band": lambda: {"a": np.arange(5)},
    "arrow": lambda: pa.table({"a": [1, None], "l": [[1], None], "d": pa.array(["x", "y"])}),
    "arrow_scalar": lambda: pa.scalar([1, 2]),
    "vector": lambda: pa.array([[1, 2]], pa.list_(pa.field("v", pa.int8(), nullable=False), 2)),
    "polars": lambda: pl.DataFrame({"a": [1, None], "s": ["x", None]}),
    "csr": lambda: scipy.sparse.csr_matrix(np.eye(2)),
    "coo": lambda: scipy.sparse.coo_array(np.eye(2)),
}


def recorded() -> dict[str, list[Any]]:
    """The pickles of all values."""
    made = {name: _splice.dumps({"in": make()}) for name, make in VALUES.items()}
    return {
        name: [base64.b64encode(one.pieces.joined()).decode("ascii"), one.spans]
        for name, one in made.items()
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(recorded(), indent=1) + "\n")
