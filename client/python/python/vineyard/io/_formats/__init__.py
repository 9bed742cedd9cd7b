"""The formats of files: which one a file has, and its reader.

Formats are told apart by what the caller says, then by the end of the name, then by the first
bytes; a file that says nothing is CSV.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from vineyard.io._formats.base import Format, Piece
from vineyard.io._formats.inputs import codec_of, magic_of
from vineyard.io._needs import needed
from vineyard.io._options import ReadOptions
from vineyard.io._paths import File
from vineyard.io.errors import ReadError

__all__ = ["Format", "Piece", "format_of_name", "open_format"]

EXTENSIONS = {
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    ".orc": "orc",
    **dict.fromkeys((".ipc", ".arrow", ".arrows", ".feather"), "ipc"),
}
_MAGIC = {b"PAR1": "parquet", b"ORC": "orc", b"ARROW1": "ipc"}
_READERS = {
    "csv": "csv.CsvFormat",
    "jsonl": "jsonl.JsonlFormat",
    "parquet": "parquet.ParquetFormat",
    "orc": "orc.OrcFormat",
    "ipc": "ipc.IpcFormat",
    "bytes": "raw.RawFormat",
}


def format_of_name(path: str) -> str | None:
    """The format that the end of a name says (str), also before that of a compression; or None."""
    if codec_of(path):
        path = os.path.splitext(path)[0]
    return EXTENSIONS.get(os.path.splitext(path)[1].lower())


def open_format(files: Sequence[File], options: ReadOptions, threads: int) -> Format:
    """Opens files of one format.

    Parameters:
        files: list of File
            At least one.
        options: ReadOptions
            How to read.
        threads: int
            How many pieces will be read at once.

    Raises:
        ReadError: a file cannot be read, is of another format than the first, or has other columns.
        ImportError: pyarrow is not installed.
    """
    format_ = options.format or _detect(files[0])
    for file in files[1:] if options.format is None else ():
        other = format_of_name(file.path)
        if other not in (None, format_):
            reason = f"is {other}, and {files[0].shown} is {format_}: read them one by one"
            raise ReadError(file.shown, reason)
    module, _, name = _READERS[format_].partition(".")
    needed("pyarrow")
    reader = getattr(importlib.import_module(f"vineyard.io._formats.{module}"), name)
    opened: Format = reader(files, options, threads)
    return opened


def _detect(file: File) -> str:
    named = format_of_name(file.path)
    if named is not None:
        return named
    begin = magic_of(file)
    found = (name for magic, name in _MAGIC.items() if begin.startswith(magic))
    return next(found, "csv")
