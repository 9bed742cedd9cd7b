"""pandas frames, series, indexes, arrays and dtypes."""

from __future__ import annotations

import datetime
import functools
from typing import Any

import numpy
import pandas
import pyarrow

from vineyard.data import _copy_on_write
from vineyard.data.restoring.checks import NotListed, check

_DETAILS = {"_typ", "attrs", "_flags", "columns"}
_SPARSE = {"_sparse_index", "_sparse_values", "_dtype"}
# The codes of units that pandas pickles its times with.
_UNITS = {7: "s", 8: "ms", 9: "us", 10: "ns"}
_ENDS = ("left", "right", "both", "neither")
_TEXTS = ("str", "string[python]", "string[pyarrow]")


def make(machine: Any, kind: Any, *arguments: Any, **said: Any) -> Any:
    """A value by its constructor, of values that the pickle has and that are no text: pandas reads
    a text as a dtype, a frequency or a zone.
    """
    dtype = said.get("dtype")
    check(dtype is None or _is_dtype(dtype) or dtype in _TEXTS, "a dtype")
    check(type(said.get("freq")) is not str, "a frequency")
    for argument in arguments:
        check(not callable(argument) or isinstance(argument, numpy.generic), "a function")
        check(type(argument) not in (str, bytes), "text")
    return kind(*arguments, **said)


def _is_dtype(dtype: Any) -> bool:
    return isinstance(dtype, numpy.dtype | pandas.api.extensions.ExtensionDtype)


def closed(machine: Any, kind: Any, *arguments: Any) -> Any:
    """Something of intervals; the last argument says which ends are closed."""
    *parts, ends = arguments
    if ends is None:
        return make(machine, kind, *arguments)
    check(type(ends) is str and ends in _ENDS, "which ends are closed")
    return make(machine, functools.partial(kind, closed=ends), *parts)


def text_dtype(machine: Any, kind: Any, name: Any, **said: Any) -> Any:
    """A dtype by the text that says its storage or frequency."""
    check(type(name) is str or name is None or not callable(name), "the name of a dtype")
    return kind(name, **said)


def sparse_dtype(machine: Any, kind: Any, dtype: Any, fill: Any = None) -> Any:
    """The dtype of a sparse array; what fills it may be text."""
    check(_is_dtype(dtype) and not isinstance(fill, type), "a sparse dtype")
    return kind(dtype, fill)


def frame(
    machine: Any, kind: Any, data: Any, index: Any, columns: Any = None, copy: Any = False
) -> Any:
    """A frame of one array, or of columns that are as long as its index."""
    check(isinstance(index, pandas.Index), "the index of a frame")
    check(columns is None or isinstance(columns, pandas.Index), "the columns of a frame")
    check(type(copy) is bool, "whether to copy")
    if type(data) is dict:
        check(columns is None, "the columns of a frame")
        for at, column in data.items():
            check(type(at) is int, "the place of a column")
            _check_values(machine, column, len(index))
    else:
        check(type(data) is numpy.ndarray and columns is not None, "the values of a frame")
        check(data.shape == (len(index), len(columns)), "the shape of a frame")
        machine.budget.take(max(data.nbytes, data.size))
    return kind(data, index, columns, copy=copy)


def series(machine: Any, kind: Any, values: Any, index: Any = None, **said: Any) -> Any:
    """A series of values as long as its index."""
    check(index is None or isinstance(index, pandas.Index), "the index of a series")
    machine.budget.take_for(said)
    machine.budget.take_for_hash(said.get("name"))
    _check_values(machine, values, len(values) if index is None else len(index))
    return make(machine, kind, values, index, **said)


def _check_values(machine: Any, values: Any, length: int) -> None:
    kinds = (numpy.ndarray, pandas.Series, pandas.api.extensions.ExtensionArray)
    arrow = (pyarrow.Array, pyarrow.ChunkedArray)
    check(isinstance(values, (*kinds, *arrow)), "the values of a column")
    check(isinstance(values, arrow) or values.ndim == 1, "the values of a column")
    check(len(values) == length, "the length of a column")
    if isinstance(values, numpy.ndarray):
        machine.budget.take_for(values)
    else:
        machine.budget.take(values.nbytes)


def extension_array(
    machine: Any, kind: Any, values: Any, dtype: Any = None, copy: Any = True
) -> Any:
    """A pandas array; `dtype` as text is one of those of text."""
    check(type(copy) is bool, "whether to copy")
    check(type(values) not in (list, tuple, dict, range), "the values of an array")
    check(not isinstance(values, pandas.Index), "the values of an array")
    said = {"copy": copy} if dtype is None else {"copy": copy, "dtype": dtype}
    return make(machine, kind, values, **said)


def zoned_dtype(machine: Any, kind: Any, unit: Any, zone: Any) -> Any:
    """The dtype of times in a zone, which is no text: pandas may open a file of that name."""
    check(type(unit) is str and isinstance(zone, datetime.tzinfo), "a dtype with a time zone")
    return kind(unit, zone)


