"""pyarrow arrays, also nested ones, as plain parts: types, lengths, and the numbers of buffers.

Promise: reading checks that the parts are consistent, and makes no type whose reading unpickles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow

from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.data._plain import NotPlain
from vineyard.data.arrow import type_from_text, type_to_text

_VIEWS = ("string_view", "binary_view", "list_view", "large_list_view")


def write(value: Any, place: Callable[[int, int], int]) -> list[Any]:
    """An array or chunked array; `place` gives the number of the buffer at an address, of a size.

    Raises:
        NotPlain: its type has no fixed number of parts, or is not one of Arrow's own.
    """
    if isinstance(value, pyarrow.ChunkedArray):
        chunks = [_parts(chunk.__reduce__()[1][0], place) for chunk in value.chunks]
        return ["arrow", type_to_text(value.type), True, chunks]
    if not isinstance(value, pyarrow.Array):
        raise NotPlain(type(value).__name__)
    parts = _parts(value.__reduce__()[1][0], place)
    return ["arrow", type_to_text(value.type), False, [parts]]


def _parts(data: Any, place: Callable[[int, int], int]) -> list[Any]:
    kind, length, nulls, offset, buffers, children, dictionary = data
    if isinstance(kind, pyarrow.BaseExtensionType) or str(kind).partition("<")[0] in _VIEWS:
        raise NotPlain(str(kind))
    places = [_place(buffer, place) for buffer in buffers]
    below = [_parts(child, place) for child in children or ()]
    keys = None if dictionary is None else _parts(dictionary, place)
    return [length, nulls, offset, places, below, keys]


def _place(buffer: Any, place: Callable[[int, int], int]) -> int | None:
    """The number of a buffer; -1 if it is empty, None without a buffer."""
    if buffer is None:
        return None
    return place(buffer.address, buffer.size) if buffer.size else -1


def read(rest: Any, buffers: Sequence[memoryview], refusal: PickleRefused) -> Any:
    """The value that :func:`write` was given."""
    text, is_chunked, chunks = rest
    kind = type_from_text(text, lambda: refusal)
    arrays = [_array(kind, parts, buffers) for parts in chunks]
    return pyarrow.chunked_array(arrays, kind) if is_chunked else arrays[0]


def _array(kind: pyarrow.DataType, parts: Any, buffers: Sequence[memoryview]) -> pyarrow.Array:
    if isinstance(kind, pyarrow.BaseExtensionType):
        raise ValueError(f"a plain array has no type {kind}")
    length, nulls, offset, places, below, keys = parts
    views = [
        None if at is None else pyarrow.py_buffer(b"" if at < 0 else buffers[at]) for at in places
    ]
    if pyarrow.types.is_dictionary(kind):
        dictionary = _array(kind.value_type, keys, buffers)
        array = pyarrow.DictionaryArray.from_buffers(kind, length, views, dictionary, nulls, offset)
    else:
        children = [_array(kind.field(at).type, child, buffers) for at, child in enumerate(below)]
        array = pyarrow.Array.from_buffers(kind, length, views, nulls, offset, children or None)
    array.validate(full=True)
    return array
