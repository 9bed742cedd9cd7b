"""Everything without a type of its own: pickled, with the bytes of arrays where they can be used in
place.

Promise: arrays inside a pickled value are read-only views of the shared memory when it is got; the
released client reads the same blob as a plain pickle.
"""

from __future__ import annotations

from typing import Any

from vineyard.data import _splice
from vineyard.data._draft import Draft, Tree
from vineyard.data._reader import Reader


def describe(draft: Draft, value: Any) -> Tree:
    """The tree of any value that can be pickled."""
    tree: Tree = {"typename": "vineyard::PickleBuffer"}
    pack(draft, tree, value)
    tree["nbytes"] = tree["size_"]
    return tree


def restore(reader: Reader, tree: Tree) -> Any:
    """The value of a pickled tree."""
    return unpack(reader, tree)


def pack(draft: Draft, tree: Tree, value: Any) -> None:
    """Writes the pickle of `value` into `tree`: `buffer_`, `size_` and, with buffers inside,
    `spans_`.
    """
    payload, spans = _splice.dumps(value)
    tree["size_"] = len(payload)
    if spans:
        tree["spans_"] = spans
    tree["buffer_"] = draft.blob(payload)


def unpack(reader: Reader, tree: Tree, peel: bool = False) -> Any:
    """What :func:`pack` was given; `peel` as in :func:`vineyard.data._splice.loads`."""
    return _splice.loads(reader.blob(tree["buffer_"]), tree.get("spans_", 0), peel)
