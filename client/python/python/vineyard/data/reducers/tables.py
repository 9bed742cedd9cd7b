"""How values of pyarrow are pickled: arrays cut to their rows, types with every detail, scalars.

Promise: reading names pyarrow's own functions alone.
"""

from __future__ import annotations

import operator
from typing import Any

import pyarrow

from vineyard.data._reduce import Call, Reducer, method
from vineyard.data.arrow import compact


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for objects of exactly this class, or None: they pickle themselves."""
    for of, reduce in _OF_KIND:
        if issubclass(kind, of):
            return reduce
    return None


def _reduce_array(value: Any) -> Any:
    return compact(value).__reduce__()


def _reduce_batch(value: pyarrow.RecordBatch) -> Any:
    return value.__reduce__() if value.num_columns else _rows(value)


def _reduce_table(value: pyarrow.Table) -> Any:
    if value.num_columns:
        return value.__reduce__()
    return method(pyarrow.Table, "from_batches"), ([Call(*_called(_rows(value)))],)


def _called(reduced: Any) -> tuple[Any, ...]:
    function, arguments = reduced
    return function, *arguments


def _rows(value: Any) -> Any:
    """A batch without columns: its number of rows, and its metadata."""
    structs = pyarrow.Array.from_buffers(pyarrow.struct([]), value.num_rows, [None])
    batch = Call(method(pyarrow.RecordBatch, "from_struct_array"), structs)
    replace = method(pyarrow.RecordBatch, "replace_schema_metadata")
    return replace, (batch, value.schema.metadata)


def _reduce_scalar(value: pyarrow.Scalar) -> Any:
    """The item of an array of one: not every scalar is made again of what Python has for it."""
    try:
        array = _array_of(value)
    except (pyarrow.ArrowException, TypeError, ValueError):
        return NotImplemented
    return operator.getitem, (array, 0)


def _array_of(value: Any) -> pyarrow.Array:
    if isinstance(value, pyarrow.ExtensionScalar):
        storage = value.value
        kind = value.type.storage_type
        inner = pyarrow.nulls(1, kind) if storage is None else _array_of(storage)
        return pyarrow.ExtensionArray.from_storage(value.type, inner)
    array = pyarrow.repeat(value, 1)
    if array.type != value.type or array[0].is_valid != value.is_valid:
        raise ValueError(f"an array of one {value.type} is one of {array.type}")
    return array


def _reduce_map_type(kind: Any) -> Any:
    """pyarrow's own pickling leaves out whether the keys are sorted."""
    return pyarrow.map_, (kind.key_field, kind.item_field, kind.keys_sorted)


def _reduce_fixed_list_type(kind: Any) -> Any:
    """pyarrow's own pickling leaves out all of the item but its type."""
    return pyarrow.list_, (kind.value_field, kind.list_size)


_OF_KIND: tuple[tuple[type, Reducer], ...] = (
    (pyarrow.Array, _reduce_array),
    (pyarrow.RecordBatch, _reduce_batch),
    (pyarrow.Table, _reduce_table),
    (pyarrow.Scalar, _reduce_scalar),
    (pyarrow.MapType, _reduce_map_type),
    (pyarrow.FixedSizeListType, _reduce_fixed_list_type),
)
