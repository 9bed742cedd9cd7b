"""Streams as values: a get gives an object that reads and writes them.

Promise: the object keeps the client that it was got with. Nothing of a stream is opened here.
"""

from __future__ import annotations

from typing import Any

from vineyard.data._draft import Tree
from vineyard.data._reader import Reader


def restore_bytes(reader: Reader, tree: Tree) -> Any:
    """A ByteStream."""
    from vineyard.io.byte import ByteStream

    return _of(reader, ByteStream)


def restore_frames(reader: Reader, tree: Tree) -> Any:
    """A DataframeStream."""
    from vineyard.io.dataframe import DataframeStream

    return _of(reader, DataframeStream)


def restore_objects(reader: Reader, tree: Tree) -> Any:
    """A RecordBatchStream."""
    from vineyard.io.recordbatch import RecordBatchStream

    return _of(reader, RecordBatchStream)


def restore_parallel(reader: Reader, tree: Tree) -> list[Any]:
    """The streams of a parallel stream."""
    return [reader.part(tree, f"__streams_-{at}") for at in range(int(tree["__streams_-size"]))]


def restore_collection(reader: Reader, tree: Tree) -> Any:
    """A StreamCollection."""
    from vineyard.io.stream import StreamCollection

    return StreamCollection.of(_meta(reader))


def _meta(reader: Reader) -> Any:
    found = reader.object()
    return getattr(found, "meta", found)


def _of(reader: Reader, kind: Any) -> Any:
    client = reader.kwargs.get("__vineyard_client")
    return kind.of(_meta(reader), client if client is not None else reader.meta._client)
