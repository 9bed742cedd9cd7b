"""scipy matrices, and frames and series of polars."""

from __future__ import annotations

from typing import Any

import numpy

from vineyard.data.restoring.checks import NotListed, check

_INDICES = {"indices", "indptr", "row", "col", "offsets"}


def matrix(machine: Any, kind: Any, content: Any, shape: Any = None) -> Any:
    """A sparse matrix or array of its parts, or of one in coordinates."""
    if shape is None:
        check(type(content).__module__.startswith("scipy.sparse."), "the content of a matrix")
        machine.budget.take(sum(content.shape))
        return kind(content)
    check(type(content) is tuple, "the content of a matrix")
    for part in _flat(content):
        check(type(part) is numpy.ndarray, "a part of a matrix")
    made = kind(content, shape)
    _check_places(made)
    return made


def _flat(content: tuple[Any, ...]) -> list[Any]:
    """The arrays of a matrix: those of coordinates are in a tuple of their own."""
    return [one for part in content for one in (part if type(part) is tuple else (part,))]


def _check_places(made: Any) -> None:
    """Raises ValueError if an index lies outside the matrix."""
    check_format = getattr(made, "check_format", None)
    if check_format is not None:
        check_format(full_check=True)
    elif made.format == "coo":
        for part, size in zip(_coordinates(made), made.shape, strict=True):
            is_within = not len(part) or (part.min() >= 0 and part.max() < size)
            check(bool(is_within), "coordinates outside their matrix")


def _coordinates(made: Any) -> Any:
    return getattr(made, "coords", None) or (made.row, made.col)


def give_indices(target: Any, state: Any) -> None:
    """The indices of a matrix with the dtype that they had."""
    if type(state) is not dict or not set(state) <= _INDICES:
        raise NotListed("a state of a matrix that is more than its indices")
    for name, part in state.items():
        had = getattr(target, name)
        is_same = type(part) is numpy.ndarray and part.shape == had.shape and (part == had).all()
        check(bool(is_same), "other indices than those of the matrix")
        setattr(target, name, part)


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


def columns(machine: Any, kind: Any, parts: Any) -> Any:
    """A polars frame of its series."""
    import polars

    check(type(parts) is list, "the series of a frame")
    check(all(type(part) is polars.Series for part in parts), "the series of a frame")
    return kind(parts)
