"""Arrow IPC, also called Feather: a piece is a batch of a file, or a whole stream.

Promise: uncompressed local files are mapped, so that their bytes are not copied here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.ipc

from vineyard.io._ahead import in_order
from vineyard.io._formats import inputs
from vineyard.io._formats.base import Format, Piece, agree, conform
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File

MAGIC = b"ARROW1"


class IpcFormat(Format):
    """Files and streams of Arrow IPC."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        heads = list(in_order(files, lambda file: (_head(file),), threads))
        self.schema = agree([schema for schema, _ in heads], files, options)
        self.pieces = [
            Piece(file, part, (file.size_bytes or 0) // max(1, batches or 1))
            for file, (_, batches) in zip(files, heads, strict=True)
            for part in ([None] if batches is None else range(batches))
        ]

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        file = piece.file
        with file.guard(), _open(file) as opened:
            if piece.part is not None:
                # pyarrow takes no empty list for no columns.
                batch = pyarrow.ipc.open_file(opened).get_batch(piece.part)
                yield conform(batch, self.schema, columns, file)
                return
            for batch in pyarrow.ipc.open_stream(opened):
                yield conform(batch, self.schema, columns, file)


def _open(file: File) -> Any:
    if file.is_local and not inputs.codec_of(file.path) and file.size_bytes:
        return pyarrow.memory_map(file.path, "rb")
    return inputs.open_random(file)


def _head(file: File) -> tuple[Any, int | None]:
    """The schema, and the number of batches; None for a stream, which does not say it."""
    with file.guard(), _open(file) as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            opened.seek(0)
            return pyarrow.ipc.open_stream(opened).schema, None
        reader = pyarrow.ipc.open_file(opened)
        return reader.schema, reader.num_record_batches
