"""Opens files: for random access, for a range of bytes, and as a stream that is decompressed.

Promise: local files are read without fsspec, in a thread that does not hold the GIL.
"""

from __future__ import annotations

import os
from typing import Any

from vineyard.io._paths import File

# The codec of a compressed file, by the end of its name.
CODECS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
MAGIC_BYTES = 8


def codec_of(path: str) -> str | None:
    """How a file of this name is compressed (str or None)."""
    return CODECS.get(os.path.splitext(path)[1].lower())


def open_random(file: File) -> Any:
    """The file as a pyarrow.NativeFile that seeks; of a compressed file its content, in memory."""
    import pyarrow

    with file.guard():
        if codec_of(file.path):
            with open_stream(file) as stream:
                return pyarrow.BufferReader(stream.read())
        if file.is_local:
            return pyarrow.OSFile(file.path, "rb")
        # The readers of columns ask for what they need, and for nothing around it.
        return pyarrow.PythonFile(file.fs.open(file.path, "rb", cache_type="none"), "r")


def open_stream(file: File) -> Any:
    """The content from its begin on, decompressed, as a pyarrow.NativeFile."""
    import pyarrow

    with file.guard():
        if file.is_local:
            raw = pyarrow.OSFile(file.path, "rb")
        else:
            raw = pyarrow.PythonFile(file.fs.open(file.path, "rb"), "r")
        codec = codec_of(file.path)
        if codec is None:
            return raw
        if codec == "xz":
            import lzma

            return pyarrow.PythonFile(lzma.open(raw), "r")
        return pyarrow.CompressedInputStream(raw, codec)


def read_range(file: File, begin: int, end: int) -> bytes:
    """The bytes from `begin` to `end`, or to the file's end."""
    import pyarrow

    with file.guard():
        if file.is_local:
            with pyarrow.OSFile(file.path, "rb") as opened:
                opened.seek(begin)
                return bytes(opened.read(end - begin))
        return bytes(file.fs.cat_file(file.path, begin, end))


def magic_of(file: File) -> bytes:
    """The first bytes of the content."""
    with file.guard(), open_stream(file) as stream:
        return bytes(stream.read(MAGIC_BYTES))
