"""pandas data frames with many columns of one numpy dtype: one block of values, as pandas holds
them.

Promise: values, labels, dtype, index, attrs and flags come back exactly, on one view of the shared
memory, in the order that the frame had: nothing is copied at a get. The cost of a frame does not
grow with its columns as if each were an object.

The released client does not know this layout: the typename, which it prints, says how to put a
frame that it reads.
"""

from __future__ import annotations

from typing import Any

import numpy
import pandas

from vineyard.data import _copy_on_write
from vineyard.data._details import get_details, put_details
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader

# Frames with no more columns have the layout of the released package.
COLUMNS_MAX = 1_000
LAYOUTS = ("auto", "columns")

_KINDS = "biufcmM"
_TYPENAME = 'vineyard::WideFrame<{}, for vineyard 0.24: put(frame, layout="columns")>'


def wants(draft: PutDraft, value: pandas.DataFrame) -> bool:
    """Whether a frame is stored as one block.

    Raises:
        ValueError: the layout that was asked for does not exist.
    """
    layout = draft.kwargs.get("layout")
    if layout is None:
        layout = "auto"
    if layout not in LAYOUTS:
        allowed = " or ".join(map(repr, LAYOUTS))
        raise ValueError(f"the layout of a frame is {allowed}, not {layout!r}")
    if layout == "columns" or value.shape[1] <= COLUMNS_MAX or _is_partition(draft):
        return False
    dtypes = set(value.dtypes)
    return len(dtypes) == 1 and _is_plain(dtypes.pop())


def _is_partition(draft: PutDraft) -> bool:
    """Whether it is said to be a part of a global frame, which has the layout of the released
    package.
    """
    keys = ("partition_index", "row_batch_index")
    return any(draft.kwargs.get(key) is not None for key in keys)


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, numpy.dtype) and dtype.kind in _KINDS and not dtype.metadata


def describe(draft: PutDraft, value: pandas.DataFrame) -> Tree:
    """The tree of a frame that :func:`wants` took."""
    rows = value.to_numpy()
    # pandas holds the transpose: a row of its block is a column of the frame.
    is_by_row = rows.flags.c_contiguous and not rows.flags.f_contiguous
    tree: Tree = {
        "typename": _TYPENAME.format(rows.dtype),
        "nbytes": rows.nbytes,
        "by_row_": is_by_row,
        "columns_": draft.part(value.columns),
        "index_": draft.part(value.index),
        "block_": draft.part(rows if is_by_row else rows.T),
    }
    put_details(tree, value)
    return tree


def restore(reader: Reader, tree: Tree) -> pandas.DataFrame:
    """The frame of a tree."""
    block = reader.part(tree, "block_")
    index, columns = reader.part(tree, "index_"), reader.part(tree, "columns_")
    frame = pandas.DataFrame(
        block if tree["by_row_"] else block.T, index=index, columns=columns, copy=False
    )
    get_details(reader, tree, frame)
    return frame if reader.copies else _copy_on_write.protected(frame)
