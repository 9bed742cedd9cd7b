"""scipy matrices, and frames and series of polars."""

from __future__ import annotations

from typing import Any

import numpy

from vineyard.data._sparse_places import check_places
from vineyard.data.restoring.checks import NotListed, check

# Less than rows of lists take: matrices of many empty rows are put.
_ROW_BYTES = 4
_ELEMENT_BYTES = 64
_INDICES = {"indices", "indptr", "row", "col", "offsets"}


def matrix(machine: Any, kind: Any, content: Any, shape: Any = None) -> Any:
    """A sparse matrix or array of its parts, or of one in coordinates."""
    if shape is None:
        check(type(content).__module__.startswith("scipy.sparse."), "the content of a matrix")
        form = kind.__name__[:3]
        check(content.format == "coo" and form in ("dok", "lil"), "the content of a matrix")
        rows = content.shape[0] if form == "lil" else 0
        machine.budget.take(_ROW_BYTES * rows + _ELEMENT_BYTES * content.nnz)
        return kind(content)
    check(type(content) is tuple, "the content of a matrix")
    made = kind(tuple(_own_places(machine, part) for part in content), shape)
    check_places(made, full=True)
    return made


def _own_places(machine: Any, part: Any) -> Any:
    """A part of a matrix, without memory that another array of the pickle can be written by: the
    matrix trusts its places when they were checked once. Coordinates are in a tuple of their own.
    """
    if type(part) is tuple:
        return tuple(_own_places(machine, one) for one in part)
    # scipy would take two numbers for a shape.
    check(type(part) is numpy.ndarray and part.ndim > 0, "a part of a matrix")
    if part.dtype.kind != "i" or not part.flags.writeable:
        return part
    machine.budget.take(part.nbytes)
    return part.copy()


def give_indices(target: Any, state: Any) -> None:
    """The indices of a matrix with the dtype that they had."""
    if type(state) is not dict or not set(state) <= _INDICES:
        raise NotListed("a state of a matrix that is more than its indices")
    for name, part in state.items():
        had = getattr(target, name)
        check(type(part) is numpy.ndarray and part.dtype.kind == "i", "indices of a matrix")
        is_same = part.shape == had.shape and (part == had).all()
        check(bool(is_same), "other indices than those of the matrix")
        setattr(target, name, part.copy() if part.flags.writeable else part)
    check_places(target, full=True)


def column(machine: Any, kind: Any, name: Any, values: Any, dtype: Any = None) -> Any:
    """A polars series of an Arrow array, or of objects."""
    import polars
    import pyarrow

    check(type(name) is str, "the name of a series")
    if dtype is None:
        check(isinstance(values, pyarrow.Array), "the values of a series")
        return kind(name, values)
    check(dtype is polars.Object and type(values) is list, "a series of objects")
    return kind(name, values, dtype=dtype)


def columns(machine: Any, kind: Any, parts: Any = None, height: Any = None) -> Any:
    """A polars frame of its series, or without any of its height."""
    import polars

    if parts is None:
        check(type(height) is int and height >= 0, "the height of a frame")
        return kind(height=height)
    check(height is None and type(parts) is list, "the series of a frame")
    check(all(type(part) is polars.Series for part in parts), "the series of a frame")
    return kind(parts)
