"""How values of pandas are pickled: frames, series, indexes, arrays, dtypes, and what is missing.

Promise: pandas 2 and 3 read each other's. Subclasses pickle themselves, but of parts that are
reduced here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy
import pandas

from vineyard.data import _frames, extension
from vineyard.data._reduce import Call, Reducer, public

# Kinds of numpy dtypes of which pandas stores many columns as one block, as they are.
_NUMBERS = "biufc"
# Up to so many columns it is quicker to look at each than to ask for all dtypes first.
_FEW_COLUMNS = 16


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for objects of exactly this class, or None: they pickle themselves."""
    if kind in _OF_KIND:
        return _OF_KIND[kind]
    if issubclass(kind, pandas.Index):
        return _reduce_index
    if issubclass(kind, pandas.api.extensions.ExtensionArray):
        return _reduce_array
    if issubclass(kind, pandas.tseries.offsets.BaseOffset):
        return _reduce_frequency
    if issubclass(kind, pandas.api.extensions.ExtensionDtype) and _is_masked(kind):
        return _reduce_masked_dtype
    return None


def _called(made: Any, value: Any) -> Any:
    return made.__reduce__() if type(made) is Call and made is not value else NotImplemented


def _reduce_index(index: Any) -> Any:
    return _called(extension.index_program(index), index)


def _reduce_array(values: Any) -> Any:
    return _called(extension.program(values), values)


def _reduce_missing(value: Any) -> Any:
    return public("pandas", "NaT" if value is pandas.NaT else "NA").__reduce__()


def _reduce_frequency(frequency: Any) -> Any:
    text = frequency.freqstr
    to_offset = pandas.tseries.frequencies.to_offset
    again = to_offset(text)
    # An offset with holidays has the same name as one without.
    if type(again) is not type(frequency) or again != frequency:
        return NotImplemented
    return to_offset, (text,)


def _reduce_series(series: pandas.Series) -> Any:
    said: dict[str, Any] = {"name": series.name, "copy": False}
    values: Any = series.array
    if isinstance(series.dtype, numpy.dtype):
        values, said["dtype"] = series.to_numpy(), series.dtype
    make = functools.partial(pandas.Series, **said)
    return _protected(Call(make, values, series.index), _state(series))


def _reduce_frame(frame: pandas.DataFrame) -> Any:
    make = functools.partial(pandas.DataFrame, copy=False)
    state = _state(frame)
    if frame.shape[1] > _FEW_COLUMNS and len(set(frame.dtypes)) == 1:
        block = _block(frame, frame.iloc[:, 0])
        if block is not None:
            return _protected(Call(make, block, frame.index, frame.columns), state)
    columns = list(_frames.arrays_of(frame))
    if columns and len(set(frame.dtypes)) == 1:
        block = _block(frame, frame.iloc[:, 0])
        if block is not None:
            return _protected(Call(make, block, frame.index, frame.columns), state)
    parts = {at: _column(column, frame.index) for at, column in enumerate(columns)}
    # Labels may be equal, so they are set afterwards.
    state = {"_typ": "dataframe", "columns": frame.columns, **state}
    return _protected(Call(make, parts, frame.index), state)


def _protected(call: Call, state: dict[str, Any]) -> Any:
    """The frame or series of a call. `vineyard.data._copy_on_write` protects it, which finds it by
    the name of this method; to others it is a frame on the same memory.
    """
    arguments = pandas.DataFrame.set_flags, (call,)
    return (*arguments, state) if state else arguments


def _state(value: Any) -> dict[str, Any]:
    """Attributes and flags, where they are not the usual ones, as pandas pickles them."""
    if not value.attrs and value.flags.allows_duplicate_labels:
        return {}
    flags = {"allows_duplicate_labels": value.flags.allows_duplicate_labels}
    typ = "series" if isinstance(value, pandas.Series) else "dataframe"
    return {"_typ": typ, "attrs": value.attrs, "_flags": flags}


def _block(frame: pandas.DataFrame, first: pandas.Series) -> Any:
    """The values of a frame of one dtype that lie in memory as one block of numbers; None if they
    do not. `first`: its first column.
    """
    is_numbers = isinstance(first.dtype, numpy.dtype) and first.dtype.kind in _NUMBERS
    if frame.shape[1] < 2 or not len(frame) or not is_numbers:
        return None
    values = frame.to_numpy()
    return values if numpy.may_share_memory(values, first.to_numpy()) else None


def _column(values: Any, index: pandas.Index) -> Any:
    if not isinstance(values, numpy.ndarray):
        # Times without a zone are more than an array to pandas, but not to its constructors.
        return values.to_numpy() if isinstance(values.dtype, numpy.dtype) else values
    if values.dtype.kind != "O":
        return values
    # pandas 3 would take text objects for strings.
    return Call(functools.partial(pandas.Series, dtype=values.dtype, copy=False), values, index)


def _is_masked(kind: type) -> bool:
    return getattr(pandas, kind.__name__, None) is kind and hasattr(kind, "numpy_dtype")


def _reduce_masked_dtype(dtype: Any) -> Any:
    return type(dtype), ()


def _reduce_categorical_dtype(dtype: Any) -> Any:
    return pandas.CategoricalDtype, (dtype.categories, dtype.ordered)


def _reduce_zoned_dtype(dtype: Any) -> Any:
    return pandas.DatetimeTZDtype, (dtype.unit, dtype.tz)


def _reduce_period_dtype(dtype: Any) -> Any:
    return pandas.PeriodDtype, (extension.frequency_name(dtype),)


def _reduce_interval_dtype(dtype: Any) -> Any:
    return pandas.IntervalDtype, (dtype.subtype, dtype.closed)


def _reduce_sparse_dtype(dtype: Any) -> Any:
    return pandas.SparseDtype, (dtype.subtype, dtype.fill_value)


def _reduce_text_dtype(dtype: Any) -> Any:
    if dtype.na_value is pandas.NA:
        return pandas.StringDtype, (dtype.storage,)
    return functools.partial(pandas.StringDtype, na_value=dtype.na_value), (dtype.storage,)


def _reduce_arrow_dtype(dtype: Any) -> Any:
    return pandas.ArrowDtype, (dtype.pyarrow_dtype,)


_OF_KIND: dict[type, Callable[[Any], Any]] = {
    pandas.DataFrame: _reduce_frame,
    pandas.Series: _reduce_series,
    type(pandas.NaT): _reduce_missing,
    type(pandas.NA): _reduce_missing,
    pandas.CategoricalDtype: _reduce_categorical_dtype,
    pandas.DatetimeTZDtype: _reduce_zoned_dtype,
    pandas.PeriodDtype: _reduce_period_dtype,
    pandas.IntervalDtype: _reduce_interval_dtype,
    pandas.SparseDtype: _reduce_sparse_dtype,
    pandas.StringDtype: _reduce_text_dtype,
    pandas.ArrowDtype: _reduce_arrow_dtype,
}
