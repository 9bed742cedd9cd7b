"""How values of libraries are pickled: by public constructors, so that other versions of the
library can read them.

Promise: no library is imported here that the value being pickled has not imported already.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from typing import Any

from vineyard.data._stream import Strided

Reducer = Callable[[Any], Any]


class Call:
    """Is pickled as a call of `function`: unpickling gives the result of the call. Is called itself
    where that result is a function.
    """

    __slots__ = ("arguments", "function")

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments

    def __call__(self, *arguments: Any) -> Any:
        """The result of the result: pickle asks that what it is to call can be called."""
        return self.function(*self.arguments)(*arguments)


def public(module: str, name: str) -> Call:
    """Is pickled as an attribute of a module, by its public name in every version."""
    return Call(getattr, Call(importlib.import_module, module), name)


def method(owner: Any, name: str) -> Call:
    """Is pickled as a method of a class, called with the object as first argument."""
    return Call(getattr, owner, name)


_reducers: dict[type, Reducer | None] = {}

# What scipy stores an index in where its matrix is not too large for that.
_INDEX_BYTES = 4
_SPARSE_KINDS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")

# Where the reducers of a library's own types are; each has a `reducer_of(kind)`.
_FAMILIES = {"numpy": "arrays", "pandas": "frames", "pyarrow": "tables", "polars": "columns"}


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
    if kind is type:
        return _reduce_class
    if module == "numpy" and name == "ndarray":
        return _reduce_array
    if module == "pyarrow.lib" and name == "Tensor":
        return _reduce_tensor
    if module.startswith("scipy.sparse."):
        family, _, suffix = name.partition("_")
        if family in _SPARSE_KINDS and suffix in ("array", "matrix"):
            reducer: Reducer = globals()[f"_reduce_{_SPARSE_REDUCERS[family]}"]
            return reducer
    return _choose_of_library(kind)


def _choose_of_library(kind: type) -> Reducer | None:
    """The reducer for a class of a library, or a class made of one."""
    for base in kind.__mro__:
        family = _FAMILIES.get(str(base.__module__).partition(".")[0])
        if family is not None:
            reducers = importlib.import_module(f"vineyard.data.reducers.{family}")
            found: Reducer | None = reducers.reducer_of(kind)
            return found
    return None


def _reduce_class(kind: type) -> Any:
    """A class by its public name, where the module that it names is not in every version."""
    if kind.__module__ == "numpy.rec":
        return public("numpy", kind.__name__).__reduce__()
    return NotImplemented


def _reduce_view(view: memoryview) -> Any:
    raw = Call(memoryview, pickle.PickleBuffer(view if view.c_contiguous else Strided(view)))
    if view.nbytes == 0 or (view.format == "B" and view.ndim == 1):
        return raw.__reduce__()
    return memoryview.cast, (Call(memoryview.cast, raw, "B"), view.format, view.shape)


def _reduce_array(array: Any) -> Any:
    """`numpy.ndarray` is called by name: numpy 1 cannot import the helper that numpy 2 pickles
    arrays with.
    """
    if array.dtype.hasobject or array.dtype.kind == "T":
        # As numpy has it: the array may contain itself.
        return type(array), (array.shape, array.dtype), array.__reduce__()[2]
    if array.dtype.kind not in "biufcMmSUV":
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


def _reduce_tensor(tensor: Any) -> Any:
    """pyarrow pickles none."""
    return type(tensor).from_numpy, (tensor.to_numpy(), tensor.dim_names or None)


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
    content: Any = (value.data, value.indices, value.indptr)
    if not value.has_canonical_format:
        # Methods such as `max` sort it in place, so it gets arrays of its own.
        copied = method(type(value.data), "copy")
        content = tuple(Call(copied, part) for part in content)
    return _matrix(value, content, {"indices": content[1], "indptr": content[2]})


def _reduce_coordinates(value: Any) -> Any:
    coordinates = tuple(getattr(value, "coords", None) or (value.row, value.col))
    indices = dict(zip(("row", "col"), coordinates, strict=False))
    return _matrix(value, (value.data, coordinates), indices)


def _reduce_diagonals(value: Any) -> Any:
    return _matrix(value, (value.data, value.offsets), {"offsets": value.offsets})


def _reduce_via_coordinates(value: Any) -> Any:
    return type(value), (value.tocoo(),)


def _matrix(value: Any, content: Any, indices: dict[str, Any]) -> Any:
    """The call that makes a matrix. Its indices are set once more as state, if their dtype is
    larger than the one that most constructors look for.
    """
    call = type(value), (content, value.shape)
    arrays = [part.arguments[0] if type(part) is Call else part for part in indices.values()]
    is_large = any(array.dtype.itemsize > _INDEX_BYTES for array in arrays)
    return (*call, indices) if is_large else call
