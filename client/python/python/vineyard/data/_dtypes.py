"""numpy dtypes as text, with all their fields. Reading the text runs no code.

Promise: what is read is a dtype whose bytes are no Python objects, or an error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy

# Kinds of numpy dtypes that their short text, such as `<f8`, says whole.
_SIMPLE_KINDS = "biufcmMSUVO"


def is_simple(dtype: numpy.dtype[Any]) -> bool:
    """Whether the short text of a dtype, such as `<f8`, gives it back, and it is not void."""
    return (
        dtype.kind != "V"
        and dtype.kind in _SIMPLE_KINDS
        and dtype.names is None
        and not dtype.metadata
    )


def to_text(dtype: numpy.dtype[Any]) -> str | None:
    """A dtype as numpy's files have it, which every version reads; else by its fields and offsets.

    None if neither gives it back: with metadata, which can be any objects, or with a class of its
    own, as in record arrays.
    """
    if _has_metadata(dtype):
        return None
    if dtype.names is None and dtype.subdtype is None:
        text = repr(dtype.str)
        return text if same(numpy.dtype(dtype.str), dtype) else None
    descriptions = (numpy.lib.format.dtype_to_descr, _spec)
    return next(filter(None, (_checked(describe, dtype) for describe in descriptions)), None)


def _checked(describe: Callable[[Any], Any], dtype: numpy.dtype[Any]) -> str | None:
    """The text of a description, if reading it gives the dtype back."""
    try:
        text = repr(describe(dtype))
        return text if same(from_text(text), dtype) else None
    except (TypeError, ValueError):
        # Fields that overlap, or lie in another order than their names.
        return None


def same(one: numpy.dtype[Any], other: numpy.dtype[Any]) -> bool:
    """Whether two dtypes agree in everything, also in what `==` does not look at."""
    if one is other:
        return True
    if _facts(one) != _facts(other) or (one.subdtype is None) != (other.subdtype is None):
        return False
    if one.subdtype is not None:
        return one.shape == other.shape and same(one.base, other.base)
    ours: Any = one.fields or {}
    theirs: Any = other.fields or {}
    return all(
        same(ours[name][0], theirs[name][0]) and ours[name][1:] == theirs[name][1:]
        for name in one.names or ()
    )


def _facts(dtype: numpy.dtype[Any]) -> tuple[Any, ...]:
    metadata = dtype.metadata and dict(dtype.metadata)
    of_struct = (dtype.names, dtype.itemsize, dtype.isalignedstruct)
    # Of numbers the class says less: there are several for 64 bits.
    kind = dtype.type if dtype.kind == "V" else None
    return kind, dtype.str, *of_struct, metadata or None


def _has_metadata(dtype: numpy.dtype[Any]) -> bool:
    if dtype.metadata:
        return True
    if dtype.subdtype is not None:
        return _has_metadata(dtype.base)
    return any(_has_metadata(field[0]) for field in (dtype.fields or {}).values())


def _spec(dtype: numpy.dtype[Any]) -> Any:
    """An argument for `numpy.dtype`, of text, numbers and containers only."""
    if dtype.subdtype is not None:
        return _spec(dtype.base), dtype.shape
    if dtype.names is None:
        return dtype.str
    # Of offsets and titles the stubs say less than numpy gives.
    known: Any = dtype.fields
    fields = [known[name] for name in dtype.names]
    spec = {
        "names": list(dtype.names),
        "formats": [_spec(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }
    if any(len(field) > 2 for field in fields):
        spec["titles"] = [field[2] if len(field) > 2 else None for field in fields]
    return spec


def from_text(text: str) -> numpy.dtype[Any]:
    """The value that :func:`to_text` was given."""
    spec = ast.literal_eval(text)
    if isinstance(spec, dict):
        described: Any = spec  # A dict that `_spec` wrote; the stubs want its keys one by one.
        return without_objects(numpy.dtype(described))
    return without_objects(numpy.lib.format.descr_to_dtype(spec))


def is_text(text: str) -> bool:
    """Whether `text` was written by :func:`to_text`, and is not a pickle in base 64."""
    return text[:1] in ("[", "'", "{", "(")


def without_objects(dtype: numpy.dtype[Any]) -> numpy.dtype[Any]:
    """The dtype itself.

    Raises:
        ValueError: its bytes are addresses of objects, which mean nothing in another process.
    """
    if dtype.hasobject or dtype.kind == "T":
        raise ValueError(f"the bytes of an array of dtype {dtype} are addresses, and are not read")
    return dtype
