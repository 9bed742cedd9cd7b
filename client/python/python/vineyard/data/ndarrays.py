"""A pandas column whose items are the rows of a numpy array of two or more dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy
import pandas
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take


class NDArrayDtype(ExtensionDtype):
    """The dtype of an :class:`NDArrayArray`."""

    name = "ndarray"
    type = numpy.ndarray

    @classmethod
    # The attribute `type` above, which pandas asks for, hides the builtin from the checker.
    def construct_array_type(cls) -> type[NDArrayArray]:  # type: ignore[valid-type]
        """The array class of this dtype."""
        return NDArrayArray


class NDArrayArray(ExtensionArray):
    """Rows of a numpy array as the items of a pandas column; not copied."""

    def __init__(self, array: Any) -> None:
        """`array`: numpy array or NDArrayArray whose first dimension is the rows."""
        self._rows: Any = array._rows if isinstance(array, NDArrayArray) else numpy.asarray(array)

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        rows = scalars._rows if isinstance(scalars, NDArrayArray) else numpy.asarray(list(scalars))
        return cls(rows.copy() if copy else rows)

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> Self:
        return cls(values)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        return cls(numpy.concatenate([item._rows for item in to_concat]))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, item: Any) -> Any:
        item = pandas.api.indexers.check_array_indexer(self, item)
        found = self._rows[item]
        return found if isinstance(item, int | numpy.integer) else type(self)(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._rows[key] = value._rows if isinstance(value, NDArrayArray) else value

    def __eq__(self, other: object) -> Any:
        rows = other._rows if isinstance(other, NDArrayArray) else other
        return (self._rows == rows).reshape(len(self), -1).all(axis=1)

    @property
    def dtype(self) -> NDArrayDtype:
        """Always :class:`NDArrayDtype`."""
        return NDArrayDtype()

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return int(self._rows.nbytes)

    def isna(self) -> numpy.ndarray[Any, Any]:
        """False for every row: there are no missing rows."""
        return numpy.zeros(len(self), dtype=bool)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """The rows at `indices`."""
        if allow_fill and fill_value is None:
            fill_value = numpy.nan
        return type(self)(take(self._rows, indices, allow_fill=allow_fill, fill_value=fill_value))

    def copy(self) -> Self:
        """A copy with rows of its own."""
        return type(self)(self._rows.copy())

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = None
    ) -> numpy.ndarray[Any, Any]:
        """The rows as one numpy array."""
        rows: numpy.ndarray[Any, Any] = self._rows if dtype is None else self._rows.astype(dtype)
        return rows.copy() if copy else rows
