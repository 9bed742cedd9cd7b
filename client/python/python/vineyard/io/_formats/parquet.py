"""Parquet: a piece is a row group, read with the columns that are asked for.

Promise: row groups that the filters exclude by their statistics are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from vineyard.io._ahead import in_order
from vineyard.io._filters import expression_of
from vineyard.io._formats import inputs
from vineyard.io._formats.base import Format, Piece, agree, conform
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File


class ParquetFormat(Format):
    """Parquet files."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        heads = list(in_order(files, lambda file: (_head(file),), threads))
        self.schema = agree([head.schema.to_arrow_schema() for head in heads], files, options)
        self._heads = {file.path: head for file, head in zip(files, heads, strict=True)}
        self.pieces = [
            Piece(file, group, head.row_group(group).total_byte_size)
            for file, head in zip(files, heads, strict=True)
            for group in self._groups(file, head)
        ]

    def _groups(self, file: File, head: Any) -> list[int]:
        """The row groups of a file that may have rows for the filters."""
        every = list(range(head.num_row_groups))
        wanted = expression_of(self.options.filters)
        if wanted is None or not every:
            return every
        with file.guard():
            fragment = _fragment(file)
            try:
                left = fragment.split_by_row_group(wanted)
            except (pyarrow.ArrowException, ValueError, KeyError):
                # A filter of a column that is no column of the file, such as a folder's key.
                return every
        return sorted(info.id for part in left for info in part.row_groups)

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        file = piece.file
        with file.guard(), inputs.open_random(file) as opened:
            head = self._heads[file.path]
            parquet = pyarrow.parquet.ParquetFile(opened, metadata=head, pre_buffer=True)
            present = set(head.schema.to_arrow_schema().names)
            table = parquet.read_row_group(
                piece.part,
                columns=[name for name in columns if name in present],
                use_threads=self.threads > 1,
            )
        batches = table.combine_chunks().to_batches() if table.num_columns else [table]
        for batch in batches:
            yield conform(batch, self.schema, columns, file)


def _head(file: File) -> Any:
    with file.guard(), inputs.open_random(file) as opened:
        return pyarrow.parquet.ParquetFile(opened).metadata


def _fragment(file: File) -> Any:
    with file.guard():
        source = inputs.open_random(file) if inputs.codec_of(file.path) else None
        format_ = pyarrow.dataset.ParquetFileFormat()
        if source is not None:
            return format_.make_fragment(source)
        if file.is_local:
            return format_.make_fragment(file.path, pyarrow.fs.LocalFileSystem())
        handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(file.fs))
        return format_.make_fragment(file.path, handler)
