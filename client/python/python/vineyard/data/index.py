"""pandas indexes of every kind.

Promise: kind, dtype, frequency and names come back as they were. A range is stored as its three
numbers. Every index also reads as the plain values that the released client expects.
"""

from __future__ import annotations

import json
from typing import Any

import numpy
import pandas

from vineyard.data import default, strings, tensor
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._reduce import Call
from vineyard.data.extension import index_program
from vineyard.data.utils import from_text, get_label, put_label, to_text

_PLAIN_KINDS = (pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex)


def describe(draft: PutDraft, value: pandas.Index) -> Tree:
    """The tree of an index."""
    tree: Tree = {"typename": "vineyard::Index", "nbytes": 0}
    put_label(tree, "name", value.name)
    dtype = value.dtype
    text = None
    if isinstance(dtype, pandas.StringDtype):
        text = strings.describe_strings(draft, value.array)
    if text is not None:
        tree["value_type_"] = "object"
        tree["value_"] = text
    elif type(value) is pandas.RangeIndex:
        bounds = (value.start, value.stop, value.step)
        tree["range_"] = json.dumps(bounds)
        tree["value_type_"] = "int64"
        tree["value_"] = tensor.describe_pickled(draft, value.shape, Call(numpy.arange, *bounds))
    elif type(value) in _PLAIN_KINDS and isinstance(dtype, numpy.dtype):
        tree["value_type_"] = str(dtype)
        tree["value_"] = draft.part(value.to_numpy())
        freq = getattr(value, "freq", None)
        if freq is not None:
            tree["freq_"] = to_text(freq)
    else:
        tree["value_type_"] = _released_name(dtype)
        tree["exact_"] = True
        call = Call(numpy.asanyarray, index_program(value), object)
        tree["value_"] = tensor.describe_pickled(draft, value.shape, call)
    return tree


def _released_name(dtype: Any) -> str:
    """The released client's name of a dtype: it makes an index of plain objects and this name."""
    return "interval" if isinstance(dtype, pandas.IntervalDtype) else str(dtype)


def restore(reader: Reader, tree: Tree) -> Any:
    """The index of a tree."""
    bounds = tree.get("range_")
    if bounds is not None:
        return pandas.RangeIndex(range(*json.loads(bounds)), name=get_label(reader, tree, "name"))
    node = tree["value_"]
    if tree.get("exact_"):
        return default.unpack(reader, node, peel=True)
    name = get_label(reader, tree, "name")
    if "string_storage_" in node:
        array = strings.restore_strings(reader, node)
        return pandas.Index(array, name=name)
    values = reader.part(tree, "value_")
    if values.dtype.kind != "O":
        freq = tree.get("freq_")
        if freq is not None:
            kind = pandas.DatetimeIndex if values.dtype.kind == "M" else pandas.TimedeltaIndex
            return kind(values, freq=from_text(reader, freq), name=name, copy=False)
        return pandas.Index(values, name=name, copy=False)
    # What the released client wrote: objects, and the name of the dtype to make of them.
    return pandas.Index(values, dtype=tree.get("value_type_", "object"), name=name)
