"""Arrays of text in the Arrow layout: one blob of 64-bit offsets, one of UTF-8.

Promise: what is described as text here comes back equal, and missing values stay what they were.
Arrays with anything but text in them are left to others.
"""

from __future__ import annotations

from typing import Any

import numpy

from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader


def describe_objects(draft: PutDraft, value: numpy.ndarray[Any, Any]) -> Tree | None:
    """The text of a numpy array of str or of objects that are all exactly str; None if that cannot
    be done.
    """
    if value.size == 0 or value.dtype.kind not in "OU":
        return None
    items = value.reshape(-1).tolist()
    if value.dtype.kind != "U" and set(map(type, items)) != {str}:
        return None
    try:
        import pyarrow

        array = pyarrow.array(items, pyarrow.large_string())
    except (ImportError, UnicodeEncodeError):
        # Without pyarrow, or with lone surrogates in the text, the array is pickled.
        return None
    return draft.part(array)


def to_objects(text: Any) -> numpy.ndarray[Any, Any]:
    """A numpy array of str objects, None where the Arrow array `text` has null."""
    objects: numpy.ndarray[Any, Any] = text.to_numpy(zero_copy_only=False)
    return objects


def describe_strings(draft: PutDraft, value: Any) -> Tree | None:
    """The tree of a pandas array of dtype string, as a text tensor that says which kind of string
    dtype it is; None with text that UTF-8 cannot carry, such as lone surrogates.
    """
    import pyarrow

    try:
        array = value.__arrow_array__()
    except UnicodeEncodeError:
        return None
    if isinstance(array, pyarrow.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pyarrow.ChunkedArray):
            array = array.chunk(0)
    array = array.cast(pyarrow.large_string())
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
        "buffer_": draft.part(array),
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
