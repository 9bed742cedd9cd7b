"""Arrays of text in the Arrow layout: one blob of 64-bit offsets, one of UTF-8.

Promise: what is described as text here comes back equal, and missing values stay what they were.
Arrays with anything but text in them are left to others.
"""

from __future__ import annotations

from typing import Any

import numpy

from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader

# So many items of a numpy array are made into Arrow text at a time.
_CHUNK_ITEMS = 1 << 16


def describe_objects(draft: PutDraft, value: numpy.ndarray[Any, Any]) -> Tree | None:
    """The text of a numpy array of str or of objects that are all exactly str; None if that cannot
    be done.
    """
    if value.size == 0 or value.dtype.kind not in "OU":
        return None
    flat = value.reshape(-1)
    is_text = value.dtype.kind == "U"
    chunks = []
    for begin in range(0, flat.size, _CHUNK_ITEMS):
        # Of an array of text, so many str objects are there at a time.
        items = flat[begin : begin + _CHUNK_ITEMS].tolist()
        if not is_text and set(map(type, items)) != {str}:
            return None
        try:
            import pyarrow

            chunks.append(pyarrow.array(items, pyarrow.large_string()))
        except (ImportError, UnicodeEncodeError):
            # Without pyarrow, or with lone surrogates in the text, the array is pickled.
            return None
    return _text(draft, chunks)


def _text(draft: PutDraft, chunks: list[Any]) -> Tree:
    """The tree of Arrow arrays of large text, one after the other, which are not joined before."""
    if len(chunks) == 1:
        return draft.part(chunks[0])
    import pyarrow

    offsets, data = [], []
    end = 0
    for chunk in chunks:
        _, positions, content = chunk.buffers()
        if not len(chunk):
            continue
        at = numpy.frombuffer(positions, "i8")[chunk.offset : chunk.offset + len(chunk) + 1]
        first, last = int(at[0]), int(at[-1])
        # The first of the next chunk is the last of this one.
        offsets.append(at[:-1] if end == first else at[:-1] + (end - first))
        data.append(content.slice(first, last - first) if last > first else b"")
        end += last - first
    offsets.append(numpy.array([end]))
    whole = pyarrow.chunked_array(chunks, pyarrow.large_string())
    bitmap: Any = b""
    if whole.null_count:
        valid = pyarrow.concat_arrays(whole.is_valid().chunks)
        bitmap = valid.buffers()[1]
    return {
        "typename": "vineyard::BaseBinaryArray<arrow::LargeStringArray>",
        "nbytes": whole.nbytes,
        "length_": len(whole),
        "null_count_": whole.null_count,
        "offset_": 0,
        "null_bitmap_": draft.blob(bitmap),
        "buffer_offsets_": draft.blob_of(offsets),
        "buffer_data_": draft.blob_of(data),
    }


def to_objects(text: Any) -> numpy.ndarray[Any, Any]:
    """A numpy array of str objects, None where the Arrow array `text` has null."""
    objects: numpy.ndarray[Any, Any] = text.to_numpy(zero_copy_only=False)
    return objects


def to_array(text: Any, dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
    """A numpy array of a dtype of text; few objects of str are there at a time."""
    array = numpy.empty(len(text), dtype)
    for begin in range(0, len(text), _CHUNK_ITEMS):
        chunk = text.slice(begin, _CHUNK_ITEMS)
        array[begin : begin + len(chunk)] = to_objects(chunk)
    return array


def describe_strings(draft: PutDraft, value: Any) -> Tree | None:
    """The tree of a pandas array of dtype string, as a text tensor that says which kind of string
    dtype it is; None with text that UTF-8 cannot carry, such as lone surrogates.
    """
    import pyarrow

    try:
        array = value.__arrow_array__().cast(pyarrow.large_string())
    except UnicodeEncodeError:
        return None
    chunks = array.chunks if isinstance(array, pyarrow.ChunkedArray) else [array]
    na_is_nan = value.dtype.na_value is not _missing()
    return {
        "typename": "vineyard::Tensor<std::string>",
        "nbytes": array.nbytes,
        "shape_": f"[{len(array)}]",
        "partition_index_": "[]",
        "order_": '"C"',
        "value_type_": "string",
        "value_type_meta_": "str",
        "string_storage_": value.dtype.storage,
        "string_na_": "nan" if na_is_nan else "NA",
        "buffer_": _text(draft, chunks),
    }


def restore_strings(reader: Reader, tree: Tree) -> Any:
    """The pandas string array that :func:`describe_strings` was given.

    pandas before 2.3 has no string dtype whose missing value is NaN: there it becomes one with
    `NA`.
    """
    storage = tree["string_storage_"]
    # Only Arrow's storage keeps the memory that it is made of.
    part = reader.part if storage == "pyarrow" else reader.shared_part
    return string_dtype(storage, tree["string_na_"]).__from_arrow__(part(tree, "buffer_"))


def string_dtype(storage: str, na: str) -> Any:
    """The pandas string dtype with this storage and missing value (``nan`` or ``NA``)."""
    import pandas

    if na == "nan":
        try:
            return pandas.StringDtype(storage, numpy.nan)
        except TypeError:
            pass
    return pandas.StringDtype(storage)


def _missing() -> Any:
    import pandas

    return pandas.NA
