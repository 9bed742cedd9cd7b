"""What a read or write is asked for: keywords, `read_options` or `write_options`, options of the
storage, and the `#` part of a path, as one set.

Promise: an option that nobody knows, or that is given twice with different values, is a ValueError
which names it; options have no secrets, and the storage's options are shown nowhere.
"""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from vineyard.io import _texts as texts
from vineyard.io._secrets import Secrets

Given = dict[str, tuple[Any, str]]
FORMATS = ("csv", "jsonl", "parquet", "orc", "ipc", "bytes")
_FORMAT_NAMES = {
    **dict.fromkeys(("tsv", "txt"), "csv"),
    **dict.fromkeys(("json", "ndjson"), "jsonl"),
    "pq": "parquet",
    **dict.fromkeys(("feather", "arrow"), "ipc"),
}
CHUNK_BYTES = 128 << 20
# pyarrow's parsers count the bytes of a block with 32 bits.
CHUNK_BYTES_MAX = 1 << 30


def _format(name: str, value: Any) -> str:
    word = texts.text(name, value).lower().removeprefix(".")
    word = _FORMAT_NAMES.get(word, word)
    if word not in FORMATS:
        raise ValueError(f"{name} is {value!r}: it must be {', '.join(FORMATS)}")
    return word


def _chunk_size(name: str, value: Any) -> int:
    asked = texts.size(name, value)
    if asked > CHUNK_BYTES_MAX:
        raise ValueError(f"{name} is {value!r}: it must be at most 1G")
    return asked


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How files are read. Each field but the last is an option of that name."""

    format: str | None = None
    header_row: bool = False
    first_header_row: bool = False
    delimiter: str = ","
    schema: Any = None
    column_types: Any = ()
    include_all_columns: bool = False
    read_block_delimiter: str = "\n"
    newlines_in_values: bool = False
    columns: tuple[str, ...] | None = None
    filters: Any = None
    on_bad_rows: str = "error"
    hive_partitioning: bool = True
    union_by_name: bool = False
    include_path_column: str | None = None
    chunk_size: int = CHUNK_BYTES
    # How many shares the files are parted into, if several processes read them; else 0.
    shares: int = 0


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """How files are written. Each field is an option of that name; None is the format's default."""

    format: str | None = None
    header_row: bool = False
    delimiter: str = ","
    escapechar: str | None = None
    exists: str = "overwrite"
    single_file: bool = False
    partition_cols: tuple[str, ...] = ()
    compression: str | None = None
    compression_level: int | None = None
    version: str | None = None
    file_version: str | None = None
    data_page_size: int | None = None
    data_page_version: str | None = None
    write_batch_size: int | None = None
    batch_size: int | None = None
    stripe_size: int | None = None


@dataclasses.dataclass(frozen=True)
class SerializeOptions:
    """How objects are written to folders. Each field is an option of that name."""

    compression: str = "zstd"
    compression_level: int | None = None
    names: bool = False
    parallelism: int | None = None


@dataclasses.dataclass(frozen=True)
class DeserializeOptions:
    """How objects are made of folders. Each field is an option of that name."""

    spread: str = "here"
    parallelism: int | None = None


def _path_column(name: str, value: Any) -> str | None:
    """The name of a column for paths: `path` for True."""
    if isinstance(value, str) and value.strip().lower() not in ("0", "1", "true", "false"):
        return value
    return "path" if texts.flag(name, value) else None


READ: dict[str, texts.Parser] = {
    "format": _format,
    "header_row": texts.flag,
    "first_header_row": texts.flag,
    "delimiter": texts.delimiter,
    "schema": texts.schema,
    "column_types": texts.types,
    "include_all_columns": texts.flag,
    "read_block_delimiter": texts.text,
    "newlines_in_values": texts.flag,
    "columns": texts.names,
    "filters": texts.anything,
    "on_bad_rows": texts.one_of("error", "skip"),
    "hive_partitioning": texts.flag,
    "union_by_name": texts.flag,
    "include_path_column": _path_column,
    "chunk_size": _chunk_size,
}
WRITE: dict[str, texts.Parser] = {
    "format": _format,
    "header_row": texts.flag,
    "delimiter": texts.delimiter,
    "escapechar": texts.delimiter,
    "exists": texts.one_of("overwrite", "error", "ignore"),
    "single_file": texts.flag,
    "partition_cols": texts.names,
    "compression": texts.text,
    "compression_level": texts.count,
    "version": texts.text,
    "file_version": texts.text,
    "data_page_size": texts.size,
    "data_page_version": texts.text,
    "write_batch_size": texts.count,
    "batch_size": texts.count,
    "stripe_size": texts.size,
}
SERIALIZE: dict[str, texts.Parser] = {
    "compression": texts.one_of("zstd", "none"),
    "compression_level": texts.count,
    "names": texts.flag,
    "parallelism": texts.count,
}
DESERIALIZE: dict[str, texts.Parser] = {
    "spread": texts.one_of("here", "origin", "even"),
    "parallelism": texts.count,
}
_ALIASES = {
    "filetype": "format",
    "sep": "delimiter",
    "level": "compression_level",
    "compression_method": "compression",
}
# Options that the storage's options may have, too, as in the released package.
_IN_STORAGE = ("chunk_size", "filetype")
# What says where and how to run; these are no options of the data.
CALLS: dict[str, texts.Parser] = {
    "client": texts.anything,
    "vineyard_ipc_socket": texts.anything,
    "vineyard_endpoint": texts.anything,
    "name": texts.text,
    "threads": texts.count,
    "workers": texts.one_of("thread", "process"),
    "num_workers": texts.count,
    "rank": texts.count,
    "size": texts.count,
    "run_id": texts.text,
    "rank_timeout": texts.count,
    "progress": texts.flag,
    "index_col": texts.anything,
    "hosts": texts.names,
    "deployment": texts.one_of("ssh", "kubernetes"),
    "type": texts.anything,
}


