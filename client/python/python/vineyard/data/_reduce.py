"""How values of libraries are pickled: by public constructors, so that other versions of the
library can read them.

Promise: no library is imported here that the value being pickled has not imported already.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from vineyard.data._stream import Strided

Reducer = Callable[[Any], Any]


class Call:
    """Is pickled as a call of `function`: unpickling gives the result of the call."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


_reducers: dict[type, Reducer | None] = {}

_SPARSE_KINDS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for objects of exactly this class, or None: they pickle themselves."""
    try:
        return _reducers[kind]
    except KeyError:
        return _reducers.setdefault(kind, _choose(kind))


def _choose(kind: type) -> Reducer | None:
    module, name = kind.__module__, kind.__name__
    if kind is memoryview:
        return _reduce_view
    if module == "numpy" and name == "ndarray":
        return _reduce_array
    if module.startswith("scipy.sparse."):
        family, _, suffix = name.partition("_")
        if family in _SPARSE_KINDS and suffix in ("array", "matrix"):
            reducer: Reducer = globals()[f"_reduce_{_SPARSE_REDUCERS[family]}"]
            return reducer
    return None


def _reduce_view(view: memoryview) -> Any:
    raw = Call(memoryview, pickle.PickleBuffer(view if view.c_contiguous else Strided(view)))
    if view.nbytes == 0 or (view.format == "B" and view.ndim == 1):
        return raw.__reduce__()
    return memoryview.cast, (Call(memoryview.cast, raw, "B"), view.format, view.shape)


def _reduce_array(array: Any) -> Any:
    """`numpy.ndarray` is called by name: numpy 1 cannot import the helper that numpy 2 pickles
    arrays with.
    """
    if array.dtype.hasobject or array.dtype.kind not in "biufcMmSUV":
        return NotImplemented
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    if not array.nbytes:
        raw: Any = b""
    elif array.flags.forc:
        raw = (array.T if order == "F" else array).reshape(-1).view("u1")
    else:
        raw = Strided(array.view(f"V{array.itemsize}"))
    arguments = (array.shape, array.dtype, pickle.PickleBuffer(raw), 0, None, order)
    return type(array), arguments


_SPARSE_REDUCERS = {
    "bsr": "compressed",
    "csc": "compressed",
    "csr": "compressed",
    "coo": "coordinates",
    "dia": "diagonals",
    "dok": "via_coordinates",
    "lil": "via_coordinates",
}


def _reduce_compressed(value: Any) -> Any:
    return type(value), ((value.data, value.indices, value.indptr), value.shape)


def _reduce_coordinates(value: Any) -> Any:
    coordinates = getattr(value, "coords", None) or (value.row, value.col)
    return type(value), ((value.data, tuple(coordinates)), value.shape)


def _reduce_diagonals(value: Any) -> Any:
    return type(value), ((value.data, value.offsets), value.shape)


def _reduce_via_coordinates(value: Any) -> Any:
    return type(value), (value.tocoo(),)
