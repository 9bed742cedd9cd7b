"""scipy sparse matrices of the five array-backed kinds; sparse arrays and the other kinds are
pickled in place.

Promise: the kind, the dtype and the stored elements come back as they were, as views of the shared
memory. Methods such as `max` sort the elements of a compressed matrix in place where they are
unsorted, and merge those of one place: such a matrix gets private arrays.
"""

from __future__ import annotations

import json
from typing import Any

import scipy.sparse

from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._sparse_places import check_places

_PARTS = {
    "bsr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "csr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


_COMPRESSED = ("bsr", "csc", "csr")


def describe(draft: PutDraft, value: Any) -> Tree:
    """The tree of a matrix with its arrays."""
    kind = value.format
    if type(value) is not getattr(scipy.sparse, f"{kind}_matrix"):
        return default.describe(draft, value)
    name = value.dtype.name
    tree: Tree = {
        "typename": f"vineyard::{kind.upper()}Matrix<{name}>",
        "nbytes": value.data.nbytes,
        "shape_": json.dumps(value.shape),
        "partition_index_": "[]",
        "ndim": value.ndim,
        "nnz": int(value.nnz),
        "value_type_": name,
    }
    if kind == "bsr":
        tree["blocksize"] = json.dumps(value.blocksize)
    if kind in _COMPRESSED:
        tree["canonical_"] = bool(value.has_canonical_format)
    if kind in ("bsr", "csr"):
        tree["has_sorted_indices"] = tree["canonical_"] or bool(value.has_sorted_indices)
    for part in _PARTS[kind]:
        tree[part] = draft.part(getattr(value, part))
    return tree


def restore(reader: Reader, tree: Tree) -> Any:
    """The matrix of a tree."""
    kind = tree["typename"].removeprefix("vineyard::").partition("Matrix")[0].lower()
    parts = [reader.part(tree, part) for part in _PARTS[kind]]
    content = (parts[0], tuple(parts[1:])) if kind == "coo" else tuple(parts)
    matrix = getattr(scipy.sparse, f"{kind}_matrix")(content, shape=json.loads(tree["shape_"]))
    # The constructor looks for the smallest dtype of indices, and copies into it.
    for name, part in zip(_PARTS[kind][1:], parts[1:], strict=True):
        if getattr(matrix, name).dtype != part.dtype:
            setattr(matrix, name, part)
    # A canonical matrix is looked through by nothing else here.
    check_places(matrix, full=reader.pickle == "refuse" or not tree.get("canonical_"))
    if kind in _COMPRESSED:
        _settle(matrix, tree.get("canonical_"), reader.copies)
    return matrix


def _settle(matrix: Any, is_canonical: bool | None, is_private: bool) -> None:
    """Tells the matrix whether its elements are in order, or asks it, if it was stored without
    that; gives it arrays of its own if they are not.
    """
    if is_canonical:
        matrix.has_canonical_format = True
    elif not is_private and (is_canonical is False or not matrix.has_canonical_format):
        for part in ("data", "indices", "indptr"):
            setattr(matrix, part, getattr(matrix, part).copy())
