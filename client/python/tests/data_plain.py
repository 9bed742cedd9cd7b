"""Values as plain text, without what differs between versions of libraries: to compare what two
clients read.

Runs under the released client too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse


def plain(value: Any) -> str:
    """The content of `value`: kinds of containers, labels and items; no dtypes."""
    return repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview | bytes | pa.Buffer):
        return bytes(value)
    if scipy.sparse.issparse(value):
        return "sparse", value.format, value.toarray().tolist()
    if isinstance(value, np.ndarray):
        return "array", value.shape, _items(value.reshape(-1))
    if isinstance(value, pd.DataFrame):
        columns = [_items(value.iloc[:, at]) for at in range(value.shape[1])]
        return "frame", _items(value.columns), _items(value.index), columns
    if isinstance(value, pd.Series):
        return "series", _item(value.name), _items(value.index), _items(value)
    if isinstance(value, pd.Index):
        return "index", _item(value.name), _items(value)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return "extension", _items(value)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return "arrow", _arrow_items(value)
    if isinstance(value, pa.RecordBatch | pa.Table):
        columns = [_arrow_items(column) for column in value.columns]
        return "table", value.column_names, columns
    if isinstance(value, pa.Schema):
        return "schema", value.names
    if isinstance(value, pl.DataFrame):
        return "polars", value.columns, _items(value.rows())
    if isinstance(value, pl.Series):
        return "polars", _items(value.to_list())
    if isinstance(value, dict):
        return {_item(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        # The released client makes tuples of lists.
        return tuple(_plain(item) for item in value)
    return _item(value)


def _items(values: Any) -> list[Any]:
    return [_item(item) for item in values]


def _arrow_items(values: Any) -> list[Any]:
    """Times without their zone, and with nanoseconds, which Python's own lack."""
    if pa.types.is_temporal(values.type):
        width = pa.int32() if values.type.bit_width == 32 else pa.int64()
        return values.cast(width).to_pylist()
    return [_item(item) for item in values.to_pylist()]


def _item(item: Any) -> Any:
    if isinstance(item, tuple | list):
        return tuple(_item(part) for part in item)
    if isinstance(item, dict):
        # A map may come as a list of pairs, or as one of structures.
        return tuple(_item(part) for part in item.values())
    if isinstance(item, np.ndarray):
        return tuple(_item(part) for part in item.tolist())
    if isinstance(item, np.void):
        return item.tobytes()
    if item is None or ((np.isscalar(item) or item is pd.NaT or item is pd.NA) and pd.isna(item)):
        return "missing"
    if isinstance(item, np.datetime64):
        return str(pd.Timestamp(item))
    if isinstance(item, np.timedelta64):
        return str(pd.Timedelta(item))
    if isinstance(item, pd.Timestamp | pd.Timedelta | pd.Period | pd.Interval):
        return str(item)
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, np.generic):
        return str(item)
    if isinstance(item, bool):
        return int(item)
    if isinstance(item, float) and item.is_integer():
        return int(item)
    return item
