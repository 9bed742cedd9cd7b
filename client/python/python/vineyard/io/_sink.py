"""Files to write record batches to: names, partition folders, formats, all or nothing.

This is what writes stand on, whether batches come from values or from streams: `Sink.part` gives
the writer of a partition, and leaving the sink's block publishes all files, or none.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from vineyard.io import _paths as paths
from vineyard.io._options import Storage, WriteOptions
from vineyard.io._writers import Writer, extension_of, format_of, open_writer
from vineyard.io._writers.commit import Outputs, writing

# Files that are open at once for `partition_cols`.
OPEN_FILES_MAX = 1024
# Stands for the number of a part in a path.
_NUMBER = ("{}", "*")


class Sink:
    """The files of one write; a context manager. Its parts, which are context managers as well,
    may be written by several threads, each part by one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: WriteOptions,
        storage: Storage,
        numbered: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        """Nothing is written yet.

        Parameters:
            path: str or os.PathLike
                Where to. ``{}`` or ``*`` in it is the number of a part; one that ends with ``/``
                is a folder for files `part-00000` and so on.
            options: WriteOptions
                How.
            storage: Storage
                The options of the file system.
            numbered: bool
                Whether a path that has no place for the number gets ``_0`` and so on at its end.
            advance: callable or None
                Told the bytes in memory of each batch that was written.

        Raises:
            ImportError, ValueError: as for reading.
        """
        self._base = paths.place(path, storage)
        given = os.fspath(path)
        self._is_folder = given.endswith("/") or bool(options.partition_cols)
        self._options = options
        self._numbered = numbered and not options.single_file
        self._advance = advance
        self._outputs = Outputs(options.exists)
        self._format = format_of(self._base.path, options)
        # The paths of the files, as the caller would name them, in the order they were begun in.
        self.written: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._outputs.__exit__(kind, error, trace)

    @property
    def is_one_file(self) -> bool:
        """Whether all parts go to one file (bool)."""
        has_number = any(mark in self._base.path for mark in _NUMBER)
        return not (self._is_folder or self._numbered) and (
            self._options.single_file or not has_number
        )

    @property
    def shown(self) -> str:
        """What errors call the target (str)."""
        return self._base.shown

    def is_there(self) -> bool:
        """Whether what would be written is there already (bool)."""
        place = self._base if self._is_folder else self._place(0)
        with writing(place):
            place.fs.invalidate_cache()
            return bool(place.fs.exists(place.path))

    def part(self, schema: Any, number: int) -> Part:
        """The writer of a part.

        Parameters:
            schema: pyarrow.Schema or None
                What its batches have; None for bytes.
            number: int
                Which part, from 0.

        Returns:
            Part: a context manager.

        Raises:
            WriteError: the format cannot have a column of the schema, or the storage refuses.
            ValueError: `partition_cols` has a column that is not in the schema.
        """
        if self._options.partition_cols:
            return _Folders(self, schema, number)
        return _One(self, schema, self._place(number))

    def _place(self, number: int, below: str = "") -> paths.Place:
        base, shown = self._base.path, self._base.shown
        ending = extension_of(self._format, self._options)
        if self._is_folder:
            end = f"{below}/part-{number:05}{ending}"
            return self._at(base.rstrip("/") + end, shown.rstrip("/") + end)
        if self._options.single_file:
            return self._base
        for mark in _NUMBER:
            if mark in base:
                word = str(number)
                return self._at(base.replace(mark, word), shown.replace(mark, word))
        if self._numbered:
            return self._at(f"{base}_{number}", f"{shown}_{number}")
        return self._base

    def _at(self, path: str, shown: str) -> paths.Place:
        return paths.Place(self._base.fs, path, shown, self._base.storage)

    def _open(self, schema: Any, place: paths.Place) -> Writer:
        # A name such as `x.csv_0` says no format; the path that was asked for does.
        options = dataclasses.replace(self._options, format=self._format)
        made = self._outputs.create(place)
        with writing(place):
            writer = open_writer(self._base.path, made.stream, schema, options)
        self.written.append(place.shown)
        return writer


class Part:
    """Takes the batches of one part; a context manager that closes it."""

    def write(self, batch: Any) -> None:
        """Writes a batch (pyarrow.RecordBatch, or bytes).

        Raises:
            WriteError: the storage refuses, or a value cannot be written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Writes what is left. The file is seen when the sink's block ends."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()


class _One(Part):
    """A part that is one file."""

    def __init__(self, sink: Sink, schema: Any, place: paths.Place) -> None:
        self._place = place
        self._advance = sink._advance
        self._writer = sink._open(schema, place)

    def write(self, batch: Any) -> None:
        with writing(self._place):
            self._writer.write(batch)
        if self._advance is not None:
            self._advance(_size_of(batch))

    def close(self) -> None:
        with writing(self._place):
            self._writer.close()


def _size_of(batch: Any) -> int:
    """The bytes in memory of a batch, or of bytes."""
    if not hasattr(batch, "schema"):
        return memoryview(batch).nbytes
    import pyarrow

    try:
        return int(batch.nbytes)
    except pyarrow.ArrowException:
        # Older libraries cannot tell which part of the buffers of views is the batch's.
        return int(batch.get_total_buffer_size())


class _Folders(Part):
    """A part that is a file for each combination of values of the partition columns."""

    def __init__(self, sink: Sink, schema: Any, number: int) -> None:
        self._sink, self._number = sink, number
        self._columns = sink._options.partition_cols
        for name in self._columns:
            if schema is None or name not in schema.names:
                known = ", ".join(schema.names) if schema is not None else "none"
                raise ValueError(f"partition_cols has {name!r}; the columns are {known}")
        self._names = [name for name in schema.names if name not in self._columns]
        if not self._names:
            raise ValueError("partition_cols has all columns: nothing is left to write")
        self._parts: dict[tuple[Any, ...], _One] = {}

    def write(self, batch: Any) -> None:
        import pyarrow

        table = pyarrow.Table.from_batches([batch])
        keys = table.select(self._columns).to_pylist()
        rows: dict[tuple[Any, ...], list[int]] = {}
        for at, key in enumerate(keys):
            rows.setdefault(tuple(key.values()), []).append(at)
        left = table.select(self._names)
        for values, chosen in rows.items():
            for one in left.take(chosen).combine_chunks().to_batches():
                self._part(values, one.schema).write(one)

    def _part(self, values: tuple[Any, ...], schema: Any) -> _One:
        part = self._parts.get(values)
        if part is None:
            if len(self._parts) >= OPEN_FILES_MAX:
                raise ValueError(
                    f"partition_cols has more than {OPEN_FILES_MAX} combinations of values"
                )
            pairs = zip(self._columns, values, strict=True)
            below = "".join(f"/{quote(name, '')}={_folder(value)}" for name, value in pairs)
            place = self._sink._place(self._number, below)
            part = self._parts[values] = _One(self._sink, schema, place)
        return part

    def close(self) -> None:
        for part in self._parts.values():
            part.close()


def _folder(value: Any) -> str:
    return paths.HIVE_NULL if value is None else quote(str(value), "")
