"""ORC."""

from __future__ import annotations

from typing import Any

import pyarrow.orc

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, GroupWriter


class OrcWriter(GroupWriter):
    """Writes ORC; it decides itself where stripes end."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        names = ("file_version", "compression", "batch_size", "stripe_size")
        given = {name: getattr(options, name) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        self._writer = pyarrow.orc.ORCWriter(pyarrow.PythonFile(Borrowed(stream), "w"), **given)
        self._is_begun = False

    def _write_group(self, table: Any) -> None:
        self._is_begun = True
        self._writer.write(table)

    def close(self) -> None:
        self._flush()
        if not self._is_begun:
            # The columns are written with the first rows.
            self._writer.write(self.schema.empty_table())
        self._writer.close()
