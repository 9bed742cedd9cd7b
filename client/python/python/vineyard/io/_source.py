"""A set of files, opened: one schema, pieces, and record batches in their order.

This is what reads stand on, whether batches go into objects or into streams: `open_source` finds
and checks everything that can be checked before data is read; `Source.share` parts the pieces
among partitions and ranks; `Source.batches` reads pieces.

Promise: the shares one after the other are the files in order, and every batch has `schema`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from vineyard.io import _paths as paths
from vineyard.io._ahead import in_order
from vineyard.io._filters import can_match, columns_of, expression_of
from vineyard.io._formats import Piece, open_format
from vineyard.io._formats.base import rows_alone
from vineyard.io._options import ReadOptions, Storage

PathLike = str | os.PathLike[str]


def open_source(
    path: PathLike | Iterable[PathLike],
    options: ReadOptions,
    storage: Storage,
    threads: int | None = None,
) -> Source:
    """Finds the files of a path, or of several, and opens them.

    Parameters:
        path: str, os.PathLike, or several
            What to read, without options at its end.
        options: ReadOptions
            How.
        storage: Storage
            The options of the file system.
        threads: int or None
            How many pieces to read at once; None: as many as this process may use processors.

    Returns:
        Source

    Raises:
        ReadError: something cannot be read (a missing file is a FileNotFoundError, too).
        ValueError: an option does not fit the files, such as a column that they do not have.
        ImportError: a library is not installed.
    """
    return Source(paths.find(path, storage), options, threads or usable_processors())


def usable_processors() -> int:
    """How many processors this process may use (int)."""
    return len(os.sched_getaffinity(0))


class Source:
    """Opened files. `schema` is what every batch has, None for bytes; `pieces` what to read."""

    def __init__(self, files: Sequence[paths.File], options: ReadOptions, threads: int) -> None:
        """As :func:`open_source`."""
        self._files = files
        self._format: Any = open_format(files, options, threads)
        self._threads = threads
        self._filter: Any = None
        self._stored: list[str] = []
        self._added: dict[str, Any] = {}
        self.schema = self._format.schema
        self.pieces: list[Piece] = list(self._format.pieces)
        if self.schema is not None:
            self._shape(files, options)

    def hide(self, text: str) -> str:
        """`text` without the secrets of the files' storage."""
        return self._files[0].storage.secrets.hide(text) if self._files else text

    def _shape(self, files: Sequence[paths.File], options: ReadOptions) -> None:
        import pyarrow

        stored = self._format.schema
        if options.hive_partitioning:
            self._added = _partition_types(files, stored.names)
        self._path_column = options.include_path_column
        if self._path_column is not None:
            if self._path_column in stored.names:
                raise ValueError(f"the files have a column {self._path_column!r} already")
            self._added[self._path_column] = pyarrow.string()
        whole = pyarrow.schema(
            [*stored, *(pyarrow.field(name, kind) for name, kind in self._added.items())],
            stored.metadata,
        )
        self._filter = expression_of(options.filters)
        needed = set(columns_of(options.filters, whole))
        columns = list(whole.names) if options.columns is None else list(options.columns)
        for name in columns:
            if name not in whole.names:
                raise ValueError(_no_column(name, whole.names, files[0].shown))
        self._stored = [name for name in stored.names if name in {*columns, *needed}]
        self.schema = pyarrow.schema([whole.field(name) for name in columns], stored.metadata)
        self.pieces = [
            piece
            for piece in self.pieces
            if can_match(options.filters, self._added_values(piece), self._added)
        ]

    @property
    def skipped_rows(self) -> int:
        """Rows that were left out so far, because they cannot be read (int)."""
        skipped: int = self._format.skipped_rows
        return skipped

    def share(self, index: int, count: int) -> list[Piece]:
        """The pieces of one of `count` partitions or ranks: those that begin in its part of all
        bytes, so that the shares are contiguous and of about the same size.

        Parameters:
            index: int
                Which, from 0.
            count: int
                Of how many.
        """
        return share_of(self.pieces, index, count)

    def batches(
        self, pieces: Sequence[Piece] | None = None, threads: int | None = None
    ) -> Generator[Any, None, None]:
        """The record batches of pieces, in their order; of bytes, the bytes.

        Parameters:
            pieces: sequence of Piece or None
                A share, or None for all.
            threads: int or None
                How many to read at once; None: as the source was opened for.

        Yields:
            pyarrow.RecordBatch of `schema`; empty ones are left out.

        Raises:
            ReadError: with file, and line, column and value as far as they are known.
        """
        chosen = self.pieces if pieces is None else pieces
        return in_order(chosen, self.read, threads or self._threads)

    def read(self, piece: Piece) -> Iterator[Any]:
        """The record batches of one piece, read in the caller's thread."""
        for batch in self._format.read(piece, self._stored):
            if self.schema is None:
                yield batch
                continue
            shaped = self._shaped(batch, piece)
            if shaped.num_rows:
                yield shaped

    def read_into(self, piece: Piece, target: Any) -> None:
        """Reads a range of a file of bytes into a writable buffer of its size (`size_bytes`),
        without a copy between.

        Raises:
            ReadError: the file has become shorter, or the storage refuses.
            TypeError: the files have columns, or this piece is a whole file that is compressed.
        """
        if self.schema is not None or piece.part is None:
            raise TypeError("only ranges of uncompressed bytes are read into a buffer")
        self._format.read_into(piece, target)

    def empty(self) -> Any:
        """A batch of the schema without rows (pyarrow.RecordBatch)."""
        return empty_of(self.schema)

    def _shaped(self, batch: Any, piece: Piece) -> Any:
        import pyarrow

        arrays = {name: batch.column(at) for at, name in enumerate(batch.schema.names)}
        for name, value in self._added_values(piece).items():
            one = pyarrow.scalar(value, self._added[name])
            arrays[name] = pyarrow.repeat(one, batch.num_rows)
        if self._filter is not None:
            fields = [pyarrow.field(name, array.type) for name, array in arrays.items()]
            whole = pyarrow.Table.from_arrays(list(arrays.values()), schema=pyarrow.schema(fields))
            left = whole.filter(self._filter).combine_chunks()
            arrays = {name: _one_array(left.column(name)) for name in arrays}
            rows = left.num_rows
        else:
            rows = batch.num_rows
        if not len(self.schema):
            return rows_alone(rows, self.schema)
        wanted = [arrays[name] for name in self.schema.names]
        return pyarrow.RecordBatch.from_arrays(wanted, schema=self.schema)

    def _added_values(self, piece: Piece) -> dict[str, Any]:
        if not self._added:
            return {}
        found: dict[str, Any] = dict.fromkeys(self._added)
        for name, value in piece.file.partition:
            if name in found and value is not None:
                found[name] = int(value) if _is_number(self._added[name]) else value
        if self._path_column is not None:
            found[self._path_column] = piece.file.shown
        return found


