"""polars frames and series: stored as Arrow tables, whose columns polars uses in place.

Promise: the schema comes back exactly. What Arrow cannot carry, such as columns of Python objects,
is pickled.
"""

from __future__ import annotations

from typing import Any

import polars
import pyarrow

from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._plain import NotPlain, Writer
from vineyard.data._reader import Reader
from vineyard.data.utils import from_text, to_text

# What pyarrow and polars raise for columns that Arrow has no type for, such as 128-bit integers.
_NO_ARROW = (pyarrow.ArrowException, polars.exceptions.PolarsError)


def describe(draft: PutDraft, value: polars.DataFrame) -> Tree:
    """The tree of a frame."""
    if polars.Object in value.dtypes or value.width == 0:
        return default.describe(draft, value)
    try:
        table = value.to_arrow()
    except _NO_ARROW:
        return default.describe(draft, value)
    # Not the schema's own empty table: old pyarrow makes none of categories inside lists.
    probe = table if any(kind.is_nested() for kind in value.dtypes) else table.slice(0, 0)
    try:
        empty: Any = polars.from_arrow(probe)
    except _NO_ARROW:
        return default.describe(draft, value)
    tree = draft.part(table)
    if "typename" in tree:
        tree["from_polars"] = True
        # Categories, enumerations and the like: Arrow has less of their type than polars.
        if empty.schema != value.schema:
            tree["polars_schema_"] = _schema_to_text(value.schema)
    return tree


def describe_series(draft: PutDraft, value: polars.Series) -> Tree:
    """The tree of a series: the pickled call that makes it of its Arrow array, buffers in place."""
    return default.describe(draft, value)


def restore(reader: Reader, table: pyarrow.Table, tree: Tree) -> polars.DataFrame:
    """The frame that was put, of the table it was stored as."""
    frame: Any = polars.from_arrow(table)
    schema = tree.get("polars_schema_")
    whole: polars.DataFrame = (
        frame if schema is None else frame.cast(_schema_from_text(reader, schema))
    )
    return whole


def _schema_to_text(schema: polars.Schema) -> str:
    """The types by column, plainly; a pickle if one has parts that are not plain."""
    try:
        return Writer().text([(name, _say(kind)) for name, kind in schema.items()])
    except NotPlain:
        return to_text(dict(schema))


def _schema_from_text(reader: Reader, text: str) -> Any:
    said = from_text(reader, text)
    return said if isinstance(said, dict) else {name: _type(node) for name, node in said}


def _say(kind: Any) -> Any:
    """A type by its name and what it is made with."""
    name = kind.base_type().__name__
    if name not in _PARTS:
        if name not in _SIMPLE or kind != getattr(polars, name)():
            raise NotPlain(str(kind))
        return (name,)
    parts = [getattr(kind, part) for part in _PARTS[name]]
    if name == "Struct":
        parts = [[(field.name, _say(field.dtype)) for field in kind.fields]]
    elif name == "Enum":
        parts = [kind.categories.to_list()]
    elif name in ("List", "Array"):
        parts[0] = _say(parts[0])
    return (name, *parts)


def _type(node: Any) -> Any:
    """The value that :func:`_say` was given."""
    name, *parts = node
    if name not in (*_PARTS, *_SIMPLE):
        raise ValueError(f"polars has no plain type {name!r}")
    if name == "Struct":
        parts = [{field: _type(said) for field, said in parts[0]}]
    elif name in ("List", "Array"):
        parts[0] = _type(parts[0])
    return getattr(polars, name)(*parts)


# What a type is made with, in the order of its constructor.
_PARTS = {
    "List": ("inner",),
    "Array": ("inner", "size"),
    "Struct": ("fields",),
    "Enum": ("categories",),
    "Datetime": ("time_unit", "time_zone"),
    "Duration": ("time_unit",),
    "Decimal": ("precision", "scale"),
}

_SIMPLE = (
    *("Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean", "String", "Binary", "Date", "Time", "Null", "Categorical"),
)
