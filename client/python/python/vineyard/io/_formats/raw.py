"""Bytes as they are: a piece is a range, and its batches are bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vineyard.io._formats import inputs
from vineyard.io._formats.base import Format, Piece
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File

RANGE_BYTES = 8 << 20


class RawFormat(Format):
    """Files whose bytes nobody interprets; compressed files are decompressed."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        self.schema = None
        step = min(RANGE_BYTES, options.chunk_size)
        pieces: list[Piece] = []
        for file in files:
            size = file.size_bytes
            if size is None or inputs.codec_of(file.path):
                pieces.append(Piece(file, None, size or 0))
                continue
            pieces += [
                Piece(file, (begin, min(begin + step, size)), min(step, size - begin))
                for begin in range(0, size, step)
            ]
        self.pieces = pieces

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        if piece.part is not None:
            yield inputs.read_range(piece.file, *piece.part)
            return
        with piece.file.guard(), inputs.open_stream(piece.file) as stream:
            while data := stream.read(min(RANGE_BYTES, self.options.chunk_size)):
                yield data

    def read_into(self, piece: Piece, target: Any) -> None:
        """Reads a range of a file into a writable buffer of its size, without a copy between.

        Raises:
            ReadError: the file has become shorter.
        """
        file = piece.file
        begin, end = piece.part
        view = memoryview(target).cast("B")
        with file.guard(), file.fs.open(file.path, "rb") as opened:
            opened.seek(begin)
            done = 0
            while done < end - begin:
                read = opened.readinto(view[done : end - begin])
                if not read:
                    raise EOFError(f"has no bytes from {begin + done} on")
                done += read
