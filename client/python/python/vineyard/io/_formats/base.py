"""What every format gives: a schema, pieces, and the batches of a piece.

Promise: the schema is known before data is read, and every batch of a piece has it, less the
columns that were not asked for.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from vineyard.io._options import ReadOptions
from vineyard.io._paths import File
from vineyard.io.errors import ReadError


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a file that one thread reads: `part` says which, as the format has it."""

    file: File
    part: Any
    size_bytes: int


class Format(abc.ABC):
    """Files of one format, opened together."""

    # What all files have; None if the format has no columns.
    schema: Any
    pieces: Sequence[Piece]
    # Rows that were left out because they cannot be read.
    skipped_rows: int = 0

    def __init__(self, files: Sequence[File], options: ReadOptions, threads: int) -> None:
        """Finds the schema and the pieces.

        Parameters:
            files: list of File
                At least one.
            options: ReadOptions
                How to read.
            threads: int
                How many pieces will be read at once.

        Raises:
            ReadError: a file cannot be read, or its columns are not those of the first.
        """
        self.files, self.options, self.threads = files, options, threads

    @abc.abstractmethod
    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[Any]:
        """The record batches of a piece, with these columns of the schema in the schema's order.

        Raises:
            ReadError: the piece cannot be read.
        """


def agree(schemas: Sequence[Any], files: Sequence[File], options: ReadOptions) -> Any:
    """The schema of several files: the first one's, or with `union_by_name` all columns.

    Raises:
        ReadError: a file lacks a column of the first, or has one more that nobody says to drop.
    """
    import pyarrow

    if _is_schema(options.schema):
        return options.schema
    first = schemas[0]
    if options.union_by_name:
        try:
            return pyarrow.unify_schemas(schemas, promote_options="permissive")
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise ReadError(files[0].shown, f"its columns fit no other file's: {error}") from error
    wanted = options.columns
    for schema, file in zip(schemas[1:], files[1:], strict=True):
        here, there = set(schema.names), set(first.names)
        if wanted is not None:
            here, there = here & there, there & set(wanted)
        for name in sorted(there - here):
            raise ReadError(
                file.shown,
                f"is not there, but is in {files[0].shown} (union_by_name=True reads nulls)",
                column=name,
            )
        for name in sorted(here - there) if wanted is None else ():
            raise ReadError(
                file.shown,
                f"is not in {files[0].shown} (union_by_name=True reads it, columns= leaves it)",
                column=name,
            )
    return first


def _is_schema(value: Any) -> bool:
    return value is not None and not isinstance(value, tuple)


def conform(batch: Any, schema: Any, columns: Sequence[str], file: File) -> Any:
    """The batch with these columns of the schema, and its types; absent columns are null.

    Raises:
        ReadError: values of a column cannot have its type.
    """
    import pyarrow

    fields = [schema.field(name) for name in columns]
    arrays = []
    for field in fields:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            arrays.append(pyarrow.nulls(batch.num_rows, field.type))
            continue
        array = batch.column(at)
        if array.type != field.type:
            array = _cast(array, field, file)
        arrays.append(array)
    wanted = pyarrow.schema(fields, schema.metadata)
    if not arrays:
        return rows_alone(batch.num_rows, wanted)
    return pyarrow.RecordBatch.from_arrays(arrays, schema=wanted)


def rows_alone(rows: int, schema: Any) -> Any:
    """A batch of a number of rows and no columns."""
    import pyarrow

    structs = pyarrow.Array.from_buffers(pyarrow.struct([]), rows, [None])
    batch = pyarrow.RecordBatch.from_struct_array(structs)
    return batch.replace_schema_metadata(schema.metadata)


def _cast(array: Any, field: Any, file: File) -> Any:
    import pyarrow

    try:
        return array.cast(field.type)
    except pyarrow.ArrowException as error:
        reason = f"is {array.type}, which does not fit {field.type}: {error}"
        raise ReadError(file.shown, reason, column=field.name) from error
