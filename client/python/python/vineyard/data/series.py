"""pandas series.

Promise: values, dtype, index and name come back as they were, on views of the shared memory.
"""

from __future__ import annotations

from typing import Any

import numpy
import pandas

from vineyard.data import _copy_on_write, default, strings, tensor
from vineyard.data._details import get_details, put_details
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._reduce import Call
from vineyard.data.extension import program
from vineyard.data.utils import get_label, put_label


def describe(draft: PutDraft, value: pandas.Series) -> Tree:
    """The tree of a series; a subclass is pickled."""
    if type(value) is not pandas.Series:
        return default.describe(draft, value)
    tree: Tree = {"typename": "vineyard::Series", "nbytes": 0}
    put_label(tree, "name", value.name)
    put_details(tree, value)
    tree["index_"] = draft.part(value.index)
    dtype = value.dtype
    text = None
    if isinstance(dtype, pandas.StringDtype):
        text = strings.describe_strings(draft, value.array)
    if text is not None:
        tree["value_"] = text
    elif isinstance(dtype, numpy.dtype):
        tree["value_"] = draft.part(value.to_numpy())
    else:
        tree["exact_"] = True
        call = Call(numpy.asanyarray, program(value.array), _plain_dtype(dtype))
        tree["value_"] = tensor.describe_pickled(draft, value.shape, call)
    return tree


def _plain_dtype(dtype: Any) -> Any:
    """The dtype that the released client gives the values."""
    return dtype.subtype if isinstance(dtype, pandas.SparseDtype) else object


def restore(reader: Reader, tree: Tree) -> pandas.Series:
    """The series of a tree."""
    node = tree["value_"]
    values: Any
    if tree.get("exact_"):
        values = default.unpack(reader, node, peel=True)
    elif "string_storage_" in node:
        values = strings.restore_strings(reader, node)
    else:
        values = reader.part(tree, "value_")
    index = reader.part(tree, "index_")
    # Without the dtype, pandas would make strings of text objects.
    series: pandas.Series = pandas.Series(
        values, index=index, dtype=values.dtype, name=get_label(reader, tree, "name"), copy=False
    )
    get_details(reader, tree, series)
    return series if reader.copies else _copy_on_write.protected(series)
