"""What pyarrow says of a CSV block, as an error with file, line, column and value."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vineyard.io._formats import text
from vineyard.io._paths import File
from vineyard.io.errors import ReadError

_ROW = re.compile(r"Row #(\d+): ")
_COLUMN = re.compile(r"In CSV column #(\d+): ")
_VALUE = re.compile(r"conversion error to .*?: invalid value '(.*)'$", re.DOTALL)
_COUNT = re.compile(r"Expected (\d+) columns, got (\d+)")


def explain(
    error: Exception,
    file: File,
    body: bytes,
    begin: int,
    names: Sequence[str],
    types: Mapping[str, Any],
    given: Collection[str],
) -> ReadError:
    """The error to raise for one of pyarrow.

    Parameters:
        error: Exception
            What pyarrow raised; its row counts in the block.
        file, body, begin:
            The file, the block, and where that begins in the text.
        names: sequence of str
            The file's columns.
        types: dict of str to pyarrow.DataType
            What they must be.
        given: names
            The columns whose types the caller chose.
    """
    said = str(error)
    row = _ROW.search(said)
    line = None
    if row:
        before = text.lines_before(file, begin) if begin else 0
        line = before + text.line_of(body, int(row[1]) - 1)[0] + 1
    at = _COLUMN.search(said)
    column = names[int(at[1])] if at and int(at[1]) < len(names) else None
    count = _COUNT.search(said)
    if count:
        return ReadError(file.shown, f"has {count[2]} values, not {count[1]}", line=line)
    if column is None:
        return ReadError(file.shown, said, line=line)
    value = _VALUE.search(said)
    if "UTF8" in said:
        reason = "is not UTF-8"
    else:
        source = "column_types or schema" if column in given else "type from the first block"
        advice = f"type of {source}" if column in given else f"{source}; set column_types"
        reason = f"is not {types.get(column)} ({advice})"
    return ReadError(
        file.shown, reason, line=line, column=column, value=value[1] if value else None
    )
