"""numpy dtypes as text, with all their fields. Reading the text runs no code.

Promise: what is read is a dtype whose bytes are no Python objects, or an error.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy


def to_text(dtype: numpy.dtype[Any]) -> str | None:
    """A dtype as numpy's files have it, which every version reads; else by its fields and offsets.

    None if it has metadata, which can be any objects.
    """
    if _has_metadata(dtype):
        return None
    if dtype.names is None and dtype.subdtype is None:
        return repr(dtype.str)
    try:
        descr = numpy.lib.format.dtype_to_descr(dtype)
        if numpy.lib.format.descr_to_dtype(descr) == dtype:
            return repr(descr)
    except ValueError:
        pass  # Fields that overlap, or lie in another order than their names.
    return repr(_spec(dtype))


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