@dataclasses.dataclass(frozen=True)
class Storage:
    """The storage's options, which may have keys and passwords."""

    options: dict[str, Any] = dataclasses.field(repr=False)
    secrets: Secrets


@dataclasses.dataclass(frozen=True)
class Asked:
    """All that a call was asked for."""

    data: Any
    call: dict[str, Any]
    storage: Storage


def for_reading(keywords: Mapping[str, Any], fragment: Mapping[str, str] | None = None) -> Asked:
    """The options of a read.

    Parameters:
        keywords: dict
            The keywords of the call, with `read_options` and `storage_options`.
        fragment: dict or None
            The options at the end of the path.

    Returns:
        Asked, with ReadOptions.

    Raises:
        ValueError: an option is unknown, wrong, or given twice with different values.
    """
    return _gather("read_options", keywords, fragment or {}, READ, ReadOptions)


def for_writing(keywords: Mapping[str, Any]) -> Asked:
    """The options of a write, as :func:`for_reading`, with `write_options` and WriteOptions."""
    return _gather("write_options", keywords, {}, WRITE, WriteOptions)


def for_serializing(keywords: Mapping[str, Any]) -> Asked:
    """The options of a serialize, as :func:`for_reading`, with `serialization_options` and
    SerializeOptions.
    """
    given = dict(keywords)
    if "compression" in given and given["compression"] is None:
        given["compression"] = "none"
    return _gather("serialization_options", given, {}, SERIALIZE, SerializeOptions)


def for_deserializing(keywords: Mapping[str, Any]) -> Asked:
    """The options of a deserialize, as :func:`for_reading`, with `deserialization_options` and
    DeserializeOptions.
    """
    return _gather("deserialization_options", keywords, {}, DESERIALIZE, DeserializeOptions)


def is_read_option(name: str) -> bool:
    """Whether the end of a path may have an option of that name (bool)."""
    return _ALIASES.get(name, name) in READ


def _gather(
    group: str,
    keywords: Mapping[str, Any],
    fragment: Mapping[str, str],
    parsers: Mapping[str, texts.Parser],
    kind: type,
) -> Asked:
    rest = dict(keywords)
    grouped = _mapping(group, rest.pop(group, None))
    storage = _mapping("storage_options", rest.pop("storage_options", None))
    shared = {key: storage.pop(key) for key in _IN_STORAGE if key in storage}
    if kind is not ReadOptions:
        shared.pop("chunk_size", None)
    call = {name: rest.pop(name) for name in CALLS if name in rest}
    found: Given = {}
    _take(found, rest, "the call", parsers, [*CALLS, group, "storage_options"])
    _take(found, grouped, group, parsers)
    _take(found, shared, "storage_options", parsers)
    _take(found, fragment, "the path", parsers)
    data = kind(**{name: value for name, (value, _) in found.items()})
    # Storage options with None say nothing, and some file systems take None for a value.
    return Asked(data, _calls(call), Storage(storage, Secrets(storage)))


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        # The value is not shown: it may be a secret.
        raise ValueError(f"{name} must be a dict, not {type(value).__name__}")
    return dict(value)


def _take(
    found: Given,
    given: Mapping[str, Any],
    where: str,
    parsers: Mapping[str, texts.Parser],
    others: Iterable[str] = (),
) -> None:
    """Adds the options of one place to those found."""
    for key, value in given.items():
        name = _ALIASES.get(key, key)
        if name not in parsers:
            raise _unknown(key, where, [*parsers, *_ALIASES, *others])
        if value is None:
            continue
        parsed = parsers[name](key, value)
        before = found.setdefault(name, (parsed, where))
        if not _same(before[0], parsed):
            raise ValueError(
                f"{name} is {before[0]!r} in {before[1]} and {parsed!r} in {where}: give it once"
            )


def _same(one: Any, other: Any) -> bool:
    # An Arrow expression compared with another is an expression, which is no truth.
    return one is other or (type(one) is type(other) and bool(repr(one) == repr(other)))


def _unknown(name: str, where: str, known: list[str]) -> ValueError:
    if name.isupper():
        reason = "set variables of the environment before the call"
    else:
        near = difflib.get_close_matches(name, known, 1)
        reason = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return ValueError(f"{name} in {where} is no option: {reason}")


def _calls(given: dict[str, Any]) -> dict[str, Any]:
    call = {name: CALLS[name](name, value) for name, value in given.items() if value is not None}
    if "type" in call:
        # Python shows a warning of one place once.
        warnings.warn("type= of vineyard.io is accepted and not used", stacklevel=6)
        del call["type"]
    return call
