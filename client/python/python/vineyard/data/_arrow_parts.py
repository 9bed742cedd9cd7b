"""pyarrow arrays, also nested ones, as the plain parts that earlier builds wrote: types, lengths,
and the numbers of buffers.

Promise: reading checks that the parts are consistent, and makes no type whose reading unpickles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow

from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.data.arrow import type_from_text


def read(rest: Any, buffers: Sequence[memoryview], refusal: PickleRefused) -> Any:
    """An array or chunked array of its type as text, whether it is chunked, and its chunks."""
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
