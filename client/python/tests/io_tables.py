"""Tables for the tests of `vineyard.io`, and a read that needs no node."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pyarrow
from vineyard.io import _options as options
from vineyard.io import _paths as paths
from vineyard.io._source import Source, open_source


def source_of(path: Any, threads: int = 2, **keywords: Any) -> Source:
    """The source of a path, as `read` opens it."""
    fragment: dict[str, str] = {}
    if not isinstance(path, list):
        path, fragment = paths.split_options(path, options.is_read_option)
    asked = options.for_reading(keywords, fragment)
    return open_source(path, asked.data, asked.storage, threads)


def table_of(path: Any, threads: int = 2, **keywords: Any) -> pyarrow.Table:
    """All that is read of a path."""
    source = source_of(path, threads, **keywords)
    return pyarrow.Table.from_batches(list(source.batches()), source.schema)


# What text formats keep without being told types.
PLAIN = pyarrow.table(
    {
        "whole": pyarrow.array([1, None, -3], pyarrow.int64()),
        "real": pyarrow.array([1.0, None, 2.5]),
        "text": pyarrow.array(["a", 'b,"c"\nd', "ü"]),
        "truth": pyarrow.array([True, None, False]),
    }
)
# Types that CSV and JSON keep if `schema` says them.
TOLD = pyarrow.table(
    {
        **{f"int{bits}": pyarrow.array([1, None, -3], f"int{bits}") for bits in (8, 16, 32, 64)},
        **{f"uint{bits}": pyarrow.array([1, None, 3], f"uint{bits}") for bits in (8, 16, 32, 64)},
        "float32": pyarrow.array([1.5, None, 0.1], pyarrow.float32()),
        "float64": pyarrow.array([1e300, None, 0.1], pyarrow.float64()),
        "bool": pyarrow.array([True, None, False]),
        "string": pyarrow.array(["x", "null,", "y"]),
        "large_string": pyarrow.array(["x", "\t", "y"], pyarrow.large_string()),
        "date32": pyarrow.array([datetime.date(2020, 2, 29), None, None], pyarrow.date32()),
        "timestamp_s": pyarrow.array([0, None, 10**9], pyarrow.timestamp("s")),
        "timestamp_us": pyarrow.array([0, None, 10**15 + 1], pyarrow.timestamp("us")),
    }
)
# What columns of binary formats can be; ORC has no unsigned and no half numbers.
COMMON = pyarrow.table(
    {
        **{name: TOLD.column(name) for name in ("int8", "int16", "int32", "int64", "float32")},
        **{name: TOLD.column(name) for name in ("float64", "bool", "string", "date32")},
        "binary": pyarrow.array([b"\0\xff", None, b""]),
        "decimal": pyarrow.array([decimal.Decimal("1.50"), None, None], pyarrow.decimal128(9, 2)),
        "timestamp_ns": pyarrow.array([0, None, 10**18 + 1], pyarrow.timestamp("ns")),
        "list": pyarrow.array([[1, None], None, []], pyarrow.list_(pyarrow.int64())),
        "struct": pyarrow.array([{"x": 1, "y": "a"}, None, {"x": None, "y": None}]),
        "map": pyarrow.array([[("k", 1)], None, []], pyarrow.map_(pyarrow.string(), "int64")),
    }
)
PARQUET = pyarrow.table(
    {
        **{name: COMMON.column(name) for name in COMMON.column_names},
        **{name: TOLD.column(name) for name in ("uint8", "uint16", "uint32", "uint64")},
        "large_string": TOLD.column("large_string"),
        "large_binary": pyarrow.array([b"1", None, b""], pyarrow.large_binary()),
        "fixed": pyarrow.array([b"ab", None, b"cd"], pyarrow.binary(2)),
        "time32": pyarrow.array([1, None, 3], pyarrow.time32("ms")),
        "time64": pyarrow.array([1, None, 3], pyarrow.time64("us")),
        "zoned": pyarrow.array([0, None, 5], pyarrow.timestamp("us", "Europe/Berlin")),
        "duration": pyarrow.array([1, None, 3], pyarrow.duration("us")),
        "large_list": pyarrow.array([[1], None, []], pyarrow.large_list(pyarrow.int64())),
        "dictionary": pyarrow.array(["a", None, "a"]).dictionary_encode(),
        "null": pyarrow.nulls(3),
    }
)
IPC = pyarrow.table(
    {
        **{name: PARQUET.column(name) for name in PARQUET.column_names},
        "half": pyarrow.array([1, None, 2], pyarrow.int8()).cast(pyarrow.float16()),
        "date64": pyarrow.array([0, None, 86_400_000], pyarrow.date64()),
        "time32_s": pyarrow.array([1, None, 3], pyarrow.time32("s")),
    }
)
BY_FORMAT = {"orc": COMMON, "parquet": PARQUET, "ipc": IPC}
ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "orc": ".orc", "parquet": ".parquet", "ipc": ".arrow"}
