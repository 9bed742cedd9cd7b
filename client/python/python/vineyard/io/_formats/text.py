"""Text files as blocks of whole lines.

Promise: every line is in exactly one block, in order; a block is at most as large as its piece and
one line more. A plain file is cut into ranges of bytes; one that is compressed, or whose values may
have line ends, is one piece of several blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from vineyard.io._formats import inputs
from vineyard.io._formats.base import Piece
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File

# A piece of this size is worth a thread.
PIECE_BYTES_MIN = 8 << 20
# Of each share, where other processes, whose threads are not known, read other shares.
PIECES_A_SHARE = 16
# How far is read at once to find the end of a line.
LINE_BYTES = 64 << 10
# What types are guessed from.
FIRST_BLOCK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole lines of a file: `begin` says where `data` lies in the text, `is_last` that the file
    ends here.
    """

    data: bytes
    begin: int
    is_last: bool


def pieces(files: Sequence[File], options: ReadOptions, threads: int) -> list[Piece]:
    """The pieces of text files: ranges of bytes, or whole files (then `part` is None)."""
    total = sum(file.size_bytes or 0 for file in files)
    wanted = PIECES_A_SHARE * options.shares if options.shares else 2 * threads
    step = max(PIECE_BYTES_MIN, total // max(1, wanted))
    step = min(step, options.chunk_size)
    found: list[Piece] = []
    for file in files:
        size = file.size_bytes
        if size is None or inputs.codec_of(file.path) or options.newlines_in_values:
            found.append(Piece(file, None, size or 0))
            continue
        found += [
            Piece(file, (begin, min(begin + step, size)), min(step, size - begin))
            for begin in range(0, size, step)
        ]
    return found


def blocks(piece: Piece, chunk_bytes: int, quoted: bool) -> Iterator[Block]:
    """The blocks of a piece.

    Parameters:
        piece: Piece
            A piece of :func:`pieces`.
        chunk_bytes: int
            The size of a block of a piece that is a whole file.
        quoted: bool
            Whether a line end between quotes belongs to a value.
    """
    if piece.part is None:
        yield from _stream_blocks(piece.file, chunk_bytes, quoted)
        return
    begin, end = piece.part
    file = piece.file
    size = file.size_bytes or 0
    # A line belongs to the piece that it begins in; the one that begins at `begin` does if the
    # byte before is a line end.
    start = _after_line_end(file, begin - 1, size) if begin else 0
    stop = _after_line_end(file, end - 1, size) if end < size else size
    if start < stop:
        yield Block(inputs.read_range(file, start, stop), start, stop >= size)


def _after_line_end(file: File, at: int, size: int) -> int:
    """Where the line after the first line end from `at` on begins."""
    while at < size:
        data = inputs.read_range(file, at, min(at + LINE_BYTES, size))
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not data:
            break
        at += len(data)
    return size


def _stream_blocks(file: File, chunk_bytes: int, quoted: bool) -> Iterator[Block]:
    with file.guard(), inputs.open_stream(file) as stream:
        begin, kept = 0, b""
        while True:
            more = stream.read(chunk_bytes)
            data = kept + more if kept else more
            if not more:
                if data:
                    yield Block(data, begin, True)
                return
            end = cut(data, quoted)
            if end:
                yield Block(data[:end], begin, False)
                begin += end
            kept = data[end:]


def cut(data: bytes, quoted: bool) -> int:
    """Where the last whole line of `data` ends; 0 if none does."""
    end = data.rfind(b"\n") + 1
    if not quoted:
        return end
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def first_block(file: File, quoted: bool) -> Block:
    """The first lines of a file, for its types; without bytes if the file has none."""
    with file.guard(), inputs.open_stream(file) as stream:
        data = b""
        wanted = FIRST_BLOCK_BYTES
        while True:
            more = stream.read(wanted)
            data += more
            if len(more) < wanted:
                return Block(data, 0, True)
            end = cut(data, quoted)
            if end:
                return Block(data[:end], 0, False)
            # One line that is longer than a block.
            wanted = len(data)


def line_of(data: bytes, row: int) -> tuple[int, int, int]:
    """Where a row of a block is: its line from 0, and where its bytes begin and end. Rows count
    from 0, and empty lines are none; a line end between quotes belongs to its row.
    """
    at = line = seen = 0
    while at < len(data):
        end = row_end(data, at)
        if data[at:end].strip(b"\r\n"):
            if seen == row:
                return line, at, end
            seen += 1
        line += data.count(b"\n", at, end)
        at = end
    return line, len(data), len(data)


def row_boundary(data: bytes) -> int:
    """Where to cut rows in two halves; the length of `data` if it is one row."""
    half = cut(data[: len(data) // 2], True)
    return half or row_end(data, 0)


def row_end(data: bytes, at: int) -> int:
    """Where the row that begins at `at` ends."""
    end = at
    while True:
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
        if data.count(b'"', at, end) % 2 == 0:
            return end


def lines_before(file: File, begin: int) -> int:
    """How many line ends a file has before a place in its text."""
    count = 0
    with file.guard(), inputs.open_stream(file) as stream:
        while begin > 0:
            data = stream.read(min(begin, PIECE_BYTES_MIN))
            if not data:
                break
            count += data.count(b"\n")
            begin -= len(data)
    return count
