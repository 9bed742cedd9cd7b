"""Values as record batches: what can be written, and as which columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

# What one batch of a table should have, so that writers work on parts.
BATCH_ROWS = 1 << 20


class Batches:
    """Partitions of record batches of one schema; of bytes the schema is None."""

    def __init__(self, schema: Any, partitions: Sequence[Any]) -> None:
        """`partitions`: for each an iterable of batches, or of bytes-like values."""
        self.schema, self.partitions = schema, partitions


def batches_of(value: Any) -> Batches:
    """A value as batches.

    Parameters:
        value: object
            A pandas or polars frame, an Arrow table or batch, a list of these, or bytes.

    Raises:
        TypeError: it is none of these.
        ValueError: the parts of a list have different columns.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return Batches(None, [[value]])
    if isinstance(value, list | tuple) and value:
        return _joined([_table(part) for part in value])
    table = _table(value)
    return Batches(table.schema, [_cut(table)])


def _joined(tables: list[Any]) -> Batches:
    import pyarrow

    try:
        schema = pyarrow.unify_schemas([table.schema for table in tables])
        tables = [table.select(schema.names).cast(schema) for table in tables]
    except (pyarrow.ArrowException, KeyError, ValueError) as error:
        raise ValueError(f"the parts have different columns: {error}") from error
    return Batches(schema, [_cut(table) for table in tables])


def _cut(table: Any) -> Iterator[Any]:
    if not table.num_columns:
        return iter(())
    batches: list[Any] = table.to_batches(max_chunksize=BATCH_ROWS)
    return iter(batches)


def _table(value: Any) -> Any:
    import pyarrow

    if isinstance(value, pyarrow.Table):
        return value
    if isinstance(value, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([value])
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        named = value
        if not all(isinstance(name, str) for name in value.columns):
            named = value.set_axis([str(name) for name in value.columns], axis="columns")
        return pyarrow.Table.from_pandas(named)
    if polars is not None and isinstance(value, polars.DataFrame):
        return value.to_arrow()
    raise TypeError(
        f"a {type(value).__name__} cannot be written: a data frame, a table, record batches, bytes "
        "or the id of one can"
    )
