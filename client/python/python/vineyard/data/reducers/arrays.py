"""How numpy's dtypes, and subclasses of its arrays, are pickled.

Promise: a subclass of ndarray without a pickling of its own is pickled as a view of its array, so
that its bytes can stay where they are. Exact arrays are in `vineyard.data._reduce`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy

from vineyard.data._dtypes import is_simple, same
from vineyard.data._reduce import Reducer, method

# A class that overrides one of these says itself how it is pickled.
_OWN_PICKLING = ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__")


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for objects of exactly this class, or None: they pickle themselves."""
    if kind is numpy.ma.MaskedArray:
        return _reduce_masked
    if issubclass(kind, numpy.dtype):
        return _reduce_dtype
    if issubclass(kind, numpy.ndarray) and not any(
        getattr(kind, name, None) is not getattr(numpy.ndarray, name, None)
        for name in _OWN_PICKLING
    ):
        return _reduce_subclass
    return None


def _reduce_subclass(array: Any) -> Any:
    """A view of the array as its class. Attributes of its own are left out, as numpy does."""
    base: Any = array.view(numpy.ndarray)
    if base.dtype.type is numpy.record:
        base = base.view(numpy.dtype((numpy.void, base.dtype)))
    made = base.view(type(array))
    if made.shape != array.shape or not same(made.dtype, array.dtype):
        return NotImplemented
    return method(numpy.ndarray, "view"), (base, type(array))


def _reduce_masked(array: Any) -> Any:
    said: dict[str, Any] = {}
    # The usual value may be longer than the text of the array, and would be cut.
    if str(array.fill_value) != str(numpy.ma.default_fill_value(array.dtype)):
        said["fill_value"] = array.fill_value
    if array.hardmask:
        said["hard_mask"] = True
    mask = numpy.ma.getmask(array)
    if mask is not numpy.ma.nomask:
        said["mask"] = mask
    return functools.partial(numpy.ma.MaskedArray, **said), (array.data,)


def _reduce_dtype(dtype: Any) -> Any:
    if dtype.kind == "T":
        said = {"coerce": dtype.coerce}
        if hasattr(dtype, "na_object"):
            said["na_object"] = dtype.na_object
        make: Any = type(dtype)
        return functools.partial(make, **said), ()
    if is_simple(dtype):
        return numpy.dtype, (dtype.str,)
    spec = _spec(dtype)
    if not dtype.metadata:
        if not same(numpy.dtype(spec), dtype):
            return NotImplemented
        return numpy.dtype, (spec,)
    metadata = dict(dtype.metadata)
    if not same(numpy.dtype(spec, metadata=metadata), dtype):
        return NotImplemented
    return functools.partial(numpy.dtype, metadata=metadata), (spec,)


def _spec(dtype: Any) -> Any:
    """What `numpy.dtype` makes the dtype of: text, or containers of dtypes, without metadata."""
    if dtype.subdtype is not None:
        return dtype.base, dtype.shape
    if dtype.names is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    if dtype.kind != "V":
        # An ordinary number whose bytes also have names.
        return dtype.str, dict(zip(dtype.names, fields, strict=True))
    spec = {
        "names": list(dtype.names),
        "formats": [field[0] for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }
    if any(len(field) > 2 for field in fields):
        spec["titles"] = [field[2] if len(field) > 2 else None for field in fields]
    if dtype.type is numpy.record:
        return numpy.record, numpy.dtype(spec)  # type: ignore[call-overload]
    return spec
