"""Takes a `pandas.DataFrame` apart into its columns, and makes one of them faster than the
constructor, if they are all numbers.

Promise: the frame is the same, on the same memory, as that of the public constructor, which is used
where pandas offers no faster way. This file knows no tree and no blob.

Why: the constructor checks each column for conversions, and columns of numbers need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy
import pandas

# Kinds of numpy dtypes that pandas takes as they are.
_NUMBERS = "biufc"

_Way = Callable[[list[Any], pandas.Index, pandas.Index], pandas.DataFrame]


def assemble(values: list[Any], index: pandas.Index, columns: pandas.Index) -> pandas.DataFrame:
    """The frame of `values`, one for each label in `columns`: arrays, pandas arrays or series."""
    fits = 0 < len(values) == len(columns)
    if fits and _of_numbers and all(_is_numbers(value, len(index)) for value in values):
        return _of_numbers(values, index, columns)
    frame = pandas.DataFrame(dict(enumerate(values)), index=index, copy=False)
    frame.columns = columns
    return frame


def arrays_of(frame: pandas.DataFrame) -> Iterable[Any]:
    """The values of each column, in order: numpy arrays, and pandas arrays of dtypes and times that
    are more than that; not copied.
    """
    # Not a public name. It looks up no labels; some, such as NaN in tuples, are never found.
    arrays = getattr(frame, "_iter_column_arrays", None)
    if arrays is not None:
        return cast("Iterable[Any]", arrays())
    return (_array_of(frame.iloc[:, at]) for at in range(frame.shape[1]))


def _array_of(column: Any) -> Any:
    dtype = column.dtype
    is_plain = isinstance(dtype, numpy.dtype) and dtype.kind not in "mM"
    return column.to_numpy() if is_plain else column.array


def _is_numbers(value: Any, length: int) -> bool:
    return (
        type(value) is numpy.ndarray and value.dtype.kind in _NUMBERS and value.shape == (length,)
    )


def _way_of_pandas_3() -> _Way | None:
    try:
        from pandas.api.internals import create_dataframe_from_blocks
    except ImportError:
        return None

    def of_numbers(
        values: list[Any], index: pandas.Index, columns: pandas.Index
    ) -> pandas.DataFrame:
        places = numpy.arange(len(values)).reshape(-1, 1)
        blocks = [
            (value.reshape(1, -1), place) for value, place in zip(values, places, strict=True)
        ]
        frame: pandas.DataFrame = create_dataframe_from_blocks(blocks, index, columns)
        return frame

    return of_numbers


def _way_of_pandas_2() -> _Way | None:
    """Not a public name, but pandas 2 does not change any more."""
    if not pandas.__version__.startswith("2."):
        return None
    try:
        from pandas.core.internals.managers import create_block_manager_from_column_arrays
    except ImportError:
        return None
    from_manager = getattr(pandas.DataFrame, "_from_mgr", None)
    if from_manager is None:
        return None

    def of_numbers(
        values: list[Any], index: pandas.Index, columns: pandas.Index
    ) -> pandas.DataFrame:
        manager = create_block_manager_from_column_arrays(
            values, [columns, index], consolidate=False, refs=[None] * len(values)
        )
        frame: pandas.DataFrame = from_manager(manager, manager.axes)
        return frame

    return of_numbers


# Makes a frame without checking the columns; None if the installed pandas offers no way.
_of_numbers = _way_of_pandas_3() or _way_of_pandas_2()
