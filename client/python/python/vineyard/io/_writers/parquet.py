"""Parquet."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, GroupWriter


class ParquetWriter(GroupWriter):
    """Writes Parquet, a row group of each group of batches."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        names = ["version", "data_page_size", "data_page_version", "write_batch_size"]
        names += ["compression", "compression_level"]
        given = {name: getattr(options, name) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        self._writer = pyarrow.parquet.ParquetWriter(
            pyarrow.PythonFile(Borrowed(stream), "w"), schema, **given
        )

    def _write_group(self, table: Any) -> None:
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        self._flush()
        self._writer.close()
