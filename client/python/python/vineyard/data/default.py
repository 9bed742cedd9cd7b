"""Values without a type of their own: pickled, with the bytes of arrays in place.

Promise: arrays inside a pickled value are read-only views of the shared memory when it is got; the
released client reads the same blob as a plain pickle. Where pickles are refused, it is read as far
as it has listed names alone.
"""

from __future__ import annotations

from typing import Any

from vineyard.core.contexts.pickle_setting import ALLOW, REFUSE
from vineyard.data import _splice
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._unpickling import unpickle


def describe(draft: PutDraft, value: Any) -> Tree:
    """The tree of any value that can be pickled."""
    tree: Tree = {"typename": "vineyard::PickleBuffer"}
    pack(draft, tree, value)
    tree["nbytes"] = tree["size_"]
    return tree


def describe_pickled(draft: PutDraft, pickled: bytes | list[Any]) -> Tree:
    """The tree of a pickle that was made already, whole or in pieces."""
    size = len(pickled) if type(pickled) is bytes else sum(map(len, pickled))
    return {
        "typename": "vineyard::PickleBuffer",
        "nbytes": size,
        "size_": size,
        "buffer_": draft.blob(pickled),
    }


def restore(reader: Reader, tree: Tree) -> Any:
    """The value of a pickled tree."""
    return unpack(reader, tree)


def pack(draft: PutDraft, tree: Tree, value: Any) -> None:
    """Writes the pickle of `value` into `tree`: `buffer_`, `size_`, and with buffers inside
    `spans_`.
    """
    spliced = _splice.dumps(value, draft.open)
    tree["size_"] = spliced.pieces.nbytes
    if spliced.spans:
        tree["spans_"] = spliced.spans
    tree["buffer_"] = draft.blob_of(spliced.pieces.parts())


def unpack(reader: Reader, tree: Tree, peel: bool = False) -> Any:
    """The value that :func:`pack` was given; `peel` as in :func:`vineyard.data._splice.read`."""
    spans = tree.get("spans_", 0)
    if not spans and not peel and reader.pickle == ALLOW:
        return unpickle(reader.blob(tree["buffer_"]), reader)
    plain_bytes = tree.get("plain_", 0)
    if reader.pickle == REFUSE and plain_bytes:
        # An earlier build wrote it, whose pickles have other names than ours.
        return _splice.read_plain(reader.blob(tree["buffer_"]), spans, plain_bytes, reader, peel)
    return _splice.read(reader.blob(tree["buffer_"]), spans, reader, peel)
