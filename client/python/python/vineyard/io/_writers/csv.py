"""CSV.

Promise: numbers and plain text are written as vineyard 0.24 does, which writes with pandas: no
quotes that are not needed, `1.0` for a whole float. A null is nothing, not-a-number is `nan`. No
row is an empty line, which readers leave out.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.csv

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, Writer

_WHOLE = r"^-?\d+$"


class CsvWriter(Writer):
    """Writes CSV."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        for field in schema:
            if not _is_printable(field.type):
                raise ValueError(f'column "{field.name}" is {field.type}, which CSV cannot have')
        self._sink = pyarrow.PythonFile(Borrowed(stream), "w")
        if options.header_row and len(schema):
            text = io.StringIO()
            csv.writer(text, delimiter=options.delimiter, lineterminator="\n").writerow(
                schema.names
            )
            self._sink.write(text.getvalue().encode())

    def write(self, batch: Any) -> None:
        if not batch.num_columns or not batch.num_rows:
            return
        if self.options.escapechar is not None:
            self._write_escaped(batch)
            return
        batch = _printable(batch)
        if batch.num_columns > 1 or not _has_empty(batch.column(0)):
            options = pyarrow.csv.WriteOptions(
                include_header=False, delimiter=self.options.delimiter, quoting_style="none"
            )
            printed = pyarrow.BufferOutputStream()
            try:
                pyarrow.csv.write_csv(batch, printed, options)
            except pyarrow.ArrowInvalid:
                pass  # Without quotes a value would be more than one, or go over two lines.
            else:
                self._sink.write(printed.getvalue())
                return
        self._sink.write(_quoted_lines(batch, self.options.delimiter))

    def _write_escaped(self, batch: Any) -> None:
        """With an escape character, which pandas knows and pyarrow does not."""
        text = batch.to_pandas().to_csv(
            header=False,
            index=False,
            sep=self.options.delimiter,
            escapechar=self.options.escapechar,
        )
        self._sink.write(text.encode())

    def close(self) -> None:
        self._sink.flush()


def _is_printable(kind: Any) -> bool:
    if pyarrow.types.is_dictionary(kind):
        return _is_printable(kind.value_type)
    return not (pyarrow.types.is_nested(kind) or isinstance(kind, pyarrow.BaseExtensionType))


def _printable(batch: Any) -> Any:
    """The batch with types that pyarrow prints as they should be."""
    arrays = []
    for array in batch.columns:
        if pyarrow.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pyarrow.types.is_floating(array.type):
            text = array.cast(pyarrow.float32() if array.type.bit_width == 16 else array.type)
            text = text.cast(pyarrow.string())
            # Nothing tells 1 from 1.0 but this.
            array = pyarrow.compute.replace_substring_regex(
                text, pattern=_WHOLE, replacement=r"\0.0"
            )
        elif not _is_plain(array.type):
            array = _as_text(array)
        arrays.append(array)
    return pyarrow.RecordBatch.from_arrays(arrays, batch.schema.names)


def _is_plain(kind: Any) -> bool:
    types = pyarrow.types
    return bool(
        types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_null(kind)
    )


def _as_text(array: Any) -> Any:
    kind = array.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return array
    if pyarrow.types.is_duration(kind):
        array = array.cast(pyarrow.int64())
    return array.cast(pyarrow.string())


def _quoted_lines(batch: Any, delimiter: str) -> Any:
    """The lines of a batch, with quotes around the values that need them and no others: pyarrow
    would quote every text.
    """
    compute = pyarrow.compute
    quote, nothing, end, between = (
        pyarrow.scalar(text, pyarrow.large_string()) for text in ('"', "", "\n", delimiter)
    )
    special = f'["\r\n{re.escape(delimiter)}]'
    columns = []
    for array in batch.columns:
        text = array.cast(pyarrow.large_string()).fill_null("")
        doubled = compute.replace_substring(text, pattern='"', replacement='""')
        quoted = compute.binary_join_element_wise(quote, doubled, quote, nothing)
        needs = compute.match_substring_regex(text, special)
        if batch.num_columns == 1:
            needs = compute.or_(needs, compute.equal(text, ""))
        columns.append(compute.if_else(needs, quoted, text))
    columns[-1] = compute.binary_join_element_wise(columns[-1], end, nothing)
    lines = compute.binary_join_element_wise(*columns, between)
    # The values of such an array lie one after the other: they are the text.
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("B").cast("q")
    first, last = ends[lines.offset], ends[lines.offset + len(lines)]
    return data.slice(first, last - first)


def _has_empty(array: Any) -> bool:
    if array.null_count:
        return True
    kind = array.type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return False
    return bool(pyarrow.compute.any(pyarrow.compute.equal(array, "")).as_py())