def share_of(pieces: Sequence[Any], index: int, count: int) -> list[Any]:
    """The pieces of one of `count` shares, as :meth:`Source.share` says."""
    total = sum(piece.size_bytes for piece in pieces)
    found, before = [], 0
    for at, piece in enumerate(pieces):
        # The middle decides, so that no share is larger by more than half a piece.
        middle = before + piece.size_bytes / 2
        owner = int(middle * count / total) if total else at * count // len(pieces)
        if min(owner, count - 1) == index:
            found.append(piece)
        before += piece.size_bytes
    return found


def empty_of(schema: Any) -> Any:
    """A batch of a schema without rows (pyarrow.RecordBatch)."""
    import pyarrow

    if not len(schema):
        return rows_alone(0, schema)
    arrays = [pyarrow.array([], field.type) for field in schema]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


def _one_array(column: Any) -> Any:
    import pyarrow

    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pyarrow.array([], column.type)
    return pyarrow.concat_arrays(column.chunks)


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind))


def _partition_types(files: Sequence[paths.File], stored: Sequence[str]) -> dict[str, Any]:
    """The columns of `key=value` folders: numbers if all values are, else text."""
    import pyarrow

    values: dict[str, set[str]] = {}
    for file in files:
        for name, value in file.partition:
            found = values.setdefault(name, set())
            if value is not None:
                found.add(value)
    kinds = {}
    for name, found in values.items():
        if name not in stored:
            numbers = bool(found) and all(_prints_as_number(value) for value in found)
            kinds[name] = pyarrow.int64() if numbers else pyarrow.string()
    return kinds


def _prints_as_number(value: str) -> bool:
    try:
        return str(int(value)) == value and -(2**63) <= int(value) < 2**63
    except ValueError:
        return False


def _no_column(name: str, known: Sequence[str], shown: str) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"its columns are {', '.join(known)}"
    return f"{shown} has no column {name!r}: {hint}"
