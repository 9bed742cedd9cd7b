"""The names that a pickle may have where pickles are refused, and what is called for each.

docs/python-types.md lists them, and a test compares. What a name stands for is looked up in the
library when a pickle first has it; it is never called from here, only compared and handed on as a
value. What is called is the function of this folder beside it.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, NamedTuple

from vineyard.data._zones import ZONES
from vineyard.data.restoring.checks import NotListed, check

_INDEXES = ("Index", "CategoricalIndex", "IntervalIndex", "PeriodIndex")
_TIMES = ("DatetimeIndex", "TimedeltaIndex")
_MASKED = ("BooleanArray", "FloatingArray", "IntegerArray")
_MASKED_DTYPES = (
    "BooleanDtype",
    *(f"Float{bits}Dtype" for bits in (32, 64)),
    *(f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64)),
)
_ARROW_TYPES = (
    *("binary", "decimal128", "decimal256", "decimal32", "decimal64", "dictionary", "field"),
    *("large_list", "large_list_view", "list_", "list_view", "map_", "run_end_encoded", "schema"),
    *("struct", "timestamp", "type_for_alias"),
    *("bool8", "fixed_shape_tensor", "json_", "opaque", "uuid"),
)
_MATRICES = tuple(
    f"{kind}_{family}"
    for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for family in ("array", "matrix")
)


class _Listed(NamedTuple):
    """`function`: the file here and the function in it that is called, with what the name stands
    for, and then the arguments; `positional`: how many there may be at most; `keywords`: those that
    there may be. Empty: it is a value, and is not called.
    """

    function: str = ""
    positional: int = 0
    keywords: tuple[str, ...] = ()


# Module and name of each, as the newest version of its library has them.
_LISTED: dict[str, _Listed] = {
    "builtins:complex": _Listed("values:number", 2),
    "builtins:getattr": _Listed("values:attribute", 2),
    "builtins:list": _Listed("values:items", 1),
    "builtins:memoryview": _Listed("values:view", 1),
    "builtins:memoryview.cast": _Listed("values:cast_view", 3),
    "builtins:object": _Listed(),
    "builtins:range": _Listed("values:whole_numbers", 3),
    "builtins:slice": _Listed("values:whole_numbers", 3),
    "builtins:str": _Listed("values:text", 3),
    "collections:OrderedDict": _Listed("values:make", 0),
    "datetime:date": _Listed("times:date", 1),
    "datetime:datetime": _Listed("times:moment", 2),
    "datetime:time": _Listed("times:time", 2),
    "datetime:timedelta": _Listed("values:whole_numbers", 3),
    "datetime:timezone": _Listed("times:offset", 2),
    "decimal:Decimal": _Listed("values:decimal", 1),
    "functools:partial": _Listed("values:partial", 1),
    "importlib:import_module": _Listed("values:module", 1),
    "operator:getitem": _Listed("arrow:item", 2),
    "pytz:FixedOffset": _Listed("times:pytz_zone", 1),
    "pytz:_UTC": _Listed("times:pytz_zone", 0),
    "pytz:_p": _Listed("times:pytz_zone", 4),
    "zoneinfo:ZoneInfo": _Listed(),
    "zoneinfo:ZoneInfo._unpickle": _Listed("times:zone", 2),
    "numpy:asanyarray": _Listed("arrays:converted", 2),
    "numpy:dtype": _Listed("arrays:dtype", 1, ("metadata",)),
    "numpy:matrix": _Listed(),
    "numpy:memmap": _Listed(),
    "numpy:ndarray": _Listed("arrays:array", 6),
    "numpy:ndarray.copy": _Listed("arrays:own", 1),
    "numpy:ndarray.view": _Listed("arrays:view", 2),
    "numpy:recarray": _Listed(),
    "numpy:record": _Listed(),
    "numpy._core.multiarray:scalar": _Listed("arrays:scalar", 2),
    "numpy.dtypes:StringDType": _Listed("arrays:text_dtype", 0, ("coerce", "na_object")),
    "numpy.ma:MaskedArray": _Listed("arrays:masked", 1, ("mask", "fill_value", "hard_mask")),
    "pandas:NA": _Listed(),
    "pandas:NaT": _Listed(),
    "pandas:ArrowDtype": _Listed("frames:make", 1),
    "pandas:Categorical": _Listed(),
    "pandas:Categorical.from_codes": _Listed("frames:make", 3),
    "pandas:CategoricalDtype": _Listed("frames:make", 2),
    "pandas:DataFrame": _Listed("frames:frame", 3, ("copy",)),
    "pandas:DatetimeTZDtype": _Listed("frames:zoned_dtype", 2),
    "pandas:Interval": _Listed("frames:closed", 3),
    "pandas:IntervalDtype": _Listed("frames:closed", 2),
    "pandas:MultiIndex": _Listed("frames:levels", 2, ("names", "sortorder", "verify_integrity")),
    "pandas:Period": _Listed("frames:period", 3),
    "pandas:PeriodDtype": _Listed("frames:text_dtype", 1),
    "pandas:RangeIndex": _Listed("frames:make", 3, ("name",)),
    "pandas:Series": _Listed("frames:series", 2, ("name", "dtype", "copy")),
    "pandas:SparseDtype": _Listed("frames:sparse_dtype", 2),
    "pandas:StringDtype": _Listed("frames:text_dtype", 1, ("na_value",)),
    "pandas:array": _Listed("frames:extension_array", 3, ("dtype",)),
    **{f"pandas:{name}": _Listed("frames:make", 1, ("name", "dtype")) for name in _INDEXES},
    **{f"pandas:{name}": _Listed("frames:make", 1, ("name", "freq")) for name in _TIMES},
    **{f"pandas:{name}": _Listed("frames:make", 0) for name in _MASKED_DTYPES},
    **{f"pandas.arrays:{name}": _Listed("frames:make", 2) for name in _MASKED},
    "pandas.arrays:ArrowExtensionArray": _Listed("frames:make", 1),
    "pandas.arrays:IntervalArray": _Listed(),
    "pandas.arrays:IntervalArray.from_arrays": _Listed("frames:closed", 3),
    "pandas.arrays:NumpyExtensionArray": _Listed("frames:make", 1),
    "pandas.arrays:PeriodArray": _Listed("frames:make", 2),
    "pandas.arrays:SparseArray": _Listed(),
    "pandas.core.generic:NDFrame.set_flags": _Listed("frames:protected", 1),
    "pandas._libs.sparse:BlockIndex": _Listed("frames:sparse_places", 3),
    "pandas._libs.sparse:IntIndex": _Listed("frames:sparse_places", 2),
    "pandas._libs.tslibs.offsets:to_offset": _Listed("frames:frequency", 1),
    "pandas._libs.tslibs.timedeltas:_timedelta_unpickle": _Listed("frames:span", 2),
    "pandas._libs.tslibs.timestamps:_unpickle_timestamp": _Listed("frames:moment", 4),
    "polars:DataFrame": _Listed("others:columns", 1, ("height",)),
    "polars:Object": _Listed(),
    "polars:Series": _Listed("others:column", 2, ("dtype",)),
    "pyarrow.lib:RecordBatch": _Listed(),
    "pyarrow.lib:RecordBatch.from_struct_array": _Listed("arrow:rows", 1),
    "pyarrow.lib:RecordBatch.replace_schema_metadata": _Listed("arrow:noted", 2),
    "pyarrow.lib:Table": _Listed(),
    "pyarrow.lib:Table.from_batches": _Listed("arrow:table_of_batches", 1),
    "pyarrow.lib:_reconstruct_record_batch": _Listed("arrow:batch", 2),
    "pyarrow.lib:_reconstruct_table": _Listed("arrow:table", 2),
    "pyarrow.lib:_restore_array": _Listed("arrow:array", 1),
    "pyarrow.lib:chunked_array": _Listed("arrow:chunks", 2),
    "pyarrow.lib:py_buffer": _Listed("arrow:buffer", 1),
    **{f"pyarrow.lib:{name}": _Listed("arrow:kind", 4) for name in _ARROW_TYPES},
    "pyarrow.lib:union": _Listed("arrow:union", 3),
    **{f"scipy.sparse:{name}": _Listed("others:matrix", 2) for name in _MATRICES},
}

_INDEX_FILES = {
    "Index": "base",
    "CategoricalIndex": "category",
    "DatetimeIndex": "datetimes",
    "IntervalIndex": "interval",
    "MultiIndex": "multi",
    "PeriodIndex": "period",
    "RangeIndex": "range",
    "TimedeltaIndex": "timedeltas",
}
_ARRAY_FILES = {
    "arrow.array": ("ArrowExtensionArray",),
    "boolean": ("BooleanArray",),
    "floating": ("FloatingArray",),
    "integer": ("IntegerArray",),
    "interval": ("IntervalArray",),
    "numpy_": ("NumpyExtensionArray",),
    "period": ("PeriodArray",),
    "sparse.array": ("SparseArray",),
}
_DTYPES = ("ArrowDtype", "CategoricalDtype", "DatetimeTZDtype", "IntervalDtype")

# How other versions of the libraries spell the same names.
_SPELLED: dict[str, str] = {
    "pytz._FixedOffset": "pytz.FixedOffset",
    "_operator.getitem": "operator.getitem",
    "numpy.core.multiarray.scalar": "numpy._core.multiarray.scalar",
    "numpy.ma.core.MaskedArray": "numpy.ma.MaskedArray",
    "numpy.rec.recarray": "numpy.recarray",
    "numpy.rec.record": "numpy.record",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "pandas.core.series.Series": "pandas.Series",
    "pandas.core.construction.array": "pandas.array",
    "pandas.core.arrays.categorical.Categorical": "pandas.Categorical",
    "pandas.core.arrays.string_.StringDtype": "pandas.StringDtype",
    "pandas._libs.interval.Interval": "pandas.Interval",
    "pandas._libs.tslibs.period.Period": "pandas.Period",
    "polars.dataframe.frame.DataFrame": "polars.DataFrame",
    "polars.datatypes.classes.Object": "polars.Object",
    "polars.series.series.Series": "polars.Series",
    **{
        f"pandas.core.indexes.{file}.{name}": f"pandas.{name}"
        for name, file in _INDEX_FILES.items()
    },
    **{
        f"pandas.core.arrays.{file}.{name}": f"pandas.arrays.{name}"
        for file, listed in _ARRAY_FILES.items()
        for name in listed
    },
    **{
        f"pandas.core.arrays.{file}.{name}": f"pandas.{name}"
        for name in _MASKED_DTYPES
        for file in ("integer", "floating")
    },
    "pandas.core.arrays.boolean.BooleanDtype": "pandas.BooleanDtype",
    **{
        f"pandas.core.dtypes.dtypes.{name}": f"pandas.{name}"
        for name in (*_DTYPES, "PeriodDtype", "SparseDtype")
    },
    **{
        f"scipy.sparse._{name.partition('_')[0]}.{name}": f"scipy.sparse.{name}"
        for name in _MATRICES
    },
}
_PLACES = {place.replace(":", "."): place for place in _LISTED}

# Calls that make nothing of the length of a range; their functions count what they copy.
_COUNTED_THERE = ("pandas.DataFrame", "pandas.Series")

# The functions that give an object, made without a state, what the pickle has as its state.
_STATES = {
    "numpy.ndarray": "arrays:give_items",
    "pandas.DataFrame": "frames:give_details",
    "pandas.Series": "frames:give_details",
    "pandas.arrays.SparseArray": "frames:give_sparse",
    **{f"scipy.sparse.{name}": "others:give_indices" for name in _MATRICES},
}
_MADE_WITHOUT_STATE = "pandas.arrays.SparseArray"

# Modules that a name can be asked of.
MODULES = ("numpy", "pandas")

# What names stand for, by the id of it, which stays in the cache of `_of`.
_names_of: dict[int, str] = {}


class Partial:
    """What stands for a `functools.partial`: a listed function and keywords for it."""

    __slots__ = ("function", "keywords")

    def __init__(self, function: Any) -> None:
        self.function = function
        self.keywords: dict[str, Any] = {}


def listed() -> list[str]:
    """All names, as the newest versions of the libraries have them."""
    return sorted(_PLACES)


def found(name: str) -> Any:
    """What a name stands for.

    Raises:
        NotListed: it is not listed, or the installed library has no such name.
    """
    name = _SPELLED.get(name, name)
    if name not in _PLACES:
        raise NotListed(name)
    return _of(name)


@functools.cache
def _of(name: str) -> Any:
    module, _, path = _PLACES[name].partition(":")
    try:
        owner: Any = importlib.import_module(module)
        for part in path.split("."):
            owner = getattr(owner, part)
    except (ImportError, AttributeError):
        if module == "pytz":
            _names_of[id(ZONES[path])] = name
            return ZONES[path]
        raise NotListed(f"{name}, which is not installed here") from None
    _names_of[id(owner)] = name
    return owner


def name_of(value: Any) -> str | None:
    """The listed name that a value was found by; None if it was not."""
    return _names_of.get(id(value))


def called(function: Any, arguments: Any, machine: Any) -> Any:
    """The result of the listed function that is called for `function`."""
    check(type(arguments) is tuple, "arguments that are no tuple")
    keywords: dict[str, Any] = {}
    if type(function) is Partial:
        function, keywords = function.function, function.keywords
    name = name_of(function)
    if name is None:
        raise NotListed(f"a call of {type(function).__module__}.{type(function).__qualname__}")
    entry = _LISTED[_PLACES[name]]
    if not entry.function:
        raise NotListed(f"a call of {name}")
    if len(arguments) > entry.positional or not set(keywords) <= set(entry.keywords):
        raise NotListed(f"{name} with {len(arguments)} arguments and {sorted(keywords)}")
    if name not in _COUNTED_THERE:
        machine.budget.take_for(arguments)
        machine.budget.take_for(keywords)
    return _load(entry.function)(machine, function, *arguments, **keywords)


def made(kind: Any, arguments: Any) -> Any:
    """An object of a class, without the state that it gets later."""
    if name_of(kind) != _MADE_WITHOUT_STATE or arguments != ():
        raise NotListed(f"an object of {name_of(kind) or type(kind).__qualname__}")
    return kind.__new__(kind)


def give(target: Any, state: Any) -> None:
    """Gives an object its state."""
    kind = type(target)
    if kind is Partial:
        _load("values:give_keywords")(target, state)
        return
    name = f"{kind.__module__}.{kind.__qualname__}"
    place = _STATES.get(_SPELLED.get(name, name))
    if place is None:
        raise NotListed(f"a state for {name}")
    _load(place)(target, state)


@functools.cache
def _load(place: str) -> Any:
    file, _, function = place.partition(":")
    return getattr(importlib.import_module(f"vineyard.data.restoring.{file}"), function)
