"""pyarrow arrays, batches, tables and types.

Promise: every array is validated before it is used, and no type is made that reads its own bytes.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow

from vineyard.data.arrow import child_length
from vineyard.data.restoring.checks import NotListed, check, is_bytes

_VIEWS = ("string_view", "binary_view", "list_view", "large_list_view")
_PARTS = 7
_CODES = 128
_LEVELS_MAX = 200
# A type takes more, and as long to look at.
_LEVEL_BYTES = 64
_SIZE_MAX = (1 << 31) - 1


def kind(machine: Any, make: Any, *arguments: Any) -> Any:
    """A type, field or schema, of types, names and numbers."""
    for argument in arguments:
        check(not callable(argument), "a function")
        _check_depth(machine, argument)
        # pyarrow does not check the sizes of some types.
        sizes = [argument] if type(argument) is int else argument
        if type(sizes) in (list, tuple) and all(type(size) is int for size in sizes):
            is_scale = make.__name__.startswith("decimal")
            check(is_scale or all(size >= 0 for size in sizes), "a type of a negative size")
            check(math.prod(sizes) <= _SIZE_MAX, "a type of a size beyond 32 bits")
        # pandas may open a file of that name.
        is_file = type(argument) is str and argument.startswith("dateutil/")
        check(not is_file or make.__name__ != "timestamp", "a zone of files")
    return make(*arguments)


def _check_depth(machine: Any, argument: Any) -> None:
    """Raises ValueError for a type inside of too many others: their functions call themselves."""
    inside = [(one, 0) for one in (argument if type(argument) in (list, tuple) else [argument])]
    while inside:
        one, level = inside.pop()
        if isinstance(one, pyarrow.Field):
            one = one.type
        if not isinstance(one, pyarrow.DataType):
            continue
        check(level < _LEVELS_MAX, "a type of too many levels")
        machine.budget.take(_LEVEL_BYTES)
        if isinstance(one, pyarrow.BaseExtensionType):
            inside.append((one.storage_type, level + 1))
        elif pyarrow.types.is_dictionary(one):
            inside.append((one.value_type, level + 1))
        inside += [(one.field(at), level + 1) for at in range(one.num_fields)]


def union(machine: Any, make: Any, fields: Any, mode: Any, codes: Any) -> Any:
    """The type of a union, whose codes pyarrow uses as places in an array of 128."""
    check(type(fields) is list and _all(fields, pyarrow.Field), "the fields of a union")
    _check_depth(machine, fields)
    check(type(codes) is list and len(codes) == len(set(codes)) == len(fields), "its codes")
    check(all(type(code) is int and 0 <= code < _CODES for code in codes), "its codes")
    return make(fields, mode, codes)


def buffer(machine: Any, make: Any, content: Any) -> Any:
    """A buffer over bytes of the pickle."""
    check(is_bytes(content), "a buffer of no bytes")
    return pyarrow.py_buffer(content)


def array(machine: Any, make: Any, data: Any) -> pyarrow.Array:
    """An array of its parts, as pyarrow pickles them."""
    made = _array(data)
    made.validate(full=True)
    return made


def _array(data: Any) -> pyarrow.Array:
    check(type(data) is tuple and len(data) == _PARTS, "the parts of an array")
    of, length, nulls, offset, buffers, children, dictionary = data
    check(isinstance(of, pyarrow.DataType), "the type of an array")
    check(all(type(one) is int for one in (length, nulls, offset)), "the size of an array")
    check(length >= 0 and offset >= 0 and nulls >= -1, "the size of an array")
    check(all(one is None or isinstance(one, pyarrow.Buffer) for one in buffers), "buffers")
    if isinstance(of, pyarrow.BaseExtensionType):
        storage = _array((of.storage_type, *data[1:]))
        storage.validate(full=True)
        return pyarrow.ExtensionArray.from_storage(of, storage)
    if str(of).partition("<")[0] in _VIEWS:
        # Their number of buffers is not fixed, and old versions do not check it.
        raise NotListed(f"an array of type {of}")
    # pyarrow reads those of a dictionary before it counts them.
    check(len(buffers) == of.num_buffers, "the number of buffers")
    if pyarrow.types.is_dictionary(of):
        keys = _array(dictionary)
        keys.validate(full=True)
        check(keys.type == of.value_type, "the dictionary of an array")
        return pyarrow.DictionaryArray.from_buffers(of, length, buffers, keys, nulls, offset)
    below = [_array(child) for child in children]
    check(len(below) == of.num_fields, "the children of an array")
    for at, child in enumerate(below):
        check(child.type == of.field(at).type, "the children of an array")
        check(len(child) >= child_length(of, offset + length), "the length of a child")
    return pyarrow.Array.from_buffers(of, length, buffers, nulls, offset, below or None)


def chunks(machine: Any, make: Any, arrays: Any, of: Any) -> pyarrow.ChunkedArray:
    """A chunked array."""
    check(type(arrays) is list and _all(arrays, pyarrow.Array), "chunks")
    check(isinstance(of, pyarrow.DataType), "the type of chunks")
    return pyarrow.chunked_array(arrays, of)


def batch(machine: Any, make: Any, columns: Any, schema: Any) -> pyarrow.RecordBatch:
    """A record batch."""
    return _of_columns(pyarrow.RecordBatch, columns, pyarrow.Array, schema)


def table(machine: Any, make: Any, columns: Any, schema: Any) -> pyarrow.Table:
    """A table."""
    return _of_columns(pyarrow.Table, columns, pyarrow.ChunkedArray, schema)


def rows(machine: Any, make: Any, structs: Any) -> pyarrow.RecordBatch:
    """A batch of an array of structures."""
    check(isinstance(structs, pyarrow.StructArray), "structures")
    return pyarrow.RecordBatch.from_struct_array(structs)


def noted(machine: Any, make: Any, batch: Any, metadata: Any) -> pyarrow.RecordBatch:
    """A batch with metadata."""
    check(isinstance(batch, pyarrow.RecordBatch), "a batch")
    return batch.replace_schema_metadata(metadata)


def table_of_batches(machine: Any, make: Any, batches: Any) -> pyarrow.Table:
    """A table of batches."""
    check(type(batches) is list and _all(batches, pyarrow.RecordBatch), "batches")
    return pyarrow.Table.from_batches(batches)


def item(machine: Any, make: Any, array: Any, at: Any) -> Any:
    """One item of an array, as a scalar."""
    check(isinstance(array, pyarrow.Array) and type(at) is int, "an item of no array")
    return array[at]


def _of_columns(make: Any, columns: Any, kind: type, schema: Any) -> Any:
    check(type(columns) is list and _all(columns, kind), "columns")
    check(isinstance(schema, pyarrow.Schema), "a schema")
    made = make.from_arrays(columns, schema=schema)
    made.validate()
    return made


def _all(values: list[Any], kind: type) -> bool:
    return all(isinstance(value, kind) for value in values)
