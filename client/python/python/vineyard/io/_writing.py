"""`vineyard.io.write`: values and objects into files."""

from __future__ import annotations

import os
from typing import Any

from vineyard.io import _options as options
from vineyard.io._clients import client_of
from vineyard.io._hooks import hooked
from vineyard.io._needs import needed
from vineyard.io._sink import Sink
from vineyard.io._values import batches_of


def write_files(
    path: str | os.PathLike[str], value: Any, chunk_hook: Any, keywords: dict[str, Any]
) -> list[str]:
    """Writes a value, or what an object is, to files.

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
        list of str: the paths of the files; of ``exists="ignore"``, if one is there, none.
    """
    needed("pyarrow")
    asked = options.for_writing(keywords)
    sink = Sink(path, asked.data, asked.storage)
    if asked.data.exists == "ignore" and sink.is_there():
        return []
    found = batches_of(value, lambda: client_of(asked.call))
    partitions = list(found.partitions)
    if sink.is_one_file:
        partitions = [[batch for partition in partitions for batch in partition]]
    with sink:
        for number, partition in enumerate(partitions):
            _write_part(sink, number, found.schema, partition, chunk_hook)
    return sink.written


def _write_part(sink: Sink, number: int, schema: Any, partition: Any, hook: Any) -> None:
    batches = iter(partition)
    if hook is None:
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
