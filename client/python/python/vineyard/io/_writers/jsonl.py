"""JSON, one object a line.

Promise: what is written is JSON that any reader takes: not-a-number and infinities, which JSON
does not have, are null; times are ISO 8601; decimals are text.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import Any

import pyarrow

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Writer

ROWS_AT_ONCE = 4096


class JsonlWriter(Writer):
    """Writes JSON lines."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        for field in schema:
            if _has_bytes(field.type):
                raise ValueError(f'column "{field.name}" is {field.type}, which JSON cannot have')

    def write(self, batch: Any) -> None:
        for begin in range(0, batch.num_rows, ROWS_AT_ONCE):
            rows = batch.slice(begin, ROWS_AT_ONCE).to_pylist()
            lines = [json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) for row in rows]
            self.stream.write(("\n".join(lines) + "\n").encode("utf-8"))

    def close(self) -> None:
        pass


def _has_bytes(kind: Any) -> bool:
    types = pyarrow.types
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return True
    return any(_has_bytes(kind.field(at).type) for at in range(kind.num_fields))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime):
        # Readers of milliseconds take no more digits than these.
        has_milliseconds = value.microsecond and value.microsecond % 1000 == 0
        return value.isoformat(" ", "milliseconds" if has_milliseconds else "auto")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return value
