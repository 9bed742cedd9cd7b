"""pandas data frames: one member for each column, and the index.

Promise: columns, labels, dtypes and index come back as they were, on views of the shared memory.
Each column has blobs of its own, so frames that share columns share memory.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy
import pandas

from vineyard._C import ObjectMeta
from vineyard.data import _copy_on_write, _frames, default, extension, strings, wide
from vineyard.data._details import get_details, put_details
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._global import make_global
from vineyard.data._reader import Reader
from vineyard.data.ndarrays import NDArrayArray, NDArrayDtype
from vineyard.data.utils import as_label, is_exact_json, to_json

__all__ = ["NDArrayArray", "NDArrayDtype", "make_global_dataframe"]

# Many frames have the same labels, and making an index of labels is slow.
_REMEMBERED_LENGTH_MAX = 4096


def describe(draft: PutDraft, value: pandas.DataFrame) -> Tree:
    """The tree of a frame; a subclass is pickled."""
    if type(value) is not pandas.DataFrame:
        return default.describe(draft, value)
    if wide.wants(draft, value):
        return wide.describe(draft, value)
    labels = value.columns.tolist()
    tree: Tree = {
        "typename": "vineyard::DataFrame",
        "nbytes": 0,
        "columns_": to_json(labels),
        "partition_index_row_": -1,
        "partition_index_column_": -1,
        "row_batch_index_": 0,
        "__values_-size": len(labels),
    }
    partition = draft.kwargs.get("partition_index")
    if partition is not None:
        tree["partition_index_row_"], tree["partition_index_column_"] = partition[:2]
    if draft.kwargs.get("row_batch_index") is not None:
        tree["row_batch_index_"] = draft.kwargs["row_batch_index"]
    _describe_columns(draft, tree, value.columns, labels)
    put_details(tree, value)
    tree["index_"] = draft.part(value.index)
    for at, (label, values) in enumerate(zip(labels, _frames.arrays_of(value), strict=True)):
        tree[f"__values_-key-{at}"] = to_json(label)
        tree[f"__values_-value-{at}"] = _describe_column(draft, values)
    return tree


def _describe_columns(
    draft: PutDraft, tree: Tree, columns: pandas.Index, labels: list[Any]
) -> None:
    """Stores the columns exactly, unless their labels as JSON are exact."""
    if type(columns) is pandas.RangeIndex and columns.name is None:
        tree["columns_range_"] = json.dumps((columns.start, columns.stop, columns.step))
    elif not _says_all(columns, labels):
        tree["columns_index_"] = draft.part(columns)


def _says_all(columns: pandas.Index, labels: list[Any]) -> bool:
    return (
        type(columns) is pandas.Index
        and columns.name is None
        and all(type(label) in (str, int) and is_exact_json(label) for label in labels)
        and pandas.Index(labels).dtype == columns.dtype
    )


def _describe_column(draft: PutDraft, values: Any) -> Tree:
    if isinstance(values, numpy.ndarray):
        return draft.part(values)
    if isinstance(values, NDArrayArray):
        return draft.part(values.to_numpy())
    # The released client takes dates only as a pandas array.
    return extension.describe(draft, values)


def restore(reader: Reader, tree: Tree) -> pandas.DataFrame:
    """The frame of a tree."""
    index = reader.part(tree, "index_")
    values = [
        _restore_column(reader, tree, f"__values_-value-{at}", index)
        for at in range(tree["__values_-size"])
    ]
    frame = _frames.assemble(values, index, _restore_columns(reader, tree))
    get_details(reader, tree, frame)
    return frame if reader.copies else _copy_on_write.protected(frame)


def _restore_column(reader: Reader, tree: Tree, key: str, index: pandas.Index) -> Any:
    node = tree[key]
    if "string_storage_" in node:
        return strings.restore_strings(reader, node)
    values = reader.part(tree, key)
    if not isinstance(values, numpy.ndarray):
        if isinstance(values, pandas.arrays.SparseArray):
            # As in the released package, whose tests ask for it.
            return values.to_dense()
        if isinstance(values, pandas.api.extensions.ExtensionArray | pandas.Index):
            return values
        label = tree[key.replace("-value-", "-key-")]
        raise ValueError(
            f"column {label} holds one {type(values).__name__}, not an array: the released client "
            "stores only the first value of columns such as categories"
        )
    if values.ndim == 2:
        return NDArrayArray(values)
    if values.dtype.kind == "O":
        # pandas 3 would take text objects for strings.
        return pandas.Series(values, index=index, dtype=object, copy=False)
    return values


def _restore_columns(reader: Reader, tree: Tree) -> pandas.Index:
    bounds = tree.get("columns_range_")
    if bounds is not None:
        return pandas.RangeIndex(*json.loads(bounds))
    if "columns_index_" in tree:
        columns: pandas.Index = reader.part(tree, "columns_index_")
        return columns
    text = tree["columns_"]
    if len(text) > _REMEMBERED_LENGTH_MAX:
        return _labels(text)
    # A copy, because callers may write into `columns.values`.
    return _remembered_labels(text).copy(deep=True)


def _labels(text: str) -> pandas.Index:
    labels: pandas.Index = pandas.Index([as_label(label) for label in json.loads(text)])
    return labels


_remembered_labels = functools.lru_cache(maxsize=64)(_labels)


def restore_global(reader: Reader, tree: Tree) -> list[Any]:
    """The partitions of a global frame, as a list."""
    return [reader.part(tree, f"partitions_-{at}") for at in range(tree["partitions_-size"])]


def make_global_dataframe(
    client: Any, blocks: list[Any], extra_meta: Tree | None = None
) -> ObjectMeta:
    """Makes one frame of frames that may be on different instances, visible on all of them.

    Parameters:
        client: Client
            Any client of the cluster.
        blocks: list of ObjectID, ObjectMeta or Object
            The partitions, one below the other. They are persisted.
        extra_meta: dict or None
            Further metadata for the new object.

    Returns:
        ObjectMeta: the persisted global object, of type ``vineyard::GlobalDataFrame``.

    Raises:
        ObjectNotExistsException: a block does not exist.
    """
    fields = {"partition_shape_row_": len(blocks), "partition_shape_column_": 1}
    return make_global(client, "vineyard::GlobalDataFrame", blocks, fields, extra_meta)
