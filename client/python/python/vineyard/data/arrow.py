"""pyarrow arrays.

Promise: an array comes back equal and of its type, as a view of the shared memory, with these
widenings: offsets of text and lists are stored with 64 bits, and a bare StringArray comes back as
LargeStringArray, as with the released client. Of a slice only its own items are stored. Nested and
rarer types are pickled with their buffers in place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pyarrow

from vineyard.core.contexts.pickle_setting import REFUSE, PickleRefused
from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader

_FIXED_TYPES: dict[str, pyarrow.DataType] = {
    str(kind): kind
    for kind in (
        *(pyarrow.int8(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64()),
        *(pyarrow.uint8(), pyarrow.uint16(), pyarrow.uint32(), pyarrow.uint64()),
        *(pyarrow.float16(), pyarrow.float32(), pyarrow.float64()),
        *(pyarrow.date32(), pyarrow.date64()),
        *(pyarrow.time32(unit) for unit in ("s", "ms")),
        *(pyarrow.time64(unit) for unit in ("us", "ns")),
        *(pyarrow.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
        *(pyarrow.duration(unit) for unit in ("s", "ms", "us", "ns")),
    )
}

Refusal = Callable[[], PickleRefused]

# Extension types by name: pyarrow's that is a pickle, polars' whose values are addresses.
_UNSAFE_TYPES = (b"arrow.py_extension_type", b"POLARS_EXTENSION_TYPE")
_RARE_NAMES = ("run_end_encoded", *(f"{large}list_view" for large in ("", "large_")))
_RARE_NAMES += ("string_view", "binary_view")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")


def describe(draft: PutDraft, value: pyarrow.Array) -> Tree:
    """The tree of an array, by its type."""
    kind = value.type
    name = str(kind)
    if name in _FIXED_TYPES or pyarrow.types.is_timestamp(kind):
        return _describe_fixed(draft, value, f"vineyard::NumericArray<{name}>")
    if pyarrow.types.is_boolean(kind):
        return _describe_fixed(draft, value, "vineyard::BooleanArray")
    if pyarrow.types.is_null(kind):
        return {"typename": "vineyard::NullArray", "nbytes": 0, "length_": len(value)}
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return _describe_binary(draft, value, pyarrow.large_string(), "LargeStringArray")
    if pyarrow.types.is_large_binary(kind):
        return _describe_binary(draft, value, kind, "LargeBinaryArray")
    if _is_list(kind) and not is_rare(kind):
        return _describe_list(draft, compact(value))
    return default.describe(draft, value)


def _is_list(kind: pyarrow.DataType) -> bool:
    return bool(pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind))


def is_rare(kind: pyarrow.DataType) -> bool:
    """Whether an array of this type, or one inside it, is of those that pyarrow can neither cut nor
    cast in every version: run-end encoded, views, and extension types.
    """
    name = str(kind)
    if name.startswith(_RARE_NAMES) or isinstance(kind, pyarrow.BaseExtensionType):
        return True
    if pyarrow.types.is_dictionary(kind):
        return is_rare(kind.value_type)
    return any(is_rare(kind.field(at).type) for at in range(kind.num_fields))


def compact(value: pyarrow.Array) -> pyarrow.Array:
    """The array itself, or a copy if it is a slice of something larger."""
    if value.offset == 0 and nbytes(value) * 2 >= value.get_total_buffer_size():
        return value
    try:
        return pyarrow.concat_arrays([value, value.slice(0, 0)])
    except pyarrow.ArrowException:
        # Not every version joins arrays of every type: then the slice keeps its parent.
        return value


def nbytes(value: Any) -> int:
    """The bytes of an array, batch or table. Old pyarrow cannot say it of views: then of all their
    buffers.
    """
    try:
        return int(value.nbytes)
    except pyarrow.ArrowTypeError:
        return int(value.get_total_buffer_size())


def _describe_fixed(draft: PutDraft, value: pyarrow.Array, typename: str) -> Tree:
    bitmap, data = value.buffers()
    offset = value.offset
    stored = _stored(draft, data)
    if stored is None:
        # Bitmaps can only be cut at whole bytes.
        begin = offset - offset % 8
        end = offset + len(value)
        offset -= begin
        bits = value.type.bit_width
        stored = draft.blob(_cut(data, begin * bits // 8, (end * bits + 7) // 8))
        bitmap = None if bitmap is None else bitmap.slice(begin // 8, (end + 7) // 8 - begin // 8)
    return {
        "typename": typename,
        **_common(draft, value, bitmap, offset),
        "buffer_": stored,
    }


def _common(draft: PutDraft, value: pyarrow.Array, bitmap: Any, offset: int) -> Tree:
    nulls = value.null_count
    return {
        "nbytes": nbytes(value),
        "length_": len(value),
        "null_count_": nulls,
        "offset_": offset,
        "null_bitmap_": _stored(draft, bitmap) or draft.blob(bitmap) if nulls else draft.blob(b""),
    }


def _stored(draft: PutDraft, buffer: Any) -> Tree | None:
    """The blob that `buffer` lies in, from its first byte."""
    return draft.shared(buffer.address) if buffer is not None and buffer.size else None


def _cut(buffer: Any, begin: int, end: int) -> Any:
    if buffer is None or end == begin:
        return b""
    return buffer.slice(begin, end - begin)


def _describe_binary(
    draft: PutDraft, value: pyarrow.Array, kind: pyarrow.DataType, cpp_name: str
) -> Tree:
    if value.type != kind:
        value = value.cast(kind)
    bitmap, offsets, data = value.buffers()
    first, last = _bounds(value)
    offset = value.offset
    stored = _stored(draft, data)
    if stored is None and (offset or first):
        value = pyarrow.concat_arrays([value, value.slice(0, 0)])
        bitmap, offsets, data = value.buffers()
        offset, last = 0, _bounds(value)[1]
    if stored is None:
        stored = draft.blob(_cut(data, 0, last))
    # Even an empty array has one offset.
    ends = (offset + len(value) + 1) * 8
    if offsets is None or offsets.size < ends:
        offsets_blob = draft.blob(bytes(ends))
    else:
        offsets_blob = _stored(draft, offsets) or draft.blob(offsets.slice(0, ends))
    if bitmap is not None:
        bitmap = bitmap.slice(0, (offset + len(value) + 7) // 8)
    return {
        "typename": f"vineyard::BaseBinaryArray<arrow::{cpp_name}>",
        **_common(draft, value, bitmap, offset),
        "buffer_offsets_": offsets_blob,
        "buffer_data_": stored,
    }


def _bounds(value: pyarrow.Array) -> tuple[int, int]:
    """Where the bytes of a large binary array begin and end in its data buffer."""
    if len(value) == 0:
        return 0, 0
    offsets = memoryview(value.buffers()[1]).cast("B").cast("q")
    return offsets[value.offset], offsets[value.offset + len(value)]


def _describe_list(draft: PutDraft, value: pyarrow.Array) -> Tree:
    kind = value.type
    if value.offset:
        value = pyarrow.concat_arrays([value, value.slice(0, 0)])
    if pyarrow.types.is_list(kind):
        value = value.cast(pyarrow.large_list(kind.value_field))
    bitmap, offsets = value.buffers()[:2]
    ends = (len(value) + 1) * 8
    if offsets is None or offsets.size < ends:
        stored = draft.blob(bytes(ends))
    else:
        stored = _stored(draft, offsets) or draft.blob(offsets)
    return {
        "typename": "vineyard::LargeListArray",
        **_common(draft, value, bitmap, 0),
        "arrow_type_": type_to_text(kind),
        "buffer_offsets_": stored,
        "values_": draft.part(value.values),
    }


def type_to_text(kind: pyarrow.DataType) -> str:
    """A data type exactly, with the names and metadata of its fields, as ASCII text."""
    schema = pyarrow.schema([pyarrow.field("", kind)])
    return base64.b64encode(schema.serialize()).decode("ascii")


def type_from_text(text: str, refusal: Refusal | None) -> pyarrow.DataType:
    """The value that :func:`type_to_text` was given; `refusal` as for :func:`parse_schema`."""
    return parse_schema(base64.b64decode(text), refusal).field(0).type


def parse_schema(text: bytes, refusal: Refusal | None) -> pyarrow.Schema:
    """The schema of its bytes. With a `refusal`, that is raised for types that would unpickle
    themselves, or whose values are addresses.
    """
    if refusal is not None and any(name in text for name in _UNSAFE_TYPES):
        raise refusal()
    return pyarrow.ipc.read_schema(pyarrow.py_buffer(text))


def refusal_of(reader: Reader) -> Refusal | None:
    """How a reader refuses pickles; None if it reads them."""
    return reader.refusal if reader.pickle == REFUSE else None


def _fixed_type(typename: str) -> pyarrow.DataType:
    if typename == "vineyard::BooleanArray":
        return pyarrow.bool_()
    name = typename.partition("<")[2][:-1]
    kind = _FIXED_TYPES.get(name)
    if kind is None:
        zoned = _ZONED.fullmatch(name)
        kind = pyarrow.timestamp(zoned[1], zoned[2]) if zoned else _CPP_TYPES[name]
    return kind


# How C++ writes the types whose Arrow names differ.
_CPP_TYPES: dict[str, pyarrow.DataType] = {
    "int": pyarrow.int32(),
    "float32": pyarrow.float32(),
    "float64": pyarrow.float64(),
}


def _bitmap(reader: Reader, tree: Tree) -> Any:
    return pyarrow.py_buffer(reader.blob(tree["null_bitmap_"])) if tree["null_count_"] else None


def restore_fixed(reader: Reader, tree: Tree) -> pyarrow.Array:
    """The array of a tree whose elements all have the same size."""
    data = pyarrow.py_buffer(reader.blob(tree["buffer_"]))
    return pyarrow.Array.from_buffers(
        _fixed_type(tree["typename"]),
        tree["length_"],
        [_bitmap(reader, tree), data],
        tree["null_count_"],
        tree["offset_"],
    )


def restore_null(reader: Reader, tree: Tree) -> pyarrow.Array:
    """The array of nulls of a tree."""
    return pyarrow.nulls(tree["length_"])


def restore_binary(reader: Reader, tree: Tree) -> pyarrow.Array:
    """The array of text or bytes of a tree, with 64-bit offsets."""
    is_text = tree["typename"].endswith("StringArray>")
    return pyarrow.Array.from_buffers(
        pyarrow.large_string() if is_text else pyarrow.large_binary(),
        tree["length_"],
        [
            _bitmap(reader, tree),
            pyarrow.py_buffer(reader.blob(tree["buffer_offsets_"])),
            pyarrow.py_buffer(reader.blob(tree["buffer_data_"])),
        ],
        tree["null_count_"],
        tree["offset_"],
    )


def restore_list(reader: Reader, tree: Tree) -> pyarrow.Array:
    """The array of lists of a tree; large lists if another client wrote it."""
    values = reader.part(tree, "values_")
    text = tree.get("arrow_type_")
    kind = type_from_text(text, refusal_of(reader)) if text else pyarrow.large_list(values.type)
    if values.type != kind.value_type:
        values = values.cast(kind.value_type)
    array = pyarrow.Array.from_buffers(
        pyarrow.large_list(kind.value_field),
        tree["length_"],
        [_bitmap(reader, tree), pyarrow.py_buffer(reader.blob(tree["buffer_offsets_"]))],
        tree["null_count_"],
        tree["offset_"],
        children=[values],
    )
    return array if array.type == kind else array.cast(kind)
