"""pandas arrays that are more than a numpy array: dates with zones, categories, nullable, Arrow and
sparse ones.

Promise: they come back as they were, on views of the shared memory. They are pickled as calls of
public constructors, so that pandas 2 and 3 read each other's, and the released client reads them
wherever it reads its own.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy
import pandas

from vineyard.data import default, strings
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._reduce import Call
from vineyard.data.utils import from_text, to_text


def describe(draft: PutDraft, values: Any) -> Tree:
    """The tree of a pandas extension array as a column of a frame."""
    if isinstance(values, pandas.arrays.SparseArray):
        return draft.part(values)
    if isinstance(values.dtype, pandas.StringDtype):
        text = strings.describe_strings(draft, values)
        if text is not None:
            return text
    return default.describe(draft, program(values))


def program(values: Any) -> Any:
    """An object that is pickled as calls that make `values`; `values` if their kind is unknown."""
    build = _PROGRAMS.get(type(values).__name__)
    return values if build is None else build(values)


def _datetime(values: Any) -> Call:
    if values.tz is None:
        return Call(pandas.array, values.to_numpy(), None, False)
    # Integers are taken as times since the epoch, in the unit of the dtype.
    dtype = Call(pandas.DatetimeTZDtype, values.unit, values.tz)
    return Call(pandas.array, values.view("i8"), dtype, False)


def _timedelta(values: Any) -> Call:
    return Call(pandas.array, values.to_numpy(), None, False)


def _period(values: Any) -> Call:
    dtype = Call(pandas.PeriodDtype, frequency_name(values.dtype))
    return Call(pandas.arrays.PeriodArray, values.view("i8"), dtype)


def frequency_name(dtype: Any) -> str:
    """The frequency as its dtype takes it, out of a name like ``period[Q-DEC]``."""
    name: str = dtype.name.partition("[")[2][:-1]
    return name


def _interval(values: Any) -> Call:
    left, right = index_program(values.left), index_program(values.right)
    return Call(pandas.arrays.IntervalArray.from_arrays, left, right, values.closed)


def _categorical(values: Any) -> Call:
    categories = index_program(values.categories)
    return Call(pandas.Categorical.from_codes, values.codes, categories, bool(values.ordered))


def _masked(values: Any) -> Call:
    plain, mask = getattr(values, "_data", None), getattr(values, "_mask", None)
    if not isinstance(plain, numpy.ndarray) or not isinstance(mask, numpy.ndarray):
        # The public methods give the same, as copies.
        plain, mask = values.to_numpy(values.dtype.numpy_dtype, na_value=1), values.isna()
    return Call(_PUBLIC_MASKED[values.dtype.kind], plain, mask)


def _arrow(values: Any) -> Call:
    return Call(pandas.arrays.ArrowExtensionArray, values.__arrow_array__())


def _text(values: Any) -> Call:
    """Text by its Arrow array where pandas stores one, else by its objects."""
    dtype = values.dtype
    is_arrow = dtype.storage == "pyarrow"
    if dtype.na_value is pandas.NA:
        text = values.__arrow_array__() if is_arrow else values.to_numpy(object, na_value=None)
        return Call(functools.partial(pandas.array, dtype=f"string[{dtype.storage}]"), text)
    text = values.__arrow_array__() if is_arrow else values.to_numpy(object)
    if _is_usual(dtype):
        # pandas before 2.3 has no such dtype, and reads this as objects.
        return Call(getattr, Call(functools.partial(pandas.Series, dtype="str"), text), "array")
    exact = Call(functools.partial(pandas.StringDtype, na_value=dtype.na_value), dtype.storage)
    return Call(functools.partial(pandas.array, dtype=exact), text)


def _is_usual(dtype: Any) -> bool:
    """Whether a dtype of text is the one that pandas 3 calls `str`."""
    usual: Any = pandas.StringDtype(na_value=numpy.nan)
    return bool(dtype == usual and dtype.storage == usual.storage)


def _of_numpy(values: Any) -> Call:
    return Call(pandas.arrays.NumpyExtensionArray, values.to_numpy())


_PUBLIC_MASKED = {
    "i": pandas.arrays.IntegerArray,
    "u": pandas.arrays.IntegerArray,
    "f": pandas.arrays.FloatingArray,
    "b": pandas.arrays.BooleanArray,
}

_PROGRAMS = {
    "DatetimeArray": _datetime,
    "TimedeltaArray": _timedelta,
    "PeriodArray": _period,
    "IntervalArray": _interval,
    "Categorical": _categorical,
    "IntegerArray": _masked,
    "FloatingArray": _masked,
    "BooleanArray": _masked,
    "ArrowExtensionArray": _arrow,
    "ArrowStringArray": _text,
    "StringArray": _text,
    "StringArrayNumpySemantics": _text,
    "NumpyExtensionArray": _of_numpy,
}


def index_program(index: Any) -> Any:
    """An object that is pickled as calls that make a pandas index, with its names."""
    kind: Any = type(index)
    name = index.name
    if kind is pandas.RangeIndex:
        of_range = functools.partial(pandas.RangeIndex, name=name)
        return Call(of_range, index.start, index.stop, index.step)
    if kind is pandas.MultiIndex:
        levels = [index_program(level) for level in index.levels]
        codes = [numpy.asarray(level_codes) for level_codes in index.codes]
        # Not verified: the constructor would say -1 for a level that is missing.
        said = {"names": list(index.names), "sortorder": index.sortorder, "verify_integrity": False}
        return Call(functools.partial(pandas.MultiIndex, **said), levels, codes)
    if isinstance(index.dtype, pandas.StringDtype):
        return _text_index(index)
    if kind not in _INDEX_KINDS:
        return index
    freq = getattr(index, "freq", None)
    if kind in (pandas.DatetimeIndex, pandas.TimedeltaIndex):
        make = functools.partial(kind, freq=freq, name=name)
    elif isinstance(index.dtype, numpy.dtype):
        # Without the dtype, pandas would make text or numbers of objects.
        make = functools.partial(pandas.Index, dtype=index.dtype, name=name)
        return Call(make, index.to_numpy())
    else:
        make = functools.partial(kind, name=name)
    return Call(make, program(index.array))


def _text_index(index: Any) -> Call:
    """An index of text: a short one by its objects, which is quicker to make."""
    dtype, name = index.dtype, index.name
    is_usual = dtype.na_value is not pandas.NA and _is_usual(dtype)
    if len(index) > _TEXTS_MAX or not (is_usual or dtype.na_value is pandas.NA):
        return Call(functools.partial(pandas.Index, name=name), program(index.array))
    text = "str" if is_usual else f"string[{dtype.storage}]"
    return Call(functools.partial(pandas.Index, dtype=text, name=name), index.to_numpy(object))


# Up to so many texts objects are quicker than an Arrow array of them.
_TEXTS_MAX = 1_000

_INDEX_KINDS = (
    pandas.Index,
    pandas.DatetimeIndex,
    pandas.TimedeltaIndex,
    pandas.PeriodIndex,
    pandas.IntervalIndex,
    pandas.CategoricalIndex,
)


def describe_sparse(draft: PutDraft, value: Any) -> Tree:
    """The tree of a SparseArray: its stored values, and where they are."""
    index = value.sp_index
    dtype = value.dtype
    tree: Tree = {
        "typename": f"vineyard::SparseArray<{dtype}>",
        "nbytes": 0,
        "value_type_": str(dtype),
        "fill_exact_": to_text(dtype.fill_value),
        "sp_kind_": value.kind,
        "sp_index_name": "IntIndex",
        "sp_index_size": len(value),
        "sp_index": draft.part(index.to_int_index().indices),
        "sp_values": draft.part(numpy.asarray(value.sp_values)),
    }
    return tree


def restore_sparse(reader: Reader, tree: Tree) -> Any:
    """The SparseArray of a tree."""
    values = reader.part(tree, "sp_values")
    size, indices = tree["sp_index_size"], numpy.asarray(reader.part(tree, "sp_index"))
    index_kind = "block" if tree.get("sp_kind_") == "block" else "integer"
    exact = tree.get("fill_exact_")
    fill = from_text(reader, exact) if exact else _fill_value(tree["value_type_"], values.dtype)
    return sparse_array(values, indices, size, fill, index_kind)


def sparse_array(values: Any, indices: Any, size: int, fill: Any, index_kind: str) -> Any:
    """The SparseArray of its stored values and where they are.

    Raises:
        ValueError: there are not as many values as places.
    """
    if values.shape != indices.shape:
        raise ValueError(f"a sparse array of {values.shape} values in {indices.shape} places")
    sparse: Any = pandas.arrays.SparseArray
    if hasattr(sparse, "from_indices"):
        return sparse.from_indices(values, indices, size, fill, kind=index_kind)
    # Before pandas 3.1. The class of indices has no public name, but every sparse array has one.
    index = type(sparse([0]).sp_index)(size, indices)
    if index_kind == "block":
        index = index.to_block_index()
    dtype = pandas.SparseDtype(values.dtype, fill)
    return sparse(values, sparse_index=index, fill_value=fill, dtype=dtype)


def _fill_value(text: str, dtype: numpy.dtype[Any]) -> Any:
    """The fill value that the text of a sparse dtype names, as in ``Sparse[int64, 0]``."""
    name = text.rpartition(",")[2].strip(" ]")
    if dtype.kind == "b":
        return name == "True"
    return pandas.NaT if name == "NaT" else dtype.type(name)
