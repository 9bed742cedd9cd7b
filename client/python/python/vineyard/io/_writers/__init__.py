"""The writers of the formats, and the compression of those that have none of their own."""

from __future__ import annotations

import dataclasses
import importlib
import os
from typing import Any

from vineyard.io._formats import format_of_name
from vineyard.io._formats.inputs import codec_of
from vineyard.io._needs import needed
from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, Writer

__all__ = ["Writer", "extension_of", "format_of", "open_writer"]

_WRITERS = {
    "csv": "csv.CsvWriter",
    "jsonl": "jsonl.JsonlWriter",
    "parquet": "parquet.ParquetWriter",
    "orc": "orc.OrcWriter",
    "ipc": "ipc.IpcWriter",
    "bytes": "raw.RawWriter",
}
_EXTENSIONS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "orc": ".orc"}
_EXTENSIONS |= {"ipc": ".arrow", "bytes": ".bin"}
# Formats that are compressed as a whole, by the codec's name in the name of the file.
_WHOLE = ("csv", "jsonl", "bytes")
_CODECS = {"gzip": ".gz", "gz": ".gz", "bz2": ".bz2", "xz": ".xz", "zstd": ".zst", "lz4": ".lz4"}


def format_of(path: str, options: WriteOptions) -> str:
    """The format to write to a path (str): the one asked for, or by its name, or CSV."""
    return options.format or format_of_name(path) or "csv"


def extension_of(format_: str, options: WriteOptions) -> str:
    """How the name of a file of a format ends (str), such as ``.csv.gz``."""
    if format_ in _WHOLE and options.compression:
        return _EXTENSIONS[format_] + _CODECS[_codec(options.compression)]
    return _EXTENSIONS[format_]


def open_writer(path: str, stream: Any, schema: Any, options: WriteOptions) -> Writer:
    """A writer of the format of a path.

    Parameters:
        path: str
            The name of the file, which may say its format and compression.
        stream: file object
            Takes the bytes; it is not closed.
        schema: pyarrow.Schema or None
            What every batch has; None for bytes.
        options: WriteOptions
            How.

    Raises:
        ValueError, pyarrow.ArrowException: the format cannot have a column, or an option's value.
    """
    needed("pyarrow")
    format_ = format_of(path, options)
    module, _, name = _WRITERS[format_].partition(".")
    kind = getattr(importlib.import_module(f"vineyard.io._writers.{module}"), name)
    ending = os.path.splitext(path)[1].lower() if codec_of(path) else None
    if format_ in _WHOLE and options.compression:
        asked = _CODECS[_codec(options.compression)]
        if ending not in (None, asked):
            raise ValueError(f"compression is {options.compression!r}, and the name says {ending}")
        ending = asked
    if ending is None:
        made: Writer = kind(stream, schema, options)
        return made
    compressed = _compressed(stream, ending)
    inner = dataclasses.replace(options, format=format_, compression=None)
    if format_ not in _WHOLE:
        inner = dataclasses.replace(options, format=format_)
    return _Compressed(kind(compressed, schema, inner), compressed)


class _Compressed(Writer):
    """A writer whose bytes are compressed."""

    def __init__(self, inner: Writer, compressed: Any) -> None:
        super().__init__(compressed, inner.schema, inner.options)
        self._inner = inner

    def write(self, batch: Any) -> None:
        self._inner.write(batch)

    def close(self) -> None:
        self._inner.close()
        self.stream.close()


def _compressed(stream: Any, ending: str) -> Any:
    import pyarrow

    if ending == ".xz":
        import lzma

        borrowed: Any = Borrowed(stream)
        return lzma.open(borrowed, "wb")
    codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}[ending]
    return pyarrow.CompressedOutputStream(pyarrow.PythonFile(Borrowed(stream), "w"), codec)


def _codec(name: str) -> str:
    word = name.lower()
    if word not in _CODECS:
        raise ValueError(f"compression is {name!r}: it must be {', '.join(_CODECS)}")
    return word
