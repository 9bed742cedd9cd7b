"""ORC: a piece is a stripe, read with the columns that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.orc

from vineyard.io._ahead import in_order
from vineyard.io._formats import inputs
from vineyard.io._formats.base import Format, Piece, agree, conform
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File


class OrcFormat(Format):
    """ORC files."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        heads = list(in_order(files, lambda file: (_head(file),), threads))
        self.schema = agree([schema for schema, _, _ in heads], files, options)
        self._names = {
            file.path: set(schema.names) for file, (schema, _, _) in zip(files, heads, strict=True)
        }
        # Stripes do not say how large they are; a file's are about equal.
        self.pieces = [
            Piece(file, stripe, size // stripes)
            for file, (_, stripes, size) in zip(files, heads, strict=True)
            for stripe in range(stripes)
        ]

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        file = piece.file
        present = [name for name in columns if name in self._names[file.path]]
        # Without a column pyarrow does not say how many rows there are.
        wanted = present or sorted(self._names[file.path])[:1]
        with file.guard(), inputs.open_random(file) as opened:
            batch = pyarrow.orc.ORCFile(opened).read_stripe(piece.part, columns=wanted)
        yield conform(batch, self.schema, columns, file)


def _head(file: File) -> tuple[Any, int, int]:
    with file.guard(), inputs.open_random(file) as opened:
        orc = pyarrow.orc.ORCFile(opened)
        return orc.schema, orc.nstripes, orc.content_length
