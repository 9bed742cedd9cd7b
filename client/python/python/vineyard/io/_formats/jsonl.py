"""JSON, one object a line: blocks of lines that pyarrow parses.

Promise: as for CSV: types from the first block, errors with file, line, column and value.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.json

from vineyard.io._formats import text
from vineyard.io._formats.base import Format, Piece, agree, conform
from vineyard.io._formats.guessed import settled
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File
from vineyard.io.errors import ReadError


class JsonlFormat(Format):
    """Files of JSON lines."""

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        super().__init__(files, options, threads)
        self._lock = threading.Lock()
        given = options.column_types
        if not isinstance(given, dict):
            names = options.schema if isinstance(options.schema, tuple) else ()
            if len(given) > len(names):
                raise ValueError("column_types of JSON must have the names of the columns: a dict")
            given = {name: kind for name, kind in zip(names, given, strict=False) if kind}
        self._given: dict[str, Any] = given
        self.schema = self._find_schema()
        self.pieces = text.pieces(files, options, threads)

    def _find_schema(self) -> Any:
        options = self.options
        if isinstance(options.schema, pyarrow.Schema):
            return options.schema
        guesses, guessed = [], []
        for file in self.files:
            block = text.first_block(file, False)
            if not block.data.strip():
                continue
            guess = self._guess(file, block)
            guess = settled(guess, self._given, block.is_last and len(self.files) == 1)
            fields = [field.with_type(self._given.get(field.name, field.type)) for field in guess]
            guesses.append(pyarrow.schema(fields))
            guessed.append(file)
            if not options.union_by_name:
                break
        if not guesses:
            return pyarrow.schema([(name, pyarrow.string()) for name in options.schema or ()])
        found = agree(guesses, guessed, options)
        if not options.schema:
            return found
        wanted = list(options.schema)
        for name in wanted:
            if name not in found.names:
                raise ReadError(guessed[0].shown, f"schema has {name!r}; no line has it")
        if options.include_all_columns:
            wanted += [name for name in found.names if name not in wanted]
        return pyarrow.schema([found.field(name) for name in wanted])

    def _guess(self, file: File, block: text.Block) -> Any:
        given = (pyarrow.field(name, kind) for name, kind in self._given.items())
        explicit = pyarrow.schema([_as_parsed(field) for field in given])
        try:
            return self._parse_once(block.data, explicit, "infer").schema
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            if self.options.on_bad_rows == "skip":
                return self._guess_halves(file, block)
            raise self._explain(error, file, block.data, 0, explicit, "infer") from error

    def _guess_halves(self, file: File, block: text.Block) -> Any:
        """The columns of the rows that fit with those before them."""
        middle = text.row_boundary(block.data)
        if middle >= len(block.data):
            return pyarrow.schema([])
        halves = (block.data[:middle], block.data[middle:])
        one, two = (self._guess(file, text.Block(half, 0, False)) for half in halves)
        known = {field.name: field for field in two} | {field.name: field for field in one}
        return pyarrow.schema(list(known.values()))

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        explicit = pyarrow.schema([_as_parsed(self.schema.field(name)) for name in columns])
        chosen = len(columns) < len(self.schema) or self.options.schema is not None
        unexpected = "ignore" if chosen or self.options.columns is not None else "error"
        for block in text.blocks(piece, self.options.chunk_size, False):
            for batch in self._parse(piece.file, block.data, block.begin, explicit, unexpected):
                yield conform(batch, self.schema, columns, piece.file)

    def _parse(
        self, file: File, body: bytes, begin: int, explicit: Any, unexpected: str
    ) -> list[Any]:
        if not body.strip():
            return []
        try:
            table = self._parse_once(body, explicit, unexpected)
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            if self.options.on_bad_rows != "skip":
                raise self._explain(error, file, body, begin, explicit, unexpected) from error
            middle = text.row_boundary(body)
            if middle >= len(body):
                with self._lock:
                    self.skipped_rows += 1
                return []
            left = self._parse(file, body[:middle], begin, explicit, unexpected)
            return left + self._parse(file, body[middle:], begin + middle, explicit, unexpected)
        batches: list[Any] = table.to_batches()
        return batches

    def _parse_once(self, body: bytes, explicit: Any, unexpected: str) -> Any:
        body = body.removeprefix(b"\xef\xbb\xbf")
        table = pyarrow.json.read_json(
            pyarrow.BufferReader(body),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            pyarrow.json.ParseOptions(
                explicit_schema=explicit, unexpected_field_behavior=unexpected
            ),
        )
        # pyarrow does not look whether texts are UTF-8.
        table.validate(full=True)
        return table

    def _explain(
        self,
        error: Exception,
        file: File,
        body: bytes,
        begin: int,
        explicit: Any,
        unexpected: str,
    ) -> ReadError:
        """The error with the line that is the first not to fit with those before it."""
        end = self._first_bad_end(body, explicit, unexpected)
        line = body.count(b"\n", 0, max(0, end - 1)) + 1
        if begin:
            line += text.lines_before(file, begin)
        start = body.rfind(b"\n", 0, max(0, end - 1)) + 1
        row = body[start:end].strip()
        if unexpected == "infer" and body[:start].strip():
            explicit = self._parse_once(body[:start], explicit, unexpected).schema
        return _error_of_row(error, file, line, row, explicit, unexpected)

    def _first_bad_end(self, body: bytes, explicit: Any, unexpected: str) -> int:
        """Where the shortest begin of whole lines that cannot be parsed ends."""
        good, bad = 0, len(body)
        while True:
            middle = text.cut(body[: (good + bad) // 2], False)
            if middle <= good:
                middle = (body.find(b"\n", good) + 1) or len(body)
            if middle >= bad:
                return bad
            try:
                if body[:middle].strip():
                    self._parse_once(body[:middle], explicit, unexpected)
                good = middle
            except (pyarrow.ArrowException, UnicodeDecodeError):
                bad = middle


def _as_parsed(field: Any) -> Any:
    """The field with the type that pyarrow parses: dates and times it would take for numbers only;
    as text they are converted afterwards.
    """
    types = pyarrow.types
    is_text = types.is_date(field.type) or types.is_time(field.type)
    return field.with_type(pyarrow.string()) if is_text else field


def _error_of_row(
    error: Exception, file: File, line: int, row: bytes, explicit: Any, unexpected: str
) -> ReadError:
    try:
        found = json.loads(row)
    except ValueError as told:
        what = "is not UTF-8" if isinstance(told, UnicodeDecodeError) else f"no JSON: {told}"
        return ReadError(file.shown, what, line=line)
    if not isinstance(found, dict):
        return ReadError(file.shown, "is no JSON object", line=line)
    for name, value in found.items():
        if name not in explicit.names:
            if unexpected == "error":
                reason = "is not in the first block (set schema, or columns without it)"
                return ReadError(file.shown, reason, line=line, column=name)
            continue
        kind = explicit.field(name).type
        if not _fits(value, kind):
            reason = f"is not {kind} (type from the first block; set column_types)"
            said = value if isinstance(value, str) else json.dumps(value)
            return ReadError(file.shown, reason, line=line, column=name, value=said)
    return ReadError(file.shown, str(error), line=line)


def _fits(value: Any, kind: Any) -> bool:
    text_of = json.dumps({"v": value}).encode()
    try:
        pyarrow.json.read_json(
            pyarrow.BufferReader(text_of),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema([("v", kind)])),
        )
    except pyarrow.ArrowException:
        return False
    return True