def levels(machine: Any, kind: Any, levels: Any, codes: Any, **said: Any) -> Any:
    """A MultiIndex, whose codes are places in its levels."""
    check(type(levels) is list and type(codes) is list and len(levels) == len(codes), "levels")
    for level, places in zip(levels, codes, strict=True):
        check(isinstance(level, pandas.Index), "a level")
        check(type(places) is numpy.ndarray and places.dtype.kind == "i", "the codes of a level")
        is_within = not len(places) or (places.min() >= -1 and places.max() < len(level))
        check(bool(is_within), "codes beyond their level")
        check(places.ndim == 1 and len(places) == len(codes[0]), "the number of codes")
    return kind(levels, codes, **said)


def period(machine: Any, kind: Any, value: Any, frequency: Any, ordinal: Any) -> Any:
    """A Period of its number and frequency."""
    check(value is None and type(ordinal) is int, "a period")
    return kind(ordinal=ordinal, freq=frequency)


def frequency(machine: Any, kind: Any, text: Any) -> Any:
    """A frequency by its name."""
    check(type(text) is str, "a frequency")
    return kind(text)


def span(machine: Any, kind: Any, ticks: Any, unit: Any) -> Any:
    """A Timedelta."""
    check(type(ticks) is int and unit in _UNITS, "a span of time")
    # numpy checks the unit when this runs; the stubs list them.
    return pandas.Timedelta(numpy.timedelta64(ticks, _UNITS[unit]))  # type: ignore[call-overload]


def moment(machine: Any, kind: Any, ticks: Any, _: Any, zone: Any, unit: Any = 10) -> Any:
    """A Timestamp."""
    check(type(ticks) is int and unit in _UNITS, "a time")
    check(zone is None or isinstance(zone, datetime.tzinfo), "the zone of a time")
    # As in `span`.
    plain = pandas.Timestamp(numpy.datetime64(ticks, _UNITS[unit]))  # type: ignore[call-overload]
    return plain if zone is None else plain.tz_localize("UTC").tz_convert(zone)


def sparse_places(machine: Any, kind: Any, length: Any, *parts: Any) -> Any:
    """Where the values of a sparse array are, of their places or of blocks of them: pandas adds up
    the lengths of blocks in 32 bits, and writes as many places as each block says.
    """
    check(type(length) is int and length >= 0, "the length of a sparse array")
    own = []
    for part in parts:
        check(type(part) is numpy.ndarray and part.ndim == 1, "the places of a sparse array")
        check(part.dtype.kind == "i", "the places of a sparse array")
        machine.budget.take(part.nbytes)
        own.append(part.astype("i8"))
    begins, sizes = own if kind.__name__ == "BlockIndex" else (own[0], numpy.ones_like(own[0]))
    check(len(begins) == len(sizes), "the blocks of a sparse array")
    limit = min(length, numpy.iinfo("i4").max)
    is_within = bool(((begins >= 0) & (begins <= limit)).all())
    check(is_within and bool(((sizes > 0) & (sizes <= limit)).all()), "places beyond their array")
    ends = begins + sizes
    check(not len(ends) or int(ends[-1]) <= limit, "places beyond their array")
    check(bool((ends[:-1] <= begins[1:]).all()), "the order of the places")
    return kind(length, *(part.astype("i4") for part in own))


def protected(machine: Any, kind: Any, value: Any) -> Any:
    """A frame or series whose memory pandas does not write to."""
    check(isinstance(value, pandas.DataFrame | pandas.Series), "a frame")
    return _copy_on_write.protected(value)


def give_details(target: Any, state: Any) -> None:
    """The columns, attributes and flags of a frame or series."""
    if type(state) is not dict or not set(state) <= _DETAILS:
        raise NotListed("a state of a frame that is more than its attributes and flags")
    if "columns" in state:
        check(isinstance(state["columns"], pandas.Index), "columns")
        target.columns = state["columns"]
    if "attrs" in state:
        check(type(state["attrs"]) is dict, "attributes")
        target.attrs = state["attrs"]
    flags = state.get("_flags", {})
    check(type(flags) is dict and set(flags) <= {"allows_duplicate_labels"}, "flags")
    if flags:
        target.flags.allows_duplicate_labels = flags["allows_duplicate_labels"] is True


def give_sparse(target: Any, state: Any) -> None:
    """The values of a sparse array, and where they are."""
    from vineyard.data.extension import sparse_array

    # pandas 3 may say beside these that the array is read-only.
    is_whole = type(state) is dict and set(state) - {"_readonly"} == _SPARSE
    check(is_whole, "the state of a sparse array")
    index, values, dtype = state["_sparse_index"], state["_sparse_values"], state["_dtype"]
    check(type(index).__module__ == "pandas._libs.sparse", "the places of a sparse array")
    check(type(values) is numpy.ndarray and type(dtype) is pandas.SparseDtype, "sparse values")
    check(values.ndim == 1 and len(values) == index.npoints, "the number of sparse values")
    places = index.to_int_index().indices
    kind = "block" if type(index).__name__ == "BlockIndex" else "integer"
    made = sparse_array(values, places, index.length, dtype.fill_value, kind)
    target.__dict__.update(made.__dict__)
