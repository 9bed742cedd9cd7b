"""ORC.

Promise: what is written is what was given, also of parts of larger arrays.
"""

from __future__ import annotations

from typing import Any

import pyarrow
import pyarrow.orc

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, GroupWriter


class OrcWriter(GroupWriter):
    """Writes ORC; it decides itself where stripes end."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        for field in schema:
            if _has(field.type, pyarrow.types.is_union):
                raise ValueError(f'column "{field.name}" is {field.type}, which ORC cannot have')
        names = ("file_version", "compression", "batch_size", "stripe_size")
        given = {name: getattr(options, name) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        self._writer = pyarrow.orc.ORCWriter(pyarrow.PythonFile(Borrowed(stream), "w"), **given)
        self._is_begun = False

    def _write_group(self, table: Any) -> None:
        self._is_begun = True
        for at, field in enumerate(table.schema):
            if _has(field.type, pyarrow.types.is_struct):
                table = table.set_column(at, field, _copied(table.column(at)))
        self._writer.write(table)

    def close(self) -> None:
        self._flush()
        if not self._is_begun:
            # The columns are written with the first rows.
            self._writer.write(self.schema.empty_table())
        self._writer.close()


def _has(kind: Any, is_one: Any) -> bool:
    """Whether a type, or one inside of it, is one of these."""
    return bool(is_one(kind)) or any(
        _has(kind.field(at).type, is_one) for at in range(kind.num_fields)
    )


def _copied(column: Any) -> Any:
    """The column in arrays that are parts of no others: of a part, pyarrow writes the nulls of
    structs that stand at the begin of the whole.
    """
    chunks = [pyarrow.concat_arrays([chunk.slice(0, 0), chunk]) for chunk in column.chunks]
    return pyarrow.chunked_array(chunks, column.type)
