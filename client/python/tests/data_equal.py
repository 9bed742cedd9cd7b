"""Compares a value with the one that was put: equal, of the same type, dtype and layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse


def assert_same(put: Any, got: Any) -> None:
    """Fails unless `got` is what `put` was, exactly."""
    for kind, check in _CHECKS:
        if isinstance(put, kind):
            check(put, got)
            return
    if scipy.sparse.issparse(put):
        assert type(put) is type(got)
        assert put.dtype == got.dtype
        assert (put.toarray() == got.toarray()).all()
        return
    assert type(put) is type(got), (type(put), type(got))
    assert put == got, (put, got)


def _array(put: np.ndarray, got: Any) -> None:
    assert type(got) is type(put)
    assert (put.dtype, put.shape) == (got.dtype, got.shape)
    if put.flags.forc:
        assert got.flags.f_contiguous == put.flags.f_contiguous
    if put.dtype.hasobject:
        assert_same(put.tolist(), got.tolist())
    else:
        assert put.tobytes() == got.tobytes()


def _frame(put: pd.DataFrame, got: Any) -> None:
    sparse = [at for at, dtype in enumerate(put.dtypes) if isinstance(dtype, pd.SparseDtype)]
    if sparse:
        # As in the released package, whose tests ask for it.
        columns = [put.iloc[:, at] for at in range(put.shape[1])]
        for at in sparse:
            columns[at] = columns[at].sparse.to_dense()
        dense = pd.concat(columns, axis=1)
        dense.columns, dense.attrs = put.columns, put.attrs
        put = dense
    pd.testing.assert_frame_equal(put, got, check_freq=True, check_exact=True)
    assert list(put.dtypes) == list(got.dtypes)
    _index(put.index, got.index)
    _index(put.columns, got.columns)
    assert put.attrs == got.attrs


def _series(put: pd.Series, got: Any) -> None:
    pd.testing.assert_series_equal(put, got, check_freq=True, check_exact=True)
    assert put.dtype == got.dtype
    _index(put.index, got.index)


def _index(put: pd.Index, got: Any) -> None:
    assert type(put) is type(got)
    assert put.equals(got)
    assert put.dtype == got.dtype
    assert list(put.names) == list(got.names)
    assert getattr(put, "freq", None) == getattr(got, "freq", None)


def _extension(put: Any, got: Any) -> None:
    assert put.dtype == got.dtype
    pd.testing.assert_extension_array_equal(put, got)


def _arrow(put: Any, got: Any) -> None:
    if isinstance(put, pa.StringArray):
        put = put.cast(pa.large_string())
    got.validate(full=True)
    assert put.equals(got), (put, got)
    if hasattr(put, "schema"):
        assert put.schema.equals(got.schema, check_metadata=True)


def _sequence(put: Any, got: Any) -> None:
    assert isinstance(got, type(put))
    assert len(put) == len(got)
    for one, other in zip(put, got, strict=True):
        assert_same(one, other)


def _dict(put: dict[Any, Any], got: Any) -> None:
    assert put.keys() == got.keys()
    for key, value in put.items():
        assert_same(value, got[key])


def _float(put: float, got: Any) -> None:
    assert type(put) is type(got)
    assert put == got or (math.isnan(put) and math.isnan(got))
    assert math.copysign(1, put) == math.copysign(1, got) or math.isnan(put)


def _bytes(put: Any, got: Any) -> None:
    assert isinstance(got, memoryview | bytes)
    assert bytes(got) == bytes(put)


def _polars(put: Any, got: Any) -> None:
    assert type(put) is type(got)
    assert put.equals(got)
    one = put.schema if isinstance(put, pl.DataFrame) else put.dtype
    assert one == (got.schema if isinstance(got, pl.DataFrame) else got.dtype)


_CHECKS: list[tuple[Any, Callable[[Any, Any], None]]] = [
    (np.ndarray, _array),
    (pd.DataFrame, _frame),
    (pd.Series, _series),
    (pd.Index, _index),
    (pd.api.extensions.ExtensionArray, _extension),
    ((pa.Array, pa.ChunkedArray, pa.RecordBatch, pa.Table), _arrow),
    (pa.Schema, lambda put, got: _none(put.equals(got, check_metadata=True))),
    ((pl.DataFrame, pl.Series), _polars),
    ((tuple, list), _sequence),
    (dict, _dict),
    (float, _float),
    ((bytes, memoryview, pa.Buffer), _bytes),
]


def _none(is_equal: bool) -> None:
    assert is_equal
