"""Opens files: for random access, for a range of bytes, and as a stream that is decompressed.

Promise: local files are read without fsspec, in a thread that does not hold the GIL.
"""

from __future__ import annotations

import os
from typing import Any

from vineyard.io._paths import File, scheme_of_fs

# The codec of a compressed file, by the end of its name.
CODECS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
MAGIC_BYTES = 8
READ_BYTES = 8 << 20
# Schemes whose ranges are one request.
_RANGES = ("s3", "s3a", "gs", "gcs", "abfs", "az", "http", "https")


def codec_of(path: str) -> str | None:
    """How a file of this name is compressed (str or None)."""
    return CODECS.get(os.path.splitext(path)[1].lower())


def open_random(file: File) -> Any:
    """The file as a pyarrow.NativeFile that seeks; its content in memory, if it is compressed, or
    the storage does not say its size.
    """
    import pyarrow

    with file.guard():
        if codec_of(file.path) or file.size_bytes is None:
            with open_stream(file) as stream:
                # Not `read()` alone: it would ask for the size first.
                parts = iter(lambda: stream.read(READ_BYTES), b"")
                return pyarrow.BufferReader(b"".join(parts))
        if file.is_local:
            return pyarrow.OSFile(file.path, "rb")
        # The readers of columns ask for what they need, and for nothing around it. ossfs gives a
        # byte more than it is asked for, which its cache alone cuts off.
        cache = {} if scheme_of_fs(file.fs) == "oss" else {"cache_type": "none"}
        return pyarrow.PythonFile(file.fs.open(file.path, "rb", **cache), "r")


def open_stream(file: File) -> Any:
    """The content from its begin on, decompressed, as a pyarrow.NativeFile."""
    import pyarrow

    with file.guard():
        if file.is_local:
            raw = pyarrow.OSFile(file.path, "rb")
        else:
            # A web server that gives no ranges is read as it sends.
            streamed = {"block_size": 0} if file.size_bytes is None else {}
            raw = pyarrow.PythonFile(file.fs.open(file.path, "rb", **streamed), "r")
        codec = codec_of(file.path)
        if codec is None:
            return raw
        if codec == "xz":
            import lzma

            return pyarrow.PythonFile(lzma.open(raw), "r")
        return pyarrow.CompressedInputStream(raw, codec)


def read_range(file: File, begin: int, end: int) -> bytes:
    """The bytes from `begin` to `end`.

    Raises:
        ReadError: the file has become shorter, or the storage refuses.
    """
    import pyarrow

    with file.guard():
        if file.is_local:
            with pyarrow.OSFile(file.path, "rb") as opened:
                opened.seek(begin)
                data = bytes(opened.read(end - begin))
        elif scheme_of_fs(file.fs) in _RANGES:
            data = bytes(file.fs.cat_file(file.path, start=begin, end=end))
        else:
            # Not every file system's `cat_file` looks at the bounds.
            with file.fs.open(file.path, "rb") as opened:
                opened.seek(begin)
                data = bytes(opened.read(end - begin))
        if len(data) != end - begin:
            raise EOFError(f"gave {len(data)} bytes of {end - begin} from {begin} on")
        return data


def magic_of(file: File) -> bytes:
    """The first bytes of the content."""
    with file.guard(), open_stream(file) as stream:
        return bytes(stream.read(MAGIC_BYTES))
