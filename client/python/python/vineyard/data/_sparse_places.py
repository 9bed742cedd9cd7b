"""Whether the places of a scipy matrix lie inside it: scipy's own check reads none of them where
the last row begins at zero, and its compiled functions read and write where these say.

Promise: nothing of scipy is called here.
"""

from __future__ import annotations

from typing import Any

import numpy


def check_places(matrix: Any, full: bool) -> None:
    """Raises ValueError if an element of an array-backed matrix lies outside it.

    `full`: every place is looked at, and not only how many there are.
    """
    if matrix.format in ("bsr", "csc", "csr"):
        _check_compressed(matrix, full)
    elif matrix.format == "coo":
        _check_coordinates(matrix, full)
    elif matrix.format == "dia":
        _check_diagonals(matrix)


def _check_compressed(matrix: Any, full: bool) -> None:
    data, indices, begins = matrix.data, matrix.indices, matrix.indptr
    rows, columns = _rows_and_columns(matrix)
    if matrix.format == "csc":
        rows, columns = columns, rows
    block = (1, 1)
    if matrix.format == "bsr":
        _check(data.ndim == 3 and all(data.shape[1:]), "the blocks")
        block = data.shape[1:]
        _check(not (rows % block[0] or columns % block[1]), "the size of the blocks")
    else:
        _check(data.ndim == 1, "the elements")
    _check_arrays(indices, begins)
    _check(len(begins) == rows // block[0] + 1 and begins[0] == 0, "where the rows begin")
    count = int(begins[-1])
    _check(0 <= count <= min(len(indices), len(data)), "where the last row ends")
    if full:
        _check(bool((begins[1:] >= begins[:-1]).all()), "where the rows begin")
        _check_within(indices, columns // block[1])


def _check_coordinates(matrix: Any, full: bool) -> None:
    places = getattr(matrix, "coords", None) or (matrix.row, matrix.col)
    _check(matrix.data.ndim == 1 and len(places) == len(matrix.shape), "the coordinates")
    _check_arrays(*places)
    for part, size in zip(places, matrix.shape, strict=True):
        _check(len(part) == len(matrix.data), "the number of coordinates")
        if full:
            _check_within(part, size)


def _check_diagonals(matrix: Any) -> None:
    data, offsets = matrix.data, matrix.offsets
    _check_arrays(offsets)
    _check(data.ndim == 2 and len(data) == len(offsets), "the number of diagonals")
    if len(offsets):
        # scipy adds the sizes to them.
        limit = numpy.iinfo(offsets.dtype).max - max(matrix.shape)
        _check(-limit <= int(offsets.min()) and int(offsets.max()) <= limit, "the diagonals")
        _check(len(numpy.unique(offsets)) == len(offsets), "the diagonals")


def _rows_and_columns(matrix: Any) -> tuple[int, int]:
    rows, columns = matrix.shape if len(matrix.shape) > 1 else (1, *matrix.shape)
    return rows, columns


def _check_arrays(*places: Any) -> None:
    for part in places:
        _check(part.ndim == 1 and part.dtype.kind == "i", "an array of places")


def _check_within(places: Any, size: int) -> None:
    is_within = not len(places) or (places.min() >= 0 and places.max() < size)
    _check(bool(is_within), "an index outside it")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"a sparse matrix with wrong places: {what}")
