"""scipy sparse matrices of the five array-backed kinds; sparse arrays and the other kinds are
pickled in place.

Promise: the kind, the dtype and the stored elements come back as they were, as views of the shared
memory.
"""

from __future__ import annotations

import json
from typing import Any

import scipy.sparse

from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader

_PARTS = {
    "bsr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "csr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


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
    if kind in ("bsr", "csr"):
        tree["has_sorted_indices"] = bool(value.has_sorted_indices)
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
    return matrix
