"""`vineyard.io.write`: values and objects into files."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from typing import Any

from vineyard._C import Object, ObjectID, ObjectMeta
from vineyard.core.transfers.progress import Progress
from vineyard.io import _options as options
from vineyard.io import _paths as paths
from vineyard.io._clients import client_of
from vineyard.io._hooks import Hook, hooked
from vineyard.io._machines.here import are_elsewhere
from vineyard.io._needs import needed
from vineyard.io._objects import SCHEME, write_object
from vineyard.io._sink import Sink
from vineyard.io._values import batches_of
from vineyard.io.byte import ByteStream
from vineyard.io.stream import BaseStream

_BYTES = (bytes, bytearray, memoryview)


def write_files(
    path: str | os.PathLike[str], value: Any, chunk_hook: Any, keywords: dict[str, Any]
) -> list[str] | ObjectID:
    """Writes a value, or what an object is, to files, or to a named object.

    Parameters:
        path: str or os.PathLike
            Where to.
        value: object
            What; see :func:`vineyard.io.write`.
        chunk_hook: callable or None
            Changes each batch.
        keywords: dict
            All other arguments.

    Returns:
        list of str: the paths of the files; of ``exists="ignore"``, if one is there, none. For
        ``vineyard://``, the ObjectID.
    """
    needed("pyarrow")
    asked = options.for_writing(keywords)
    hook = Hook.of(chunk_hook, asked.call)
    if are_elsewhere(asked.call):
        raise ValueError("hosts= is for reads: a write runs in this process")
    if isinstance(value, ObjectID | ObjectMeta | Object):
        object_id = value if isinstance(value, ObjectID) else value.id
        value = client_of(asked.call).get(object_id)
    streams = _streams_of(value)
    if streams:
        asked = options.for_writing(_with_params(keywords, streams[0].params))
    with hook.opened(len(streams)) as called:
        return _write(path, value, streams, asked, called)


def _write(
    path: str | os.PathLike[str], value: Any, streams: list[Any], asked: options.Asked, hook: Any
) -> list[str] | ObjectID:
    if paths.scheme_of(path) == SCHEME:
        client = client_of(asked.call)
        parts = [stream.reader for stream in streams] or batches_of(value).partitions
        return write_object(client, os.fspath(path), parts, hook)
    data = asked.data
    has_columns = _have_columns(streams) if streams else not isinstance(value, _BYTES)
    if not has_columns and hook is not None:
        raise ValueError("chunk_hook takes record batches, and bytes have none")
    if not has_columns and data.format is None:
        # Whatever the name says: these bytes are the file.
        data = dataclasses.replace(data, format="bytes")
    # How much it will be shows only while it runs.
    with Progress(None, "write", asked.call.get("progress")) as bar:
        sink = Sink(path, data, asked.storage, bool(streams), bar.advance)
        if data.exists == "ignore" and sink.is_there():
            return []
        if streams:
            _write_streams(sink, streams, hook)
        else:
            _write_value(sink, value, hook)
    return sink.written


def _write_value(sink: Sink, value: Any, hook: Any) -> None:
    found = batches_of(value)
    partitions = list(found.partitions)
    if sink.is_one_file:
        partitions = [[batch for partition in partitions for batch in partition]]
    with sink:
        for number, partition in enumerate(partitions):
            _write_part(sink, number, found.schema, partition, hook)


def _streams_of(value: Any) -> list[Any]:
    """The streams that a value is; none if it is something else."""
    parts = value if isinstance(value, list | tuple) else [value]
    return list(parts) if parts and all(isinstance(part, BaseStream) for part in parts) else []


def _with_params(keywords: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The options of a write, and what the stream says of its files where they say nothing."""
    given = {**keywords, **(keywords.get("write_options") or {})}
    names = {"header_row": ("header_row",), "delimiter": ("delimiter", "sep")}
    more = {
        key: params[key]
        for key, same in names.items()
        if key in params and not any(name in given for name in same)
    }
    return {**keywords, **more}


def _write_streams(sink: Sink, streams: list[Any], hook: Any) -> None:
    """Writes each stream to a part of its own, all at the same time: their writers may take turns.
    Into one file they go one after the other.
    """
    if sink.is_one_file:
        with sink:
            batches = itertools.chain.from_iterable(stream.reader for stream in streams)
            _write_part(sink, 0, None, batches, hook, peeks=_have_columns(streams))
        return
    errors: list[BaseException] = []

    def write(number: int, stream: Any) -> None:
        try:
            with stream.reader as reader:
                peeks = _have_columns([stream])
                _write_part(sink, number, None, reader, hook, peeks=peeks)
        except BaseException as error:
            errors.append(error)

    with sink:
        threads = [
            threading.Thread(target=write, args=numbered, name="vineyard-io-write", daemon=True)
            for numbered in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
    sink.written.sort(key=lambda path: (len(path), path))


def _have_columns(streams: list[Any]) -> bool:
    return not all(isinstance(stream, ByteStream) for stream in streams)


def _write_part(
    sink: Sink, number: int, schema: Any, partition: Any, hook: Any, peeks: bool = False
) -> None:
    """`peeks`: the first batch says the columns."""
    batches = iter(partition)
    if hook is None and not peeks:
        with sink.part(schema, number) as part:
            for batch in batches:
                part.write(batch)
        return
    # The hook may change the columns: the first batch that it returns says them.
    changed = (hooked(hook, batch, sink.shown, at, reads=False) for at, batch in enumerate(batches))
    first = next(changed, None)
    with sink.part(schema if first is None else first.schema, number) as part:
        if first is not None:
            part.write(first)
        for batch in changed:
            part.write(batch)
