"""numpy arrays, scalars and dtypes.

Promise: the bytes of a buffer are never read as addresses: arrays of objects are made of items that
the pickle has, one by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy
import pandas

from vineyard.data._dtypes import without_objects
from vineyard.data.restoring.checks import NotListed, check, is_bytes

_KEYS = {"names", "formats", "offsets", "itemsize", "aligned", "titles"}
_VIEWED = (numpy.matrix, numpy.memmap, numpy.recarray)
_OBJECT = numpy.dtype("O")


def _is_dtype(value: Any) -> bool:
    return isinstance(value, numpy.dtype)


def _is_shape(value: Any) -> bool:
    return type(value) is tuple and all(type(one) is int and one >= 0 for one in value)


def _plain(dtype: Any) -> Any:
    """The dtype, if no part of it is an object or has text elsewhere."""
    without_objects(dtype)
    if dtype.subdtype is not None:
        _plain(dtype.base)
    for field in (dtype.fields or {}).values():
        _plain(field[0])
    return dtype


def dtype(machine: Any, kind: Any, spec: Any, metadata: Any = None) -> Any:
    """A dtype of its text, or of dtypes."""
    made: Any = numpy.dtype(_checked_spec(spec))
    if metadata is None:
        return made
    check(type(metadata) is dict, "metadata")
    return numpy.dtype(made, metadata=metadata)


def _checked_spec(spec: Any) -> Any:
    if type(spec) is str:
        _without_fields_of_objects(numpy.dtype(spec))
        return spec
    if type(spec) is dict:
        return _checked_fields(spec)
    check(type(spec) is tuple and len(spec) == 2, "a dtype")
    first, second = spec
    if first is numpy.record:
        _plain(second)
    elif _is_dtype(first):
        check(_is_shape(second), "the shape of a dtype")
        _plain(first)
    else:
        check(type(first) is str and type(second) is dict, "a dtype")
        _plain(numpy.dtype(first))
        for field in second.values():
            check(type(field) is tuple and _is_dtype(field[0]), "a field")
            _plain(field[0])
    return spec


def _without_fields_of_objects(made: Any) -> None:
    if made.names is not None or made.subdtype is not None:
        _plain(made)


def _checked_fields(spec: dict[Any, Any]) -> Any:
    check(set(spec) <= _KEYS and {"names", "formats"} <= set(spec), "the fields of a dtype")
    for part in ("names", "formats", "offsets", "titles"):
        check(type(spec.get(part, [])) is list, "the fields of a dtype")
    for one in spec["formats"]:
        check(_is_dtype(one), "the dtype of a field")
        _plain(one)
    return spec


def text_dtype(machine: Any, kind: Any, **said: Any) -> Any:
    """The dtype of text of any length."""
    return kind(**said)


def array(machine: Any, kind: Any, shape: Any, dtype: Any, *rest: Any) -> Any:
    """An array, as a view of its bytes; or one of objects, which gets its items later."""
    check(_is_shape(shape) and _is_dtype(dtype), "the shape and dtype of an array")
    if not rest:
        check(dtype is _OBJECT or dtype == _OBJECT or dtype.kind == "T", "an array without bytes")
        machine.budget.take(math.prod(shape) * dtype.itemsize)
        return numpy.ndarray(shape, dtype)
    buffer, offset, strides, order = rest
    check(is_bytes(buffer), "an array of no bytes")
    check((offset, strides) == (0, None) and order in ("C", "F"), "the layout of an array")
    return numpy.ndarray(shape, _plain(dtype), buffer, order=order)


def give_items(target: Any, state: Any) -> None:
    """The items of an array of objects, as numpy pickles them."""
    check(type(state) is tuple and len(state) == 5, "the state of an array")
    _, shape, dtype, is_fortran, items = state
    if target.dtype.kind not in "OT" or target.dtype.names is not None:
        raise NotListed("a state for an array that is not one of objects")
    check(shape == target.shape and dtype == target.dtype and type(items) is list, "items")
    check(len(items) == target.size, "the number of items")
    if dtype.kind == "T":
        # Anything else would be written as text, with all that is in it.
        na = getattr(dtype, "na_object", None)
        check(all(type(item) in (str, float, type(None)) or item is na for item in items), "texts")
    flat: Any = numpy.empty(len(items), target.dtype)
    for at, item in enumerate(items):
        flat[at] = item
    target[...] = flat.reshape(shape, order="F" if is_fortran else "C")


def scalar(machine: Any, kind: Any, dtype: Any, content: Any) -> Any:
    """A scalar of its bytes."""
    check(_is_dtype(dtype) and type(content) is bytes, "a scalar")
    _plain(dtype)
    check(len(content) == dtype.itemsize, "the bytes of a scalar")
    return numpy.ndarray((), dtype, content if content else None)[()]


def own(machine: Any, kind: Any, value: Any) -> Any:
    """An array with bytes of its own."""
    check(type(value) is numpy.ndarray, "a copy of no array")
    return value.copy()


def view(machine: Any, kind: Any, base: Any, of: Any) -> Any:
    """An array as one of numpy's subclasses."""
    if not any(of is one for one in _VIEWED):
        raise NotListed(f"a view as a {type(of).__qualname__}")
    check(type(base) is numpy.ndarray, "a view of no array")
    return base.view(of)


def masked(machine: Any, kind: Any, data: Any, **said: Any) -> Any:
    """A masked array."""
    mask = said.get("mask")
    check(isinstance(data, numpy.ndarray), "a masked array of no array")
    check(mask is None or isinstance(mask, numpy.ndarray), "a mask")
    check(type(said.get("hard_mask", True)) is bool, "a hard mask")
    return kind(data, **said)


def converted(machine: Any, kind: Any, value: Any, dtype: Any) -> Any:
    """An array of what pandas makes; or that itself, where the conversion is left out."""
    if machine.peel:
        return value
    check(dtype is object or _is_dtype(dtype), "the dtype of a conversion")
    # Anything else numpy takes apart, as far down as there are sequences.
    kinds = (numpy.ndarray, pandas.Index, pandas.api.extensions.ExtensionArray)
    check(isinstance(value, kinds), "a conversion of what is no array")
    if dtype is not object:
        check(value.dtype != _OBJECT or dtype == _OBJECT, "a conversion of objects")
        machine.budget.take(len(value) * dtype.itemsize)
    return numpy.asanyarray(value, dtype)
