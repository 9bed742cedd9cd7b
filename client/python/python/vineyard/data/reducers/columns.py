"""How values of polars are pickled: frames as their series, a series by its Arrow array.

Promise: what is pickled can be read: polars' own pickling, which carries some of the rarer types,
is tried before it is taken.
"""

from __future__ import annotations

import functools
from typing import Any

import polars
import pyarrow

from vineyard.data._reduce import Reducer

# What pyarrow and polars raise for columns that Arrow has no type for, such as 128-bit integers.
NO_ARROW = (pyarrow.ArrowException, polars.exceptions.PolarsError)


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for objects of exactly this class, or None: they pickle themselves."""
    if kind is polars.Series:
        return _reduce_series
    return _reduce_frame if kind is polars.DataFrame else None


def _reduce_frame(frame: polars.DataFrame) -> Any:
    if not frame.width:
        return functools.partial(polars.DataFrame, height=frame.height), ()
    return polars.DataFrame, (frame.get_columns(),)


def _reduce_series(series: polars.Series) -> Any:
    if series.dtype == polars.Object:
        return _of_items(series)
    try:
        array = series.to_arrow()
    except NO_ARROW:
        return _reduce_rare(series)
    if _is_read(series, array):
        return polars.Series, (series.name, array)
    return _reduce_rare(series)


def _is_read(series: polars.Series, array: pyarrow.Array) -> bool:
    """Whether polars makes the same of the array. Of types that are not nested it makes the same of
    all arrays, if it does of the empty one.
    """
    probe = array if series.dtype.is_nested() else array[:0]
    try:
        again = polars.Series(series.name, probe)
    except NO_ARROW:
        return False
    return again.dtype == series.dtype and len(again) == len(probe)


def _of_items(series: polars.Series) -> Any:
    make = functools.partial(polars.Series, dtype=series.dtype)
    return make, (series.name, series.to_list())


def _reduce_rare(series: polars.Series) -> Any:
    """As polars pickles it, if polars reads that; else by its items."""
    if _is_read_by_polars(series):
        return NotImplemented
    made = _of_items(series)
    again = made[0](*made[1])
    if again.dtype != series.dtype or len(again) != len(series):
        raise TypeError(f"cannot pickle a series of polars with the dtype {series.dtype}")
    return made


def _is_read_by_polars(series: polars.Series) -> bool:
    again = polars.Series()
    try:
        again.__setstate__(series.__getstate__())
    except polars.exceptions.PanicException:
        return False
    except NO_ARROW:
        return False
    return again.dtype == series.dtype and len(again) == len(series)
