"""CSV: blocks of lines that pyarrow parses, each in one thread, so that errors know their row.

Promise: the types are those of the first block, or those given, for all files; a value that does
not fit is an error with its line, or a row that is counted and left out. No row is parsed in two
pieces, also where a value has a line end: that is an error that names the option to set.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.csv

from vineyard.io._formats import text
from vineyard.io._formats.base import Format, Piece, agree, conform
from vineyard.io._formats.csv_errors import explain
from vineyard.io._formats.guessed import settled
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File
from vineyard.io.errors import ReadError

BOM = b"\xef\xbb\xbf"
# Of the first block, what one thread parses at once.
GUESSED_AT_ONCE_BYTES = 512 << 10


@dataclasses.dataclass(frozen=True)
class Head:
    """The names of a file's columns, and the bytes of its header."""

    names: tuple[str, ...]
    header_bytes: int


class CsvFormat(Format):
    """CSV files."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        self._lock = threading.Lock()
        self._heads: dict[str, Head] = {}
        self._types: dict[str, Any] = {}
        self._wanted: tuple[str, ...] | None = None
        guesses, guessed = [], []
        for file in files:
            schema = self._guess(file)
            if schema is not None:
                guesses.append(schema)
                guessed.append(file)
                if not options.union_by_name:
                    break
        self._names = tuple(guesses[0].names) if guesses else ()
        found = agree(guesses, guessed, options) if guesses else self._schema_without_rows()
        self.schema = self._selected(found)
        self.pieces = text.pieces(files, options, threads)
        # What was left out of first blocks is counted when they are read.
        self.skipped_rows = 0

    def _schema_without_rows(self) -> Any:
        given = self.options.schema
        if isinstance(given, pyarrow.Schema):
            return given
        types = dict(self._given_types(given or ()))
        return pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in given or ()])

    def _guess(self, file: File) -> Any:
        """The columns of a file by its first block; None if it is empty."""
        block = text.first_block(file, self.options.newlines_in_values)
        head = self._head_of(file, block.data)
        if head is None:
            return None
        self._heads[file.path] = head
        if self._wanted is None:
            self._wanted = self._wanted_names(head, file)
            self._types = dict(self._given_types(self._wanted or head.names))
            self._check_types(head, file)
        body = block.data[head.header_bytes :]
        names = list(head.names)
        if not body.strip():
            guessed = pyarrow.schema([(name, pyarrow.null()) for name in names])
        else:
            with file.guard():
                guessed = self._inferred(file, body, head.header_bytes, names)
            texts = {field.name for field in guessed if pyarrow.types.is_binary(field.type)}
            texts -= self._types.keys()
            if texts:
                # pyarrow takes what is not UTF-8 for bytes: this raises the error that says where.
                types = self._types | dict.fromkeys(texts, pyarrow.string())
                self._parse(file, body, head.header_bytes, names, names, types)
        return settled(guessed, self._types, block.is_last and len(self.files) == 1)

    def _inferred(self, file: File, body: bytes, begin: int, names: list[str]) -> Any:
        """The schema of whole lines, parsed in several threads, as nothing else can begin yet."""
        try:
            table = self._parse_once(body, names, names, self._types, [], GUESSED_AT_ONCE_BYTES)
        except pyarrow.ArrowInvalid:
            # Only one thread can say which row is wrong.
            return self._parse(file, body, begin, names, names, self._types)[0].schema
        return table.schema

    def _head_of(self, file: File, data: bytes) -> Head | None:
        """The names of the columns, from the first rows of a file."""
        skipped = len(BOM) if data.startswith(BOM) else 0
        begin, end = _first_row(data, skipped)
        row = _fields(data[begin:end], self.options.delimiter, file)
        if row is None:
            return None
        options = self.options
        if options.header_row or (options.first_header_row and file is self.files[0]):
            for at, name in enumerate(row):
                if name in row[:at]:
                    raise ReadError(file.shown, "is there twice", line=1, column=name)
            return Head(tuple(row), end)
        if options.first_header_row and self._names:
            return Head(self._names, skipped)
        return Head(self._names_without_header(len(row), file), skipped)

    def _names_without_header(self, count: int, file: File) -> tuple[str, ...]:
        given = self.options.schema
        names = tuple(given.names) if isinstance(given, pyarrow.Schema) else given or ()
        if all(name.isdigit() for name in names):
            names = ()
        if len(names) > count:
            raise ReadError(file.shown, f"has {count} columns, and schema has {len(names)}", line=1)
        return (*names, *(f"f{at}" for at in range(len(names), count)))

    def _wanted_names(self, head: Head, file: File) -> tuple[str, ...] | None:
        """The columns that `schema` asks for, by name or number; None for all."""
        given = self.options.schema
        if given is None:
            return None
        if isinstance(given, pyarrow.Schema):
            return tuple(given.names)
        wanted = []
        for name in given:
            if name not in head.names and name.isdigit() and int(name) < len(head.names):
                name = head.names[int(name)]
            if name not in head.names:
                columns = ", ".join(head.names)
                raise ReadError(file.shown, f"schema has {name!r}; the columns are {columns}")
            wanted.append(name)
        return tuple(wanted)

    def _given_types(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        if isinstance(self.options.schema, pyarrow.Schema):
            yield from ((field.name, field.type) for field in self.options.schema)
        given = self.options.column_types
        if isinstance(given, dict):
            yield from given.items()
            return
        if len(given) > len(names):
            raise ValueError(f"column_types has {len(given)} types for {len(names)} columns")
        yield from ((name, kind) for name, kind in zip(names, given, strict=False) if kind)

    def _check_types(self, head: Head, file: File) -> None:
        for name in (
            self.options.column_types if isinstance(self.options.column_types, dict) else ()
        ):
            if name not in head.names:
                columns = ", ".join(head.names)
                raise ReadError(file.shown, f"column_types has {name!r}; columns are {columns}")

    def _selected(self, schema: Any) -> Any:
        if self._wanted is None or isinstance(self.options.schema, pyarrow.Schema):
            return schema
        names = list(self._wanted)
        if self.options.include_all_columns:
            names += [name for name in schema.names if name not in names]
        return pyarrow.schema([schema.field(name) for name in names])

    def _head(self, file: File) -> Head | None:
        with self._lock:
            known = self._heads.get(file.path)
        if known is not None:
            return known
        head = self._head_of(file, text.first_block(file, self.options.newlines_in_values).data)
        if head is None:
            return None
        agree(
            [_nameless(self._names), _nameless(head.names)],
            [self.files[0], file],
            dataclasses.replace(self.options, columns=self.options.columns or self._wanted),
        )
        with self._lock:
            self._heads[file.path] = head
        return head

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        file = piece.file
        head = self._head(file)
        if head is None:
            return
        present = [name for name in columns if name in head.names]
        types = {name: self.schema.field(name).type for name in present}
        quoted = self.options.newlines_in_values
        for block in text.blocks(piece, self.options.chunk_size, quoted):
            skipped = max(0, head.header_bytes - block.begin)
            body = block.data[skipped:] if skipped else block.data
            if not body:
                continue
            begin = block.begin + skipped
            if not quoted and _has_odd_quotes(body) and self._ends_in_quotes(body, head.names):
                raise self._cut_value(file, begin, body, block)
            wanted = present or [head.names[0]]
            for batch in self._parse(file, body, begin, head.names, wanted, types):
                yield conform(batch, self.schema, columns, file)

    def _ends_in_quotes(self, body: bytes, names: Sequence[str]) -> bool:
        """Whether the last value of a block has no closing quote, so that pyarrow took the line end
        for a part of it.
        """
        last = names[-1]
        try:
            table = self._parse_once(body, names, [last], {last: pyarrow.binary()}, [])
        except pyarrow.ArrowInvalid:
            return True
        end = table.column(0)[-1].as_py() if table.num_rows else b""
        return bool(end) and end.endswith(b"\n")

    def _cut_value(self, file: File, begin: int, body: bytes, block: text.Block) -> ReadError:
        line = text.lines_before(file, begin) + body.count(b"\n")
        reason = "a quoted value has no end"
        if not block.is_last:
            reason = "a value goes over several lines: set newlines_in_values=True"
        return ReadError(file.shown, reason, line=line)

    def _parse(
        self,
        file: File,
        body: bytes,
        begin: int,
        names: Sequence[str],
        wanted: Sequence[str],
        types: dict[str, Any],
    ) -> list[Any]:
        """The record batches of whole lines, which begin at `begin` in the file's text."""
        ragged: list[int] = []
        try:
            table = self._parse_once(body, names, wanted, types, ragged)
        except pyarrow.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return []
            if self.options.on_bad_rows == "skip":
                return self._parse_halves(file, body, begin, names, wanted, types)
            raise explain(error, file, body, begin, names, types, self._types) from error
        self._count(len(ragged))
        batches = table.to_batches()
        return batches or [pyarrow.RecordBatch.from_pylist([], schema=table.schema)]

    def _parse_once(
        self,
        body: bytes,
        names: Sequence[str],
        wanted: Sequence[str],
        types: dict[str, Any],
        ragged: list[int],
        at_once_bytes: int | None = None,
    ) -> Any:
        """`at_once_bytes`: what each of several threads parses; None: one thread parses all."""

        def skip(row: Any) -> str:
            ragged.append(row.number or 0)
            return "skip"

        return pyarrow.csv.read_csv(
            pyarrow.BufferReader(body),
            pyarrow.csv.ReadOptions(
                column_names=list(names),
                use_threads=at_once_bytes is not None,
                block_size=at_once_bytes or len(body) + 1,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self.options.delimiter,
                newlines_in_values=self.options.newlines_in_values,
                invalid_row_handler=skip if self.options.on_bad_rows == "skip" else None,
            ),
            pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(wanted)),
        )

    def _parse_halves(
        self,
        file: File,
        body: bytes,
        begin: int,
        names: Sequence[str],
        wanted: Sequence[str],
        types: dict[str, Any],
    ) -> list[Any]:
        """Leaves out the rows that do not fit: halves until each is alone."""
        middle = text.row_boundary(body)
        if middle >= len(body):
            self._count(1)
            return []
        halves = ((body[:middle], begin), (body[middle:], begin + middle))
        return [
            batch
            for half, at in halves
            for batch in self._parse(file, half, at, names, wanted, types)
        ]

    def _count(self, rows: int) -> None:
        if rows:
            with self._lock:
                self.skipped_rows += rows


def _has_odd_quotes(body: bytes) -> bool:
    # To look for one is much faster than to count, and most files have none.
    return b'"' in body and body.count(b'"') % 2 == 1


def _nameless(names: Sequence[str]) -> Any:
    return pyarrow.schema([(name, pyarrow.null()) for name in names])


def _first_row(data: bytes, begin: int) -> tuple[int, int]:
    """Where the first row that is not empty begins and ends."""
    while begin < len(data):
        end = text.row_end(data, begin)
        if data[begin:end].strip(b"\r\n"):
            return begin, end
        begin = end
    return begin, begin


def _fields(row: bytes, delimiter: str, file: File) -> list[str] | None:
    try:
        words = row.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReadError(file.shown, "is not UTF-8", line=1) from error
    return next(csv.reader(io.StringIO(words), delimiter=delimiter), None)
