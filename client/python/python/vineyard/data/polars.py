"""polars frames and series: stored as Arrow tables, whose columns polars uses in place.

Promise: the schema comes back exactly. What Arrow cannot carry, such as columns of Python objects,
is pickled.
"""

from __future__ import annotations

import polars
import pyarrow

from vineyard.data import default
from vineyard.data._draft import Draft, Tree
from vineyard.data._reduce import Call
from vineyard.data.utils import from_text, to_text

# What pyarrow and polars raise for columns that Arrow has no type for, such as 128-bit integers.
_NO_ARROW = (pyarrow.ArrowException, polars.exceptions.PolarsError)


def describe(draft: Draft, value: polars.DataFrame) -> Tree:
    """The tree of a frame."""
    if polars.Object in value.dtypes or value.width == 0:
        return default.describe(draft, value)
    try:
        table = value.to_arrow()
    except _NO_ARROW:
        return default.describe(draft, value)
    tree = draft.part(table)
    if "typename" in tree:
        tree["from_polars"] = True
        # Categories, enumerations and the like: Arrow knows them by less than polars does.
        if polars.from_arrow(table.schema.empty_table()).schema != value.schema:
            tree["polars_schema_"] = to_text(dict(value.schema))
    return tree


def describe_series(draft: Draft, value: polars.Series) -> Tree:
    """The tree of a series: the pickled call that makes it of its Arrow array, buffers in place."""
    if value.dtype == polars.Object:
        return default.describe(draft, value)
    try:
        array = value.to_arrow()
    except _NO_ARROW:
        return default.describe(draft, value)
    if polars.Series(value.name, array).dtype != value.dtype:
        return default.describe(draft, value)
    return default.describe(draft, Call(polars.Series, value.name, array))


def restore(table: pyarrow.Table, tree: Tree) -> polars.DataFrame:
    """The frame that was put, of the table it was stored as."""
    frame = polars.from_arrow(table)
    schema = tree.get("polars_schema_")
    return frame if schema is None else frame.cast(from_text(schema))
